"""The DAG that scores a domain: `<domain>`."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import Any

from airflow.sdk import DAG, Asset, dag, get_current_context, task

from aisle_dags.conventions import DEFAULT_ARGS, FIRST_DAY, champion_of, day_field, scores_of
from aisle_dags.run_days import event_days, form_span, pending
from aisle_dags.tasks import skip, step
from pipeline.dates import DAY, format_day, parse_as_of
from pipeline.logs import log_event

log = logging.getLogger(__name__)


def scoring_dag(domain: str, doc: str | None, *, inputs: Iterable[str], features: str, models: Iterable[str]) -> DAG:
    """Make a domain's DAG: features, the champions' scores and the report, for every pending as-of day.

    Args:
        domain: the domain, which is also the DAG's id.
        doc: the docstring of the DAG file, which Airflow shows.
        inputs: the tables whose asset events start the DAG.
        features: the table of features.
        models: the models whose champions score; a change of champion also starts the DAG.
    """
    models = list(models)
    features_asset, scores_asset = Asset(features), scores_of(domain)
    triggers: list[Any] = [*map(Asset, inputs), *map(champion_of, models)]

    @dag(
        dag_id=domain,
        schedule=reduce(or_, triggers),
        start_date=FIRST_DAY,
        catchup=False,
        max_active_runs=1,  # events that arrive during a run are handled together by the next one
        default_args=DEFAULT_ARGS,
        doc_md=doc,
        tags={"domain", domain},
        params={
            "from": day_field("From", "First as-of day. Empty: every pending one."),
            "until": day_field("Until", "The as-of day after the last one. Empty: the day after *From*."),
        },
    )
    def wired() -> None:
        @task(outlets=[features_asset])
        @step
        def build_features() -> list[dict[str, Any]]:
            from pipeline.domains import steps_of
            from pipeline.lake.tables import Lake
            from pipeline.settings import load_settings

            settings, context, steps = load_settings(), get_current_context(), steps_of(domain)
            lake = Lake(settings)
            if span := form_span(context["params"]):
                days, chosen_by = span.days, "form"
            else:
                known = [day + DAY for day in lake.days(steps.INPUT_TABLE)]
                hinted = [day for day in (day + DAY for day in event_days(context)) if day in known]
                days, chosen_by = pending(known, lake.days(steps.SCORES_TABLE), hinted), "pending"
            if not days:
                raise skip(f"the lake holds no {steps.INPUT_TABLE} yet")
            newest = format_day(days[-1])
            log_event(log, "days chosen", domain=domain, by=chosen_by, days=len(days), newest=newest)
            tables = [steps.build_features(settings, day).as_dict() for day in days]
            extra = tables[-1] | {"days": [table["day"] for table in tables]}
            context["outlet_events"][features_asset].extra = extra
            return tables

        @task(outlets=[scores_asset])
        @step
        def score(features: list[dict[str, Any]]) -> list[dict[str, Any]]:
            from pipeline.domains import steps_of
            from pipeline.settings import load_settings

            settings, steps = load_settings(), steps_of(domain)
            scored = [steps.score(settings, parse_as_of(table["day"])) for table in features]
            tables = [table.as_dict() for table in scored if table]
            if not tables:
                raise skip(f"{domain} lacks a champion: trigger {', '.join(f'train_{model}' for model in models)}")
            extra = tables[-1] | {"days": [table["day"] for table in tables]}
            get_current_context()["outlet_events"][scores_asset].extra = extra
            return tables

        @task
        @step
        def write_report(scores: list[dict[str, Any]]) -> list[str]:
            from pipeline.domains import steps_of
            from pipeline.settings import load_settings

            steps = steps_of(domain)
            return [steps.write_report(load_settings(), parse_as_of(table["day"])) for table in scores]

        write_report(score(build_features()))

    return wired()
