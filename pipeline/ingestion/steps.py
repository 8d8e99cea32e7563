"""A delivery in, rows out: land the bytes; read, map, type and validate them; commit what stands.

Four tables are written, each by one atomic commit, in an order that makes a kill at any moment harmless:

- `<table>.received`: the good rows of each delivery, whatever other deliveries say (partitioned by delivery);
- `<table>.quarantine`: the rows that did not keep the contract, as they came, with their reasons (by delivery);
- `<table>`: what stands (by day). Where deliveries overlap, the newest one that speaks of a thing (the contract's
  `line_key`) on a day is believed. A day of it is a function of the received rows of that day, so it is the same
  whatever came first, came twice or came at once;
- `ledger`: last. A delivery is done when the ledger says so; until then the next run does it again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any, Self

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis.backends.duckdb import Backend
from upath import UPath

from pipeline.contracts import CONTRACTS, Contract
from pipeline.dates import UNDATED
from pipeline.errors import RefusedError
from pipeline.ingestion import ledger
from pipeline.ingestion.addresses import resolve
from pipeline.ingestion.deliveries import Delivery, find_deliveries, is_closed, open_delivery
from pipeline.ingestion.joins import left_join
from pipeline.ingestion.ledger import LedgerEntry, Status
from pipeline.ingestion.mapping import ROW, MappedRows, exact_repeats, map_rows
from pipeline.ingestion.readers import read_rows
from pipeline.ingestion.report import write_refusal_page, write_validation_page
from pipeline.ingestion.rows import Rows
from pipeline.ingestion.source_schema import Format
from pipeline.ingestion.sources import NamedSource, load_sources
from pipeline.lake import engine
from pipeline.lake.files import Blob
from pipeline.lake.tables import Lake, TableRef
from pipeline.settings import Settings

RECENT_DAYS = 28
MIN_RECENT_DAYS = 7
CLOCK_SLACK = timedelta(days=1)
REPLAY = "--replay-"
"""What stands between the id of a delivery and the mark of a mending, in the mending's id."""

QUARANTINE_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("reasons", pa.list_(pa.string())),
        ("raw", pa.string()),
        ("replayed_in", pa.string()),
        ("delivery", pa.string()),
    ]
)


def received_table(table: str) -> str:
    """The table of the good rows of each delivery."""
    return f"{table}.received"


def quarantine_table(table: str) -> str:
    """The table of the rows that did not keep the contract."""
    return f"{table}.quarantine"


@dataclass(frozen=True)
class Landed:
    """A delivery whose bytes are kept.

    Attributes:
        unchanged: whether the ledger already says what became of just these.
        joined: where the bytes of the file are kept that is to be joined to it, if one is.
    """

    delivery: Delivery
    entry: LedgerEntry
    unchanged: bool
    joined: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON can hold it."""
        entry = asdict(self.entry) | {"landed_at": self.entry.landed_at.isoformat()}
        return {
            "delivery": self.delivery.as_dict(),
            "entry": entry,
            "unchanged": self.unchanged,
            "joined": self.joined,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        entry = dict(record["entry"])
        entry |= {"landed_at": datetime.fromisoformat(entry["landed_at"]), "status": Status(entry["status"])}
        return cls(
            Delivery.from_dict(record["delivery"]), LedgerEntry(**entry), record["unchanged"], record.get("joined")
        )


def pending(
    settings: Settings, table: str, source: str | None = None, *, since: date | None = None, until: date | None = None
) -> list[Delivery]:
    """The deliveries that a source has for a range of days (`until` exclusive), or all it has."""
    return find_deliveries(settings, load_sources(settings, table, source).get(table, source), since=since, until=until)


def ingest(settings: Settings, delivery: Delivery) -> LedgerEntry:
    """All of a delivery's way in.

    Raises:
        RefusedError: if the delivery as a whole cannot be taken; what it brought before still stands.
    """
    landed = check(settings, land(settings, delivery))
    return commit(settings, landed).entry


def land(settings: Settings, delivery: Delivery) -> Landed:
    """Keep the delivery's bytes as they came, and note in the ledger that they did."""
    lake = Lake(settings)
    source = _source_of(settings, delivery)
    with open_delivery(delivery) as stream:
        blob = lake.land(delivery.table, delivery.id, delivery.name, stream)
    joined = _land_joined(settings, lake, delivery, source)
    rules = _rules(settings, source, joined)
    known = ledger.entries(lake, delivery.table, delivery.id)
    same = next((e for e in known if (e.sha256, e.rules) == (blob.sha256, rules)), None)
    half_done = any(e.status is Status.LANDED for e in known)
    if same and same.status is Status.COMMITTED and not half_done:
        return Landed(delivery, same, unchanged=True)
    # Bytes that come back after others had replaced them speak anew.
    standing = [e.landed_at for e in known if e.sha256 == blob.sha256 and e.status is not Status.REPLACED]
    came = min(standing, default=datetime.now(UTC).replace(tzinfo=None))
    entry = LedgerEntry(
        delivery.table,
        delivery.id,
        source.name,
        blob.sha256,
        rules,
        blob.path,
        blob.size,
        came,
        mends=delivery.corrects,
    )
    ledger.record(lake, entry)
    return Landed(delivery, entry, unchanged=False, joined=joined.path if joined else None)


