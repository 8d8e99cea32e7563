"""The DAG that scores a domain: `<domain>`."""

from __future__ import annotations

import logging
from functools import reduce
from operator import or_
from typing import Any

from airflow.sdk import DAG, Asset, dag, get_current_context, task

from aisle_dags.conventions import DEFAULT_ARGS, FIRST_DAY, champion_of, day_field, scores_of
from aisle_dags.run_days import event_days, form_span, pending
from aisle_dags.tasks import skip, step
from pipeline.dates import DAY, format_day, parse_as_of
from pipeline.domains import find_domain
from pipeline.logs import log_event

log = logging.getLogger(__name__)


def scoring_dag(name: str, doc: str | None) -> DAG:
    """Make a domain's DAG: features, the champions' scores and the report, for every pending as-of day.

    Events of the domain's input tables start it, and so does a change of the champion of one of its models.

    Args:
        name: of the domain, which is also the DAG's id.
        doc: the docstring of the DAG file, which Airflow shows.
    """
    domain = find_domain(name)
    features_asset, scores_asset = Asset(domain.features_table), scores_of(name)
    inputs = (domain.input_table, *domain.other_inputs)
    triggers: list[Any] = [*map(Asset, inputs), *map(champion_of, domain.model_names)]

    @dag(
        dag_id=name,
        schedule=reduce(or_, triggers),
        start_date=FIRST_DAY,
        catchup=False,
        max_active_runs=1,  # events that arrive during a run are handled together by the next one
        default_args=DEFAULT_ARGS,
        doc_md=doc,
        tags={"domain", name},
        params={
            "from": day_field("From", "First as-of day. Empty: every pending one."),
            "until": day_field("Until", "The as-of day after the last one. Empty: the day after *From*."),
        },
    )
    def define_tasks() -> None:
        @task(outlets=[features_asset])
        @step
        def build_features() -> list[dict[str, Any]]:
            from pipeline.lake.tables import Lake
            from pipeline.settings import load_settings
            from pipeline.training import lifecycle

            settings, context = load_settings(), get_current_context()
            lake = Lake(settings)
            if span := form_span(context["params"]):
                days, chosen_by = span.days, "form"
            else:
                known = [day + DAY for day in lake.days(domain.input_table)]
                hinted = [day for day in (day + DAY for day in event_days(context)) if day in known]
                days, chosen_by = pending(known, lake.days(domain.results_table), hinted), "pending"
            if not days:
                raise skip(f"the lake holds no {domain.input_table} yet")
            newest = format_day(days[-1])
            log_event(log, "days chosen", domain=name, by=chosen_by, days=len(days), newest=newest)
            tables = [lifecycle.build_features(settings, domain, day).as_dict() for day in days]
            extra = tables[-1] | {"days": [table["day"] for table in tables]}
            context["outlet_events"][features_asset].extra = extra
            return tables

        @task(outlets=[scores_asset])
        @step
        def score(features: list[dict[str, Any]]) -> list[dict[str, Any]]:
            from pipeline.settings import load_settings
            from pipeline.training import scoring

            settings = load_settings()
            scored = [scoring.score(settings, domain, parse_as_of(table["day"])) for table in features]
            tables = [table.as_dict() for table in scored if table]
            if not tables:
                trainings = ", ".join(f"train_{model}" for model in domain.required_models)
                raise skip(f"{name} lacks a champion: trigger {trainings}")
            extra = tables[-1] | {"days": [table["day"] for table in tables]}
            get_current_context()["outlet_events"][scores_asset].extra = extra
            return tables

        @task
        @step
        def write_report(scores: list[dict[str, Any]]) -> list[str]:
            from pipeline.settings import load_settings
            from pipeline.training import scoring

            settings = load_settings()
            return [scoring.write_report(settings, domain, parse_as_of(table["day"])) for table in scores]

        write_report(score(build_features()))

    return define_tasks()
