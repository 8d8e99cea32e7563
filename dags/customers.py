"""
### Customers

What each customer is like as of a day, and which segment the champion puts them in.

**Purpose:** features → segments from the champion → the morning's page.

**Inputs:** table `transactions`; the champion of `customer_segments`. Runs when `transactions` changes or another
version became champion. An event is a hint: the run works on the days that events name, and on every day that came in
after the newest one done. Started by hand, *From* and *Until* say which as-of days; empty: what is pending.

**Outputs:** tables `customer_features` and `customer_segments` for each as-of day (they know everything strictly
before it), the page of the day, and an asset event for each table.

**Safe to run again?** Yes. Each as-of day replaces itself. After correcting an old delivery, run the as-of days from
the day after it up to today, by the form.

**When it fails**

- `score` and `write_report` skipped: there is no champion yet. Trigger `train_customer_segments`; then this runs.
- `build_features` says that a table does not exist: nothing was ingested yet. Look at `ingest_transactions`.
- `score` fails on a feature that is missing: the champion was trained by other code. Train again, or `aisle rollback`.
- Out of memory: lower `AISLE_MEMORY_LIMIT`, so that the engine spills to disk earlier.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from airflow.sdk import dag, get_current_context, task

from aisle_dags.conventions import (
    CUSTOMER_FEATURES,
    CUSTOMER_SEGMENTS,
    DEFAULT_ARGS,
    FIRST_DAY,
    SEGMENTS_CHAMPION,
    TRANSACTIONS,
    day_field,
)
from aisle_dags.days import DAY, form_span, hinted_days, pending
from aisle_dags.steps import skip, step


@dag(
    schedule=(TRANSACTIONS | SEGMENTS_CHAMPION),
    start_date=FIRST_DAY,
    catchup=False,
    max_active_runs=1,  # events that arrive meanwhile wait and are worked off together
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags={"domain", "customers"},
    params={
        "from": day_field("From", "First as-of day. Empty: whatever is pending."),
        "until": day_field("Until", "First as-of day that no longer belongs to it. Empty: the day after *From*."),
    },
)
def customers() -> None:
    @task(outlets=[CUSTOMER_FEATURES])
    @step
    def build_features() -> list[dict[str, Any]]:
        from pipeline.customers import steps
        from pipeline.lake import Lake
        from pipeline.settings import load_settings

        settings, context = load_settings(), get_current_context()
        lake = Lake(settings)
        if span := form_span(context["params"]):
            days = span.days
        else:
            known = [day + DAY for day in lake.days("transactions")]
            hinted = [day + DAY for day in hinted_days(context)]
            days = pending(known, lake.days("customer_segments"), hinted)
        if not days:
            raise skip("the lake holds no transactions yet")
        tables = [steps.build_features(settings, day).as_dict() for day in days]
        context["outlet_events"][CUSTOMER_FEATURES].extra = tables[-1] | {"days": [table["day"] for table in tables]}
        return tables

    @task(outlets=[CUSTOMER_SEGMENTS])
    @step
    def score(features: list[dict[str, Any]]) -> list[dict[str, Any]]:
        from pipeline.customers import steps
        from pipeline.settings import load_settings

        settings = load_settings()
        scored = [steps.score(settings, date.fromisoformat(table["day"])) for table in features]
        tables = [table.as_dict() for table in scored if table]
        if not tables:
            raise skip("customer_segments has no champion yet: trigger train_customer_segments")
        extra = tables[-1] | {"days": [table["day"] for table in tables]}
        get_current_context()["outlet_events"][CUSTOMER_SEGMENTS].extra = extra
        return tables

    @task
    @step
    def write_report(segments: list[dict[str, Any]]) -> list[str]:
        from pipeline.customers import steps
        from pipeline.settings import load_settings

        return [steps.write_report(load_settings(), date.fromisoformat(table["day"])) for table in segments]

    write_report(score(build_features()))


customers()
