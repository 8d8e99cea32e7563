"""The assessment of a delivery: which of its rows are accepted, and which are rejected for what reasons."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pyarrow as pa

from pipeline.contracts import CONTRACTS
from pipeline.errors import AisleError, RefusedError
from pipeline.ingestion.deliveries import Delivery, is_closed
from pipeline.ingestion.joins import left_join
from pipeline.ingestion.ledger import LedgerEntry
from pipeline.ingestion.levels import recent_levels, recent_rows
from pipeline.ingestion.mapping import ROW, MappedRows, exact_repeats, map_rows
from pipeline.ingestion.quarantine import quarantined_rows, source_name
from pipeline.ingestion.readers import read_rows
from pipeline.ingestion.received import effective_at, received_rows
from pipeline.ingestion.report import write_refusal_page, write_validation_page
from pipeline.ingestion.rows import Rows
from pipeline.ingestion.source_schema import Format
from pipeline.ingestion.sources import NamedSource, load_sources
from pipeline.ingestion.suites import Parameters, Validation, load_suite, quarantined_share
from pipeline.lake.tables import Lake
from pipeline.logs import log_event
from pipeline.settings import Settings

log = logging.getLogger(__name__)

CLOCK_TOLERANCE = timedelta(days=1)
"""How much later than its arrival an event may be dated, since clocks differ."""


@dataclass(frozen=True)
class Assessment:
    """The rows of a delivery: read = accepted + rejected + repeats.

    Attributes:
        read: number of rows in the delivery.
        accepted: rows for the received table.
        rejected: rows for the quarantine.
        repeats: number of exact repeats that are dropped.
        validation: the results of the suite.
        warnings: what is unusual about the delivery, in sentences; no row is rejected for it.
    """

    read: int
    accepted: pa.Table
    rejected: pa.Table
    repeats: int
    validation: Validation
    warnings: tuple[str, ...] = ()


def assess(settings: Settings, lake: Lake, delivery: Delivery, entry: LedgerEntry, joined: str | None) -> Assessment:
    """Assess the landed bytes of a delivery and write the delivery's page.

    Args:
        settings: the settings.
        lake: where the bytes are.
        delivery: the delivery.
        entry: its ledger entry, which names the bytes.
        joined: where the bytes of the file to be joined are, relative to home, if there is one.

    Raises:
        RefusedError: if the delivery as a whole cannot be accepted.
        UsageError: if its suite is missing or malformed.
    """
    try:
        assessment = assess_rows(settings, lake, delivery, entry, joined)
    except RefusedError as refusal:
        write_refusal_page(lake, entry, refusal)
        raise
    write_validation_page(
        lake,
        entry,
        assessment.validation,
        read=assessment.read,
        clean=assessment.accepted.num_rows,
        quarantined=assessment.rejected,
        repeats=assessment.repeats,
        warnings=assessment.warnings,
    )
    where = {"table": delivery.table, "delivery": delivery.id}
    for warning in assessment.warnings:
        log_event(log, "warning", logging.WARNING, **where, reason=warning)
    refusals = assessment.validation.refusals
    for result in refusals:
        log_event(log, "expectation failed", logging.WARNING, **where, reason=result.reason)
    if refusals:
        raise RefusedError(
            "The delivery as a whole was refused",
            where=f"{delivery.table}, {delivery.id}",
            observed="; ".join(r.sentence for r in refusals),
            todo=f"ask the source what happened; if it is right, correct {delivery.table}.json and run again",
        )
    return assessment


def assess_rows(
    settings: Settings, lake: Lake, delivery: Delivery, entry: LedgerEntry, joined: str | None
) -> Assessment:
    """Read, map, type and validate the landed bytes of a delivery, whether or not it is to be refused as a whole.

    The arguments are those of `assess`.

    Raises:
        RefusedError: if the rows cannot be read, mapped or validated, for whatever reason.
        UsageError: if the suite is missing or malformed.
    """
    # Great Expectations takes seconds to import, and no other step needs it.
    from pipeline.ingestion.validation import validate

    source = source_of(settings, delivery)
    contract = CONTRACTS[delivery.table]
    suite = load_suite(settings.expectations / f"{delivery.table}.json")
    with _refusing_on_failure(delivery):
        rows = _read(settings, lake, delivery, entry, joined, source)
        mapped = map_rows(rows, source, contract)
        repeated = exact_repeats(rows) if source.spec.repeats == "drop" else set()
        distinct = _without(mapped.rows, repeated)
    parameters = Parameters(
        not_after=entry.landed_at + CLOCK_TOLERANCE,
        last_day=_last_day(delivery, source),
        recent_rows=recent_rows(lake, delivery),
        recent_levels=recent_levels(settings, lake, delivery, contract, suite, distinct),
    )
    with _refusing_on_failure(delivery):
        validation = validate(distinct, suite, parameters, contract.measures)
        faults = _faults(rows, mapped, distinct, validation.faults)
        rejected = quarantined_rows(rows, faults, delivery)
    if delivery.corrects is None:
        # Rows of a correction were in quarantine before, so it may well be that most of them still are.
        share = quarantined_share(suite, faults, rows.total_rows - len(repeated))
        validation = replace(validation, results=(*validation.results, share))
    return Assessment(
        read=rows.total_rows,
        accepted=received_rows(_without(distinct, faults), delivery, effective_at(lake, entry), contract),
        rejected=rejected,
        repeats=len(repeated),
        validation=validation,
        warnings=(*mapped.warnings, *(r.sentence for r in validation.warnings)),
    )


def source_of(settings: Settings, delivery: Delivery) -> NamedSource:
    """Return the source of a delivery.

    Corrected rows have the form in which the quarantine exports them, whatever form the source has; the columns of a
    joined file are already among theirs.
    """
    source = load_sources(settings).get(delivery.table, delivery.source)
    if delivery.corrects is None:
        return source
    form = Format(type="csv", delimiter=",", decimal=source.spec.format.decimal, final_newline="optional")
    return replace(source, spec=source.spec.model_copy(update={"format": form, "join": None}))


@contextmanager
def _refusing_on_failure(delivery: Delivery) -> Iterator[None]:
    """Refuse the delivery if anything fails on its rows in a way that no check foresees, so that others go on.

    Errors of the storage pass, because another attempt may succeed.
    """
    try:
        yield
    except (AisleError, OSError):
        raise
    except Exception as error:
        log.warning("unforeseen failure table=%s delivery=%s", delivery.table, delivery.id, exc_info=True)
        raise RefusedError(
            "The delivery's rows cannot be processed",
            where=f"{delivery.table}, {delivery.id}",
            observed=f"{type(error).__name__}: {error}",
            todo="ask the source what it sent; the log has the place of the failure",
        ) from error


def _read(
    settings: Settings, lake: Lake, delivery: Delivery, entry: LedgerEntry, joined: str | None, source: NamedSource
) -> Rows:
    most = settings.max_delivery_bytes
    rows = read_rows(_bytes(lake, entry.blob, most), delivery.name, source.spec.format, most)
    join = source.spec.join
    if join and joined:
        rows = left_join(rows, read_rows(_bytes(lake, joined, most), joined, join.format, most), join.by, source.where)
    if delivery.corrects:
        # The number of the corrected row matters only to the quarantine; here the rows are like all others.
        table = rows.table.drop_columns([ROW])
        rows = replace(rows, table=table.rename_columns([source_name(name) for name in table.column_names]))
    return rows


def _bytes(lake: Lake, path: str, most: int) -> bytes:
    """Read a landed file; one larger than `most` only so far that it is known to be."""
    with lake.open_blob(path) as stream:
        return stream.read(most + 1)


def _faults(
    rows: Rows, mapped: MappedRows, validated: pa.Table, failed: Mapping[int, Mapping[str, list[str]]]
) -> dict[int, list[str]]:
    """Collect the reasons against each row by its number: from splitting, from typing and from the suite.

    Args:
        rows: the rows as read.
        mapped: the typed rows.
        validated: the typed rows that were validated.
        failed: the reasons from the suite by position in `validated` and column.
    """
    faults: dict[int, list[str]] = {line.row: [line.fault] for line in rows.malformed}
    numbers = validated["row"]
    by_row = {numbers[position].as_py(): reasons for position, reasons in failed.items()}
    kept = set(numbers.to_pylist()) if mapped.faults else set()
    for row in sorted({*by_row, *(row for row in mapped.faults if row in kept)}):
        typing = mapped.faults.get(row, {})
        faults[row] = [f"{column}: {reason}" for column, reason in typing.items()]
        for column, reasons in by_row.get(row, {}).items():
            # A cell that could not be typed is null, and would be reported as missing too.
            faults[row] += [f"{column}: {reason}" for reason in reasons if column not in typing]
    return faults


def _without(table: pa.Table, numbers: set[int] | Mapping[int, object]) -> pa.Table:
    """Return the rows of a table except those with some numbers."""
    if not numbers:
        return table
    removed = pa.array(sorted(numbers), pa.int64())
    return table.filter(pa.compute.invert(pa.compute.is_in(table["row"], value_set=removed)))


def _last_day(delivery: Delivery, source: NamedSource) -> datetime | None:
    """Return the last day of a delivery's days on which the shop was open; None if its address names no days."""
    if delivery.first is None or delivery.until is None:
        return None
    days = (delivery.until - timedelta(days=n) for n in range(1, (delivery.until - delivery.first).days + 1))
    last = next((day for day in days if not is_closed(source, day)), None)
    return datetime.combine(last, datetime.min.time()) if last else None
