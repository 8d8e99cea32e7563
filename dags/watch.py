"""
### Watch

Detects drift of each champion, and requests a training where it is due.

**Purpose:** compare the data that each champion was trained on with the current data, its predictions on both, and its
predictions with the actual outcomes → write the page → decide whether to train again.

**Inputs:** the features and scores of each domain, its champions and the Delta versions that they were trained on. Runs
after each scoring of any domain, on the days of the domains that have scored. It does not run at a fixed hour, because
a late delivery would be missing then, and a day without scoring has nothing new to compare. In a manual run, *From* and
*Until* give the as-of days of every domain; empty: every pending day.

**Outputs:** table `drift` (one row for each column), a page and a JSON summary for each model and day, the morning page
(`reports/index.html`), and an event of the asset `retrain_<model>` for each champion that should be replaced.

**Safe to run again?** Yes. A day's comparison replaces its earlier one; it may request the training again.

**When it fails**

- `check_<domain>` is red: at least one of its models could not be compared; the log says which one and why. Its other
  models were, and other domains are not affected. No training of this domain is requested until the cause is fixed and
  the task cleared.
- The page reports too few rows: little was sold, or only part of it arrived. See the ledger.
- The page reports that the champion's training data is gone: housekeeping removed that version. Train a new champion.
- `check_<domain>` skipped: the domain has not scored. `retrain_<model>` skipped: no training is due.
- Drift every day: look at the page first. A change of the point-of-sale system or of the mapping looks like a change of
  the customers.
"""

from __future__ import annotations

import logging
from functools import reduce
from operator import or_
from typing import Any

from airflow.sdk import dag, get_current_context, task

from aisle_dags.conventions import DEFAULT_ARGS, FIRST_DAY, day_field, retraining_of, scores_of
from aisle_dags.morning import morning_page
from aisle_dags.run_days import event_days, form_span, pending, triggered_by
from aisle_dags.tasks import skip, step
from pipeline.dates import format_day
from pipeline.domains import DOMAINS, find_domain
from pipeline.errors import RefusedError
from pipeline.logs import log_event

log = logging.getLogger("aisle_dags.watch")


@dag(
    schedule=reduce(or_, (scores_of(domain.name) for domain in DOMAINS)),
    start_date=FIRST_DAY,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags={"monitoring"},
    params={
        "from": day_field("From", "First as-of day. Empty: every pending one."),
        "until": day_field("Until", "The as-of day after the last one. Empty: the day after *From*."),
    },
)
def watch() -> None:
    @task.branch
    @step
    def domains_that_scored() -> list[str]:
        # The tasks of the other domains are skipped without starting a process.
        context = get_current_context()
        return [f"check_{domain.name}" for domain in DOMAINS if triggered_by(context, scores_of(domain.name))]

    def check(name: str) -> list[str]:
        from pipeline.lake.tables import Lake
        from pipeline.monitoring.watch import checked_days, watch
        from pipeline.reports.page import framed
        from pipeline.settings import load_settings
        from pipeline.training.related_pages import related_pages

        settings, domain, context = load_settings(), find_domain(name), get_current_context()
        lake = Lake(settings)
        scored = lake.days(domain.results_table)
        if span := form_span(context["params"]):
            days = [day for day in span.days if day in scored]
        else:
            days = pending(scored, checked_days(lake, domain.model_names), event_days(context, scores_of(name)))
        if not days:
            raise skip(f"{name} has scored nothing on those days")
        log_event(log, "days chosen", domain=name, days=len(days), newest=format_day(days[-1]))
        with framed(related=related_pages(domain)):
            results = [result for day in days for result in watch(settings, day, domain.specs())]
        context["ti"].xcom_push("results", [result.as_dict() for result in results])
        if failed := [f"{r.model} as of {r.day}: {r.reason}" for r in results if r.verdict == "failed"]:
            raise RefusedError("Models could not be compared", where=name, observed="\n".join(failed))
        return sorted({f"retrain_{r.model}" for r in results if r.retrain})

    def request_training(domain: str, model: str) -> None:
        context = get_current_context()
        results = context["ti"].xcom_pull(task_ids=f"check_{domain}", key="results")
        newest: dict[str, Any] = [result for result in results if result["model"] == model and result["retrain"]][-1]
        request = {key: newest[key] for key in ("model", "day", "reason")}
        log_event(log, "training requested", **request)
        context["outlet_events"][retraining_of(model)].extra = request

    chosen = domains_that_scored()
    page = morning_page()
    for domain in DOMAINS:
        checked = task.branch(task_id=f"check_{domain.name}")(step(check))(domain.name)
        chosen >> checked
        for model in domain.model_names:
            request = task(task_id=f"retrain_{model}", outlets=[retraining_of(model)])(step(request_training))
            checked >> request(domain.name, model) >> page


watch()
