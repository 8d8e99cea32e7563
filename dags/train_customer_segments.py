"""
### Train customer_segments

Makes a challenger, and lets it replace the champion if it is better.

**Purpose:** features → train, choose k, register as challenger → gate → promote at once, or when a person agrees.

**Inputs:** table `transactions` up to the as-of day. Runs each Monday, when `watch` asks (asset
`retrain_customer_segments`), or by hand: the form's defaults are those of the nightly runs.

**Outputs:** a version of the registered model `customer_segments` with its curve of k, the gate's decision and figures
on the version and in table `promotions`, and an event of the asset `customer_segments_champion` when it was promoted.

**Safe to run again?** Yes. Same as-of day, seed and tables give the same model as another version; the gate keeps the
champion on a tie.

**When it fails**

- `promote` skipped: the gate kept the champion (or a person rejected). The log of `gate` and `aisle models` say why.
- `approve` waits: *Required actions* in the menu. Without an answer in three days it fails and the champion stays.
- `train` refuses for lack of customers: the window holds too few. Ingest more history, or choose a later as-of day.
- `train` finds no stable k: see the curve on the version. Widen the range of k, or the window.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, dag, get_current_context, task
from airflow.timetables.assets import AssetOrTimeSchedule
from airflow.timetables.interval import CronDataIntervalTimetable

from aisle_dags.conventions import DEFAULT_ARGS, FIRST_DAY, RETRAIN_SEGMENTS, SEGMENTS_CHAMPION, day_field
from aisle_dags.days import training_day
from aisle_dags.steps import step

AT_ONCE, ASK = "as soon as the gate agrees", "when a person agrees as well"


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=CronDataIntervalTimetable("0 6 * * 1", timezone="UTC"), assets=[RETRAIN_SEGMENTS]
    ),
    start_date=FIRST_DAY,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags={"training", "customers"},
    params={
        "as_of": day_field("As of", "The model knows what happened strictly before this day. Empty: the newest day."),
        "window_days": Param(
            365, type="integer", minimum=28, maximum=1830, title="Window", description_md="Days back."
        ),
        "k_min": Param(2, type="integer", minimum=2, maximum=12, title="Fewest segments"),
        "k_max": Param(12, type="integer", minimum=2, maximum=12, title="Most segments"),
        "seed": Param(7, type="integer", minimum=0, title="Seed", description_md="Same seed and tables, same model."),
        "promote": Param(AT_ONCE, enum=[AT_ONCE, ASK], title="Promote"),
    },
)
def train_customer_segments() -> None:
    @task(multiple_outputs=False)
    @step
    def build_features() -> dict[str, Any]:
        from pipeline.customers import steps
        from pipeline.lake import Lake
        from pipeline.settings import load_settings

        context = get_current_context()
        settings = load_settings(window_days=context["params"]["window_days"])
        as_of = training_day(context, Lake(settings).days("transactions"))
        return steps.build_features(settings, as_of).as_dict()

    @task(multiple_outputs=False)
    @step
    def train(features: dict[str, Any]) -> dict[str, Any]:
        from pipeline.customers import steps
        from pipeline.settings import load_settings

        form = get_current_context()["params"]
        settings = load_settings(window_days=form["window_days"], seed=form["seed"])
        as_of = date.fromisoformat(features["day"])
        return steps.train(settings, as_of, k_min=form["k_min"], k_max=form["k_max"]).as_dict()

    @task.branch
    @step
    def gate(challenger: dict[str, Any]) -> str | None:
        from pipeline.customers import steps
        from pipeline.settings import load_settings

        if not steps.gate(load_settings(), challenger["version"]).passed:
            return None
        return "approve" if get_current_context()["params"]["promote"] == ASK else "promote"

    approve = ApprovalOperator(
        task_id="approve",
        subject="Promote version {{ ti.xcom_pull('train')['version'] }} of customer_segments?",
        body="{{ ti.xcom_pull('train')['reason'] }}",
        response_timeout=timedelta(days=3),
    )

    @task(outlets=[SEGMENTS_CHAMPION], trigger_rule="none_failed_min_one_success")
    @step
    def promote(challenger: dict[str, Any]) -> None:
        from pipeline.customers import steps
        from pipeline.settings import load_settings

        steps.promote(load_settings(), challenger["version"], by=f"run {get_current_context()['run_id']}")
        get_current_context()["outlet_events"][SEGMENTS_CHAMPION].extra = {"version": challenger["version"]}

    challenger = train(build_features())
    decision = gate(challenger)
    decision >> [approve, promoted := promote(challenger)]
    approve >> promoted


train_customer_segments()