def _land_joined(settings: Settings, lake: Lake, delivery: Delivery, source: NamedSource) -> Blob | None:
    """Keep the bytes of the file that is to be joined to the delivery, if there is one."""
    if source.spec.join is None:
        return None
    path = UPath(resolve(source.spec.join.address, settings.data))
    try:
        with path.open("rb") as stream:
            return lake.land(delivery.table, delivery.id, path.name, stream)
    except FileNotFoundError as error:
        raise RefusedError(
            "The file to be joined is not there",
            where=f"{path}, {source.where}",
            todo="put it back, or mend join: in sources.yaml",
        ) from error


def check(settings: Settings, landed: Landed) -> Landed:
    """Read, map, type and validate what landed; write the received rows and the quarantine, and a page that says why.

    Raises:
        RefusedError: if the delivery as a whole cannot be taken. The ledger has the reason.
    """
    if landed.unchanged:
        return landed
    lake, delivery = Lake(settings), landed.delivery
    try:
        judged = _judge(settings, lake, landed)
    except RefusedError as refusal:
        ledger.record(lake, replace(landed.entry, status=Status.REFUSED, reason=str(refusal)))
        raise
    where = {"delivery": [delivery.id, *_replays(lake, delivery)]}
    lake.replace(received_table(delivery.table), where, judged.good)
    if judged.bad.num_rows or lake.exists(quarantine_table(delivery.table)):
        lake.replace(quarantine_table(delivery.table), where, judged.bad)
    entry = replace(
        landed.entry,
        read=judged.read,
        clean=judged.good.num_rows,
        quarantined=judged.bad.num_rows,
        repeats=judged.repeats,
    )
    return replace(landed, entry=entry)


@dataclass(frozen=True)
class Committed:
    """A delivery that is done: its ledger entry, and the version of the clean table that has it."""

    entry: LedgerEntry
    ref: TableRef
    days: tuple[date, ...] = ()


def commit(settings: Settings, landed: Landed) -> Committed:
    """Bring the clean table's days in line with what was received, and close the delivery in the ledger."""
    lake, entry = Lake(settings), landed.entry
    if landed.unchanged:
        return Committed(entry, TableRef(entry.table, lake.version(entry.table)))
    contract = CONTRACTS[entry.table]
    con = engine.connect(settings)
    mended = _replays(lake, landed.delivery)
    days = sorted(
        _days_of(con, lake, received_table(entry.table), [entry.delivery])
        | _days_of(con, lake, entry.table, [entry.delivery, *mended])
    )
    if days:
        ref = lake.update(entry.table, {"day": days}, lambda: _current_rows(con, lake, contract, days))
    else:
        # Nothing of the delivery was good, and nothing of it stood: the table may not even exist yet.
        empty = contract.schema.empty_table()
        ref = (
            TableRef(entry.table, lake.version(entry.table))
            if lake.exists(entry.table)
            else lake.append(entry.table, empty, ["day"])
        )
    for old in (old for delivery in mended for old in ledger.entries(lake, entry.table, delivery)):
        ledger.record(lake, replace(old, status=Status.REPLACED))
    done = replace(entry, status=Status.COMMITTED)
    ledger.record(lake, done)
    return Committed(done, ref, tuple(days))


@dataclass(frozen=True)
class _Judged:
    read: int
    good: pa.Table
    bad: pa.Table
    repeats: int


