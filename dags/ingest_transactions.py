"""
### Ingest transactions

Brings the invoice lines of a day, or of any stretch of days, from their source into the lake.

**Purpose:** wait for the delivery → keep its bytes as they came → check every row → commit clean rows and quarantine.

**Inputs:** the source of `transactions` in `sources.yaml`. A nightly run takes the day of its data interval (UTC).
Started by hand, the form's *From* and *Until* say which days; *Source* picks one of several sources.

**Outputs:** tables `transactions`, `transactions.quarantine` and `ledger`; an event of the asset `transactions` with
the newest day. For each delivery: rows read = clean + quarantined + exact repeats.

**Safe to run again?** Yes, at once or a year later. A delivery replaces itself; the same bytes again change nothing.
Backfill from *Trigger → Backfill* or with *From* and *Until*.

**When it fails**

- `wait_for_delivery` timed out: nothing arrived in 12 hours. Ask the shop; clear the task when it is there.
- `refusals` is red: a whole delivery was refused (wrong columns, stale, far too few rows) and nothing of it was
  committed; other deliveries of the run were. The log names each reason. Correct the file or `sources.yaml`, run again.
- Rows in quarantine do not fail a run: see `aisle quarantine list`, mend, `aisle quarantine replay`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, PokeReturnValue, dag, get_current_context, task
from airflow.timetables.interval import CronDataIntervalTimetable

from aisle_dags.conventions import DEFAULT_ARGS, FIRST_DAY, TRANSACTIONS, day_field
from aisle_dags.days import span_of
from aisle_dags.steps import skip, step
from pipeline.errors import RefusedError


@dag(
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=FIRST_DAY,
    catchup=False,
    max_active_runs=1,  # a delivery's volume is judged against the days before it, so days go in order
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags={"ingestion", "transactions"},
    params={
        "from": day_field("From", "First day to bring in. Empty: the day of the run's data interval."),
        "until": day_field("Until", "First day that no longer belongs to it. Empty: the day after *From*."),
        "source": Param(None, type=["null", "string"], title="Source", description_md="Empty: every source."),
    },
)
def ingest_transactions() -> None:
    @task.sensor(mode="reschedule", poke_interval=timedelta(minutes=5), timeout=timedelta(hours=12))
    @step
    def wait_for_delivery() -> PokeReturnValue:
        from pipeline.deliveries import find, is_closed
        from pipeline.settings import load_settings
        from pipeline.sources import load_sources

        settings, context = load_settings(), get_current_context()
        span, name = span_of(context), context["params"]["source"]
        source = load_sources(settings, TRANSACTIONS.name, name).get(TRANSACTIONS.name, name)
        if all(is_closed(source, day) for day in span.days):
            raise skip("the shop is closed, so nothing will come")
        found = find(settings, source, since=span.since, until=span.until)
        return PokeReturnValue(bool(found), [delivery.as_dict() for delivery in found])

    @task
    @step
    def land(deliveries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        from pipeline import ingest
        from pipeline.deliveries import Delivery
        from pipeline.settings import load_settings

        return [ingest.land(load_settings(), Delivery.from_dict(delivery)).as_dict() for delivery in deliveries]

    @task(multiple_outputs=False)
    @step
    def check(landed: list[dict[str, Any]]) -> dict[str, Any]:
        from pipeline import ingest
        from pipeline.settings import load_settings

        accepted, refused = [], []
        for record in landed:
            try:
                accepted.append(ingest.check(load_settings(), ingest.Landed.from_dict(record)).as_dict())
            except RefusedError as error:
                refused.append(str(error))
        return {"accepted": accepted, "refused": refused}

    @task(outlets=[TRANSACTIONS])
    @step
    def commit(checked: dict[str, Any]) -> None:
        from pipeline import ingest
        from pipeline.settings import load_settings

        if not checked["accepted"]:
            raise skip("no delivery was accepted")
        settings = load_settings()
        done = [ingest.commit(settings, ingest.Landed.from_dict(record)) for record in checked["accepted"]]
        context = get_current_context()
        day = max((day for delivery in done for day in delivery.days), default=span_of(context).last)
        extra = {"table": TRANSACTIONS.name, "version": max(delivery.ref.version for delivery in done)}
        context["outlet_events"][TRANSACTIONS].extra = extra | {"day": day.isoformat()}

    @task(trigger_rule="none_failed_min_one_success")
    @step
    def refusals(checked: dict[str, Any]) -> None:

        if checked["refused"]:
            raise RefusedError("Deliveries were refused", observed="\n".join(checked["refused"]))

    checked = check(land(wait_for_delivery()))
    commit(checked) >> refusals(checked)


ingest_transactions()
