"""
### Train customer_segments

Makes a challenger, and lets it replace the champion if it is better.

**Purpose:** features → train, choose k, register as challenger → gate → promote at once, or when a person agrees.

**Inputs:** table `transactions` up to the as-of day. Runs each Monday, when `watch` asks (asset
`retrain_customer_segments`), or by hand: the form's defaults are those of the weekly run. The window is that of the
nightly features (`AISLE_WINDOW_DAYS`): a model of another window would be scored on what it never saw.

**Outputs:** a version of the registered model `customer_segments` with its curve of k, the gate's decision and figures
on the version and in table `promotions`, and an event of the asset `customer_segments_champion` when it was promoted.

**Safe to run again?** Yes. Same as-of day, seed and tables give the same model as another version; the gate keeps the
champion on a tie.

**When it fails**

- `promote` skipped: the gate kept the champion (or a person rejected). The log of `gate` and `aisle models` say why.
- `approve` waits: *Required actions* in the menu. Without an answer in three days it fails and the champion stays.
- `train` refuses for lack of customers: the window holds too few. Ingest more history, or choose a later as-of day.
- `train` finds no admissible k: the message holds the curve. Look at the features' page for what changed.
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
    max_active_runs=3,  # one may wait days for a person, which must not hold up the others
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags={"training", "customers"},
    params={
        "as_of": day_field("As of", "The model knows what happened strictly before this day. Empty: the newest day."),
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

        settings = load_settings()
        as_of = training_day(get_current_context(), Lake(settings).days("transactions"))
        return steps.build_features(settings, as_of).as_dict()

    @task(multiple_outputs=False)
    @step
    def train(features: dict[str, Any]) -> dict[str, Any]:
        from pipeline.customers import steps
        from pipeline.settings import load_settings

        settings = load_settings(seed=get_current_context()["params"]["seed"])
        return steps.train(settings, steps.MODEL, date.fromisoformat(features["day"])).as_dict()

    @task.branch
    @step
    def gate(challenger: dict[str, Any]) -> str | None:
        from pipeline.customers import steps
        from pipeline.settings import load_settings

        context = get_current_context()
        decision = steps.gate(load_settings(), steps.MODEL, challenger["version"])
        context["ti"].xcom_push("reasons", list(decision.reasons))
        if not decision.accepted:
            return None
        return "approve" if context["params"]["promote"] == ASK else "promote"

    approve = ApprovalOperator(
        task_id="approve",
        subject="Promote version {{ ti.xcom_pull('train')['version'] }} of customer_segments?",
        body="{{ ti.xcom_pull('gate', key='reasons') | join('\n\n') }}",
        response_timeout=timedelta(days=3),
    )

    @task(task_id="promote", outlets=[SEGMENTS_CHAMPION], trigger_rule="none_failed_min_one_success")
    @step
    def promote_challenger(challenger: dict[str, Any]) -> None:
        from pipeline.settings import load_settings
        from pipeline.training import promote

        context = get_current_context()
        promote(load_settings(), challenger["model"], challenger["version"], by=f"Airflow, {context['run_id']}")
        context["outlet_events"][SEGMENTS_CHAMPION].extra = {"version": challenger["version"]}

    challenger = train(build_features())
    decision = gate(challenger)
    decision >> [approve, promoted := promote_challenger(challenger)]
    approve >> promoted


train_customer_segments()