def _judge(settings: Settings, lake: Lake, landed: Landed) -> _Judged:
    # Great Expectations takes seconds to import, so only who judges pays for it.
    from pipeline.ingestion import validation

    delivery, entry = landed.delivery, landed.entry
    source = _source_of(settings, delivery)
    contract = CONTRACTS[delivery.table]
    try:
        rows = _rows_of(lake, landed, source)
        conformed = map_rows(rows, source, contract)
    except RefusedError as refusal:
        write_refusal_page(lake, entry, refusal)
        raise
    repeated = exact_repeats(rows) if source.spec.repeats == "drop" else set()
    distinct = _without(conformed.rows, repeated)
    parameters = validation.Parameters(
        not_after=entry.landed_at + CLOCK_SLACK,
        last_day=_last_day(delivery, source),
        recent_rows=_recent_rows(lake, delivery),
    )
    verdict = validation.validate(distinct, settings.expectations / f"{delivery.table}.json", parameters)
    faults = _faults(rows, conformed, distinct, verdict.faults)
    good = _without(distinct, faults)
    judged = _Judged(
        read=rows.total_rows,
        good=_received(good, delivery, _effective_at(lake, landed), contract),
        bad=_quarantined(rows, faults, delivery),
        repeats=len(repeated),
    )
    write_validation_page(lake, entry, verdict, judged.read, judged.good.num_rows, judged.bad, judged.repeats)
    if verdict.refusals:
        said = "; ".join(f"{v.reason} (observed {v.observed}, allowed {v.bounds})" for v in verdict.refusals)
        raise RefusedError(
            "The delivery as a whole was refused",
            where=f"{delivery.table}, {delivery.id}",
            observed=said,
            todo=f"ask the source what happened; if it is right as it is, mend {delivery.table}.json and run again",
        )
    return judged


def _rows_of(lake: Lake, landed: Landed, source: NamedSource) -> Rows:
    with lake.open_blob(landed.entry.blob) as stream:
        rows = read_rows(stream.read(), landed.delivery.name, source.spec.format)
    join = source.spec.join
    if join and landed.joined:
        with lake.open_blob(landed.joined) as stream:
            more = read_rows(stream.read(), landed.joined, join.format)
        rows = left_join(rows, more, join.by, source.where)
    if landed.delivery.corrects:
        # Which row each of them mends is the quarantine's business; here they are rows like all others.
        rows = replace(rows, table=rows.table.drop_columns([ROW]))
    return rows


def _faults(
    rows: Rows, conformed: MappedRows, judged: pa.Table, failed: Mapping[int, Mapping[str, list[str]]]
) -> dict[int, list[str]]:
    """The reasons against each row, by its number: those of splitting, of typing, and of the suite."""
    faults: dict[int, list[str]] = {line.row: [line.fault] for line in rows.malformed}
    numbers = judged["row"]
    by_row = {numbers[position].as_py(): reasons for position, reasons in failed.items()}
    kept = set(numbers.to_pylist()) if conformed.faults else set()
    for row in sorted({*by_row, *(row for row in conformed.faults if row in kept)}):
        typing = conformed.faults.get(row, {})
        faults[row] = [f"{column}: {reason}" for column, reason in typing.items()]
        for column, reasons in by_row.get(row, {}).items():
            # A cell that could not be read is missing only because of that.
            faults[row] += [f"{column}: {reason}" for reason in reasons if column not in typing]
    return faults


def _without(table: pa.Table, rows: set[int] | Mapping[int, object]) -> pa.Table:
    if not rows:
        return table
    gone = pa.array(sorted(rows), pa.int64())
    return table.filter(pa.compute.invert(pa.compute.is_in(table["row"], value_set=gone)))


def _effective_at(lake: Lake, landed: Landed) -> datetime:
    """Since when a delivery says what it says; a mending, since what it mends does."""
    mended = ledger.entries(lake, landed.entry.table, landed.entry.mends) if landed.entry.mends else []
    return next((e.landed_at for e in mended if e.status is Status.COMMITTED), landed.entry.landed_at)


def _received(good: pa.Table, delivery: Delivery, spoken_at: datetime, contract: Contract) -> pa.Table:
    """The good rows, with who speaks and since when: a mending speaks in the place of what it mends."""
    count = good.num_rows
    dated = good.set_column(good.schema.get_field_index("day"), "day", good["day"].fill_null(UNDATED))
    full = dated.append_column("delivery", pa.array([delivery.id] * count, pa.string())).select(contract.schema.names)
    return full.append_column(
        "speaker", pa.array([delivery.corrects or delivery.id] * count, pa.string())
    ).append_column("spoken_at", pa.array([spoken_at] * count, pa.timestamp("us")))


def _quarantined(rows: Rows, faults: Mapping[int, list[str]], delivery: Delivery) -> pa.Table:
    wanted = pa.array(sorted(faults), pa.int64())
    told = rows.table.append_column(ROW, rows.numbers).filter(pa.compute.is_in(rows.numbers, value_set=wanted))
    raw = {record.pop(ROW): record for record in told.to_pylist()}
    raw |= {line.row: {"": line.text} for line in rows.malformed}
    return pa.Table.from_pylist(
        [
            {
                "row": row,
                "reasons": reasons,
                "raw": json.dumps(raw[row], ensure_ascii=False),
                "replayed_in": None,
                "delivery": delivery.id,
            }
            for row, reasons in sorted(faults.items())
        ],
        schema=QUARANTINE_SCHEMA,
    )


