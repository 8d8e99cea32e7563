"""The assessment of a delivery: which of its rows are accepted, and which are rejected for what reasons."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa

from pipeline.contracts import CONTRACTS, Contract
from pipeline.errors import AisleError, RefusedError
from pipeline.ingestion.deliveries import Delivery, is_closed
from pipeline.ingestion.joins import left_join
from pipeline.ingestion.ledger import LedgerEntry
from pipeline.ingestion.levels import recent_levels, recent_rows
from pipeline.ingestion.mapping import ROW, map_rows
from pipeline.ingestion.quarantine import source_name
from pipeline.ingestion.readers import read_batches, read_rows
from pipeline.ingestion.received import effective_at, received_rows
from pipeline.ingestion.repeats import RepeatFinder
from pipeline.ingestion.report import write_refusal_page, write_validation_page
from pipeline.ingestion.rows import NO_ROWS, Malformed, Numbers, Rows, union
from pipeline.ingestion.source_schema import Format
from pipeline.ingestion.sources import NamedSource, load_sources
from pipeline.ingestion.staging import Stage
from pipeline.ingestion.suites import Parameters, Validation, load_suite, quarantined_share
from pipeline.lake.sql import quoted
from pipeline.lake.tables import Lake
from pipeline.logs import log_event
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.ingestion.rejections import Rejections

log = logging.getLogger(__name__)

CLOCK_TOLERANCE = timedelta(days=1)
"""How much later than its arrival an event may be dated, since clocks differ."""


@dataclass(frozen=True)
class Assessment:
    """The rows of a delivery: read = accepted + rejected + repeats. Its context removes their temporary files.

    Attributes:
        read: number of rows in the delivery.
        clean: number of rows that are accepted.
        repeats: number of exact repeats that are dropped.
        rejections: the rows for the quarantine.
        validation: the results of the suite.
        warnings: what is unusual about the delivery, in sentences; no row is rejected for it.
    """

    read: int
    clean: int
    repeats: int
    rejections: Rejections
    validation: Validation
    warnings: tuple[str, ...]
    _stage: Stage
    _accepted: Callable[[], pa.RecordBatchReader]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stage.__exit__(*error)

    @property
    def quarantined(self) -> int:
        """Number of rows that are rejected."""
        return self.rejections.rows

    def accepted(self) -> pa.RecordBatchReader:
        """Read the rows for the received table, from the first one each time."""
        return self._accepted()

    def rejected(self) -> pa.RecordBatchReader:
        """Read the rows for the quarantine, from the first one each time."""
        return self.rejections.reader()


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
        assessment.rejections,
        read=assessment.read,
        clean=assessment.clean,
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
        assessment.__exit__()
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
    stage = Stage(lake.engine)
    try:
        with _refusing_on_failure(delivery):
            return _assess_staged(stage, settings, lake, delivery, entry, joined)
    except BaseException:
        stage.__exit__()
        raise


def _assess_staged(
    stage: Stage, settings: Settings, lake: Lake, delivery: Delivery, entry: LedgerEntry, joined: str | None
) -> Assessment:
    # Great Expectations takes seconds to import, and no other step needs it.
    from pipeline.ingestion.rejections import reject
    from pipeline.ingestion.validation import SuiteCheck

    source, contract = source_of(settings, delivery), CONTRACTS[delivery.table]
    suite = load_suite(settings.expectations / f"{delivery.table}.json")
    parameters = Parameters(
        not_after=entry.landed_at + CLOCK_TOLERANCE,
        last_day=_last_day(delivery, source),
        recent_rows=recent_rows(lake, delivery),
    )
    check = SuiteCheck(suite, parameters, contract.measures)
    repeats = RepeatFinder() if source.spec.repeats == "drop" else None
    malformed: list[Malformed] = []
    mistyped: list[Numbers] = []
    batches = _read(settings, lake, delivery, entry, joined, source)
    for rows in batches:
        malformed += rows.malformed
        try:
            mapped = map_rows(rows, source, contract)
        except RefusedError:
            # A file that is damaged further on is refused for that.
            deque(batches, maxlen=0)
            raise
        stage.add(rows, mapped.rows)
        check.add(mapped.rows)
        mistyped.append(np.array(sorted(mapped.faults), np.int64))
        if repeats:
            repeats.add(rows, stage.con)
    stage.seal()
    repeated = repeats.find(stage) if repeats else NO_ROWS
    levels = recent_levels(stage, lake, delivery, contract, suite, _days(stage, delivery, contract, repeated))
    validation = check.finish(stage, repeated, replace(parameters, recent_levels=levels))
    faulty = np.setdiff1d(union(*mistyped, *(rows.numbers for rows in validation.failed)), repeated)
    rejections = reject(stage, malformed, faulty, validation.failed, delivery, source, contract)
    read = stage.rows + len(malformed)
    if delivery.corrects is None:
        # Rows of a correction were in quarantine before, so it may well be that most of them still are.
        share = quarantined_share(suite, rejections.rows, read - len(repeated), rejections.kinds)
        validation = replace(validation, results=(*validation.results, share))
    without = union(repeated, faulty)
    since = effective_at(lake, entry)
    told = contract.warn(stage.table(columns=list(contract.warn_columns))) if contract.warn_columns else []
    return Assessment(
        read=read,
        clean=stage.rows - len(without),
        repeats=len(repeated),
        rejections=rejections,
        validation=validation,
        warnings=(*told, *(r.sentence for r in validation.warnings)),
        _stage=stage,
        _accepted=lambda: received_rows(stage.typed(without), delivery, since, contract),
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
) -> Iterator[Rows]:
    most, join = settings.max_delivery_bytes, source.spec.join
    more = None
    if join and joined:
        with lake.open_blob(joined) as stream:
            more = read_rows(stream.read(most + 1), joined, join.format, most)
    with lake.open_blob(entry.blob) as stream:
        for rows in read_batches(stream, delivery.name, source.spec.format, most):
            if join and more:
                yield left_join(rows, more, join.by, source.where)
            elif delivery.corrects:
                # The number of the corrected row matters only to the quarantine; here the rows are like all others.
                table = rows.table.drop_columns([ROW])
                yield replace(rows, table=table.rename_columns([source_name(name) for name in table.column_names]))
            else:
                yield rows


def _days(stage: Stage, delivery: Delivery, contract: Contract, repeated: Numbers) -> tuple[date | None, date | None]:
    """Return the first and the last day that a delivery is for: by its address, else by its rows."""
    if delivery.first is not None and delivery.until is not None:
        return delivery.first, delivery.until - timedelta(days=1)
    if contract.event_time is None:
        return None, None
    time = quoted(contract.event_time)
    days = f"SELECT CAST(min({time}) AS DATE) AS first, CAST(max({time}) AS DATE) AS last"
    found = stage.one(f"{days} FROM ({stage.relation(repeated)})")
    return found["first"], found["last"]


def _last_day(delivery: Delivery, source: NamedSource) -> datetime | None:
    """Return the last day of a delivery's days on which the shop was open; None if its address names no days."""
    if delivery.first is None or delivery.until is None:
        return None
    days = (delivery.until - timedelta(days=n) for n in range(1, (delivery.until - delivery.first).days + 1))
    last = next((day for day in days if not is_closed(source, day)), None)
    return datetime.combine(last, datetime.min.time()) if last else None
