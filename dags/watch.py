"""
### Watch

Is each champion still true of the customers it meets?

**Purpose:** compare what the champion was trained on with what it saw today → page → decide whether to train again.

**Inputs:** `customer_features` and `customer_segments`, the champion and the Delta versions it was trained on. Runs
after each day's scoring, hence daily: at a fixed hour it would find a late delivery missing, and a day without scoring
has nothing new to compare. Started by hand, *From* and *Until* say which as-of days; empty: what is pending.

**Outputs:** table `drift` (a row a column), a page and a small JSON for each day, and an event of the asset
`retrain_customer_segments` when a champion should be replaced.

**Safe to run again?** Yes. A day's comparison replaces itself; it may ask for the training again.

**When it fails**

- `check_drift` says that there are too few rows: the shop sold little, or only part arrived. See the ledger.
- It says that a table's version is gone: housekeeping removed what the champion was trained on. Train a new one.
- `ask_for_training` skipped is the good case: nothing drifted enough.
- Drift every day: look at the page first. A change of the till or of the mapping drifts just like customers do.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, get_current_context, task

from aisle_dags.conventions import CUSTOMER_SEGMENTS, DEFAULT_ARGS, FIRST_DAY, RETRAIN_SEGMENTS, day_field
from aisle_dags.days import form_span, hinted_days, pending
from aisle_dags.steps import skip, step


@dag(
    schedule=[CUSTOMER_SEGMENTS],
    start_date=FIRST_DAY,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags={"monitoring", "customers"},
    params={
        "from": day_field("From", "First as-of day. Empty: whatever is pending."),
        "until": day_field("Until", "First as-of day that no longer belongs to it. Empty: the day after *From*."),
    },
)
def watch() -> None:
    @task
    @step
    def check_drift() -> list[dict[str, Any]]:
        from pipeline import drift
        from pipeline.lake import Lake
        from pipeline.settings import load_settings

        settings, context = load_settings(), get_current_context()
        lake = Lake(settings)
        span = form_span(context["params"])
        days = span.days if span else pending(lake.days("customer_segments"), lake.days("drift"), hinted_days(context))
        return [result.as_dict() | {"day": day.isoformat()} for day in days for result in drift.watch(settings, day)]

    @task(outlets=[RETRAIN_SEGMENTS])
    @step
    def ask_for_training(results: list[dict[str, Any]]) -> None:
        # Models whose training does not listen are only reported; theirs is weekly.
        asking = [r for r in results if r["retrain"] and f"retrain_{r['model']}" == RETRAIN_SEGMENTS.name]
        if not asking:
            raise skip("no champion drifted enough to be trained again")
        newest = max(asking, key=lambda result: result["day"])
        get_current_context()["outlet_events"][RETRAIN_SEGMENTS].extra = {
            key: newest[key] for key in ("model", "day", "reason")
        }

    ask_for_training(check_drift())


watch()