def _current_rows(con: Backend, lake: Lake, contract: Contract, days: list[date]) -> pa.Table:
    """What stands on some days, of all that was received for them."""
    first, last = min(days), max(days)
    received = received_table(contract.table)
    rows = engine.table(
        con,
        lake,
        received,
        keep=lambda file: file["num_records"] and file["min.day"] <= last and file["max.day"] >= first,
    )
    rows = rows.filter(rows.day.isin(days))
    speakers = rows.aggregate(speakers=rows.speaker.nunique()).to_pyarrow()["speakers"][0].as_py()
    if speakers > 1:
        rows = _resolve_overlaps(rows, contract)
    return rows.select(contract.schema.names).order_by("day", "delivery", "row").to_pyarrow().cast(contract.schema)


def _resolve_overlaps(rows: ir.Table, contract: Contract) -> ir.Table:
    """Of the deliveries that speak of the same thing on the same day, only the newest."""
    newest_first = ibis.window(
        group_by=["day", *contract.line_key], order_by=[rows.spoken_at.desc(), rows.speaker.desc()]
    )
    return rows.mutate(rank=ibis.dense_rank().over(newest_first)).filter(lambda t: t["rank"] == 0)


def _days_of(con: Backend, lake: Lake, table: str, deliveries: list[str]) -> set[date]:
    """The days on which a table has rows of some deliveries."""
    if not lake.exists(table):
        return set()

    def may_have(file: Mapping[str, Any]) -> bool:
        if "partition.delivery" in file:
            return file["partition.delivery"] in deliveries
        return bool(file["num_records"]) and any(file["min.delivery"] <= d <= file["max.delivery"] for d in deliveries)

    rows = engine.table(con, lake, table, keep=may_have)
    found = rows.filter(rows.delivery.isin(deliveries)).select("day").distinct().to_pyarrow()
    return set(found["day"].to_pylist())


def _replays(lake: Lake, delivery: Delivery) -> list[str]:
    """The deliveries that mended rows of this one: they mend rows that are no more once it comes anew."""
    named = [name for name in lake.row_counts(ledger.LEDGER, "delivery") if name.startswith(delivery.id + REPLAY)]
    return [name for name in named if any(e.mends == delivery.id for e in ledger.entries(lake, delivery.table, name))]


def _recent_rows(lake: Lake, delivery: Delivery) -> float | None:
    """The median number of rows of the days before a delivery of one day; None while too few are known."""
    if delivery.first is None or delivery.until != delivery.first + timedelta(days=1):
        return None
    counts = lake.row_counts(delivery.table, "day")
    low, high = (delivery.first - timedelta(days=RECENT_DAYS)).isoformat(), delivery.first.isoformat()
    recent = [count for day, count in counts.items() if low <= day < high]
    return float(median(recent)) if len(recent) >= MIN_RECENT_DAYS else None


def _last_day(delivery: Delivery, source: NamedSource) -> datetime | None:
    """The last day that a delivery is for and on which the shop was open; None where its address names no days."""
    if delivery.first is None or delivery.until is None:
        return None
    days = (delivery.until - timedelta(days=n) for n in range(1, (delivery.until - delivery.first).days + 1))
    last = next((day for day in days if not is_closed(source, day)), None)
    return datetime.combine(last, datetime.min.time()) if last else None


def _source_of(settings: Settings, delivery: Delivery) -> NamedSource:
    """The source of a delivery; mended rows come as the quarantine gives them out, whatever form the source has:
    what was joined to them stands in them."""
    source = load_sources(settings).get(delivery.table, delivery.source)
    if delivery.corrects is None:
        return source
    form = Format(type="csv", delimiter=",", decimal=source.spec.format.decimal, final_newline="optional")
    return replace(source, spec=source.spec.model_copy(update={"format": form, "join": None}))


def _rules(settings: Settings, source: NamedSource, joined: Blob | None) -> str:
    """A hash of all that decides what becomes of a delivery's rows, but their bytes."""
    suite = settings.expectations / f"{source.table}.json"
    parts: Iterator[bytes] = iter(
        (
            source.spec.model_dump_json(exclude={"address": True, "join": {"address"}}).encode(),
            joined.sha256.encode() if joined else b"",
            source.time_zone.encode(),
            suite.read_bytes() if suite.exists() else b"",
            str(CONTRACTS[source.table].schema).encode(),
        )
    )
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
