"""
### Study of segmentations

Compares spaces, algorithms and numbers of customer segments, once a month or by hand, and writes a page.

**Purpose:** show what the segments in use were chosen against, and whether another way to look at the customers has
become better. It trains and registers nothing.

**Inputs:** table `transactions` over the window of the nightly features (`AISLE_WINDOW_DAYS`), at most 5,000 customers.

**Outputs:** the page `study/segments/<day>`: silhouettes in each space and in the plain features, elbows, stability,
pictures, a dendrogram, outliers, published protocols.

**Safe to run again?** Yes. The page of the day is replaced by the same page.

**When it fails**

- Too few customers: ingest more history, or choose a later day.
- UMAP is an optional extra; without it two spaces are left out, and the page says so.

By hand: `aisle study segments`.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, dag, get_current_context, task
from airflow.timetables.trigger import CronTriggerTimetable

from aisle_dags.conventions import DEFAULT_ARGS, FIRST_DAY, day_field
from aisle_dags.run_days import training_day
from aisle_dags.tasks import step


@dag(
    schedule=CronTriggerTimetable("0 14 1 * *", timezone="UTC"),  # the first of a month, when no night is under way
    start_date=FIRST_DAY,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags={"training", "customers"},
    params={
        "as_of": day_field("As of", "Customers as they were known before this day. Empty: the newest."),
        "set_aside": Param(False, type="boolean", title="Set outliers aside"),
    },
)
def study_segments() -> None:
    @task(multiple_outputs=False)
    @step
    def study() -> dict[str, Any]:
        from pipeline.customers.study.steps import study_segments
        from pipeline.domains import domain_of
        from pipeline.settings import load_settings
        from pipeline.training import lifecycle

        settings, context, model = load_settings(), get_current_context(), "customer_segments"
        as_of = training_day(context, lifecycle.known_days(settings, domain_of(model), model))
        done = study_segments(settings, as_of, set_aside=context["params"]["set_aside"])
        return {name: done[name] for name in ("customers", "page", "seconds")}

    study()


study_segments()
