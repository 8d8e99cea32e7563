"""The DAG that ingests a table: `ingest_<table>`."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Asset, Param, PokeReturnValue, dag, get_current_context, task
from airflow.timetables.interval import CronDataIntervalTimetable

from aisle_dags.conventions import DEFAULT_ARGS, FIRST_DAY, day_field
from aisle_dags.morning import morning_page
from aisle_dags.run_days import span_of
from aisle_dags.tasks import skip, step
from pipeline.dates import format_day
from pipeline.errors import RefusedError
from pipeline.logs import log_event

POKE_SECONDS = timedelta(minutes=5).total_seconds()
TIMEOUT_SECONDS = timedelta(hours=12).total_seconds()

log = logging.getLogger(__name__)


def ingestion_dag(table: str, doc: str | None) -> DAG:
    """Make `ingest_<table>`: wait for deliveries, land, check and commit them. A refused one does not stop the others.

    Args:
        table: the clean table that is written.
        doc: the docstring of the DAG file, which Airflow shows.
    """
    table_asset = Asset(table)

    @dag(
        dag_id=f"ingest_{table}",
        schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
        start_date=FIRST_DAY,
        catchup=False,
        max_active_runs=1,  # a delivery's volume is compared with the days before it, so days go in order
        default_args=DEFAULT_ARGS,
        doc_md=doc,
        tags={"ingestion", table},
        params={
            "from": day_field("From", "First day to ingest. Empty: the day of the run's data interval."),
            "until": day_field("Until", "The day after the last one. Empty: the day after *From*."),
            "source": Param(
                None,
                type=["null", "string"],
                title="Source",
                description_md="A source of the table in `sources.yaml`. Empty: the first.",
            ),
        },
    )
    def define_tasks() -> None:
        @task.sensor(mode="reschedule", poke_interval=POKE_SECONDS, timeout=TIMEOUT_SECONDS)
        @step
        def wait_for_delivery() -> PokeReturnValue:
            from pipeline.ingestion.deliveries import find_deliveries, is_closed
            from pipeline.ingestion.sources import load_sources
            from pipeline.settings import load_settings

            settings, context = load_settings(), get_current_context()
            span, name = span_of(context), context["params"]["source"]
            source = load_sources(settings, table, name).get(table, name)
            if all(is_closed(source, day) for day in span.days):
                raise skip("the shop is closed, so no delivery is expected")
            found = find_deliveries(settings, source, since=span.since, until=span.until)
            log_event(log, "days chosen", table=table, since=span.since, until=span.until, deliveries=len(found))
            return PokeReturnValue(bool(found), [delivery.as_dict() for delivery in found])

        @task
        @step
        def land(deliveries: list[dict[str, Any]]) -> list[dict[str, Any]]:
            from pipeline.ingestion import steps as ingestion
            from pipeline.ingestion.deliveries import Delivery
            from pipeline.settings import load_settings

            return [ingestion.land(load_settings(), Delivery.from_dict(delivery)).as_dict() for delivery in deliveries]

        @task(multiple_outputs=False)
        @step
        def check(landed: list[dict[str, Any]]) -> dict[str, Any]:
            from pipeline.ingestion import steps as ingestion
            from pipeline.settings import load_settings

            accepted, refused = [], []
            for record in landed:
                try:
                    accepted.append(ingestion.check(load_settings(), ingestion.Landed.from_dict(record)).as_dict())
                except RefusedError as error:
                    refused.append(str(error))
            return {"accepted": accepted, "refused": refused}

        @task(outlets=[table_asset])
        @step
        def commit(checked: dict[str, Any]) -> None:
            from pipeline.ingestion import steps as ingestion
            from pipeline.settings import load_settings

            if not checked["accepted"]:
                raise skip("no delivery was accepted")
            settings, context = load_settings(), get_current_context()
            done = [ingestion.commit(settings, ingestion.Checked.from_dict(record)) for record in checked["accepted"]]
            day = max((day for delivery in done for day in delivery.days), default=span_of(context).last)
            version = max(delivery.ref.version for delivery in done)
            context["outlet_events"][table_asset].extra = {"table": table, "version": version, "day": format_day(day)}

        @task(trigger_rule="none_failed_min_one_success")
        @step
        def refusals(checked: dict[str, Any]) -> None:
            if checked["refused"]:
                raise RefusedError("Deliveries were refused", observed="\n".join(checked["refused"]))

        checked = check(land(wait_for_delivery()))
        commit(checked) >> refusals(checked) >> morning_page()

    return define_tasks()
