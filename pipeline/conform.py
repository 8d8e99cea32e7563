"""Rows of text, mapped onto a contract and typed; what cannot be is told cell by cell."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.cells import parse, trimmed
from pipeline.contracts import Column, Contract
from pipeline.contracts.contract import ARROW_TYPES, Kind
from pipeline.errors import RefusedError
from pipeline.readers import Rows
from pipeline.sources import NamedSource

ROW = "_row"
SHOWN = 40
"""How much of a faulty cell a message quotes."""
EXPECTED = {
    Kind.INTEGER: "is not a whole number",
    Kind.NUMBER: "is not a finite number",
    Kind.TIMESTAMP: "is not a date and time of the form {form}",
}


@dataclass(frozen=True)
class Conformed:
    """Typed rows and what was wrong with them.

    Attributes:
        rows: the contract's columns, the derived ones, `row` and `day`; a cell that could not be read is null.
        faults: for each faulty row number, the reasons by column.
    """

    rows: pa.Table
    faults: dict[int, dict[str, str]]


def conform(rows: Rows, source: NamedSource, contract: Contract) -> Conformed:
    """Map and type a delivery's rows.

    Raises:
        RefusedError: naming every column that is missing, and every one that nobody expects.
    """
    _refuse_other_columns(rows.table.column_names, source, contract)
    faults: dict[int, dict[str, str]] = defaultdict(dict)
    columns = {}
    for column in contract.columns:
        columns[column.name], unread = _read(rows.table, column, source)
        for row, reason in zip(rows.numbers.filter(unread.mask).to_pylist(), unread.reasons, strict=True):
            faults[row][column.name] = reason
    table = contract.derive(pa.table(columns), {**contract.options, **source.spec.options})
    table = table.append_column("row", rows.numbers)
    table = table.append_column("day", table[contract.event_time].cast(pa.date32()))
    wanted = pa.schema([field for field in contract.schema if field.name != "delivery"])
    return Conformed(table.select(wanted.names).cast(wanted), dict(faults))


def exact_repeats(rows: Rows) -> set[int]:
    """The numbers of the rows that say, in every column, just what an earlier row says."""
    names = [str(position) for position in range(rows.table.num_columns)]
    first = (
        rows.table.rename_columns(names)
        .append_column(ROW, rows.numbers)
        .group_by(names, use_threads=False)
        .aggregate([(ROW, "min")])
        .column(f"{ROW}_min")
    )
    if len(first) == rows.table.num_rows:
        return set()
    repeated = pc.invert(pc.is_in(rows.numbers, value_set=first.combine_chunks()))
    return set(rows.numbers.filter(repeated).to_pylist())


@dataclass(frozen=True)
class _Unread:
    """The cells that have text of the wrong kind: where they are, and what to say of each."""

    mask: pa.Array
    reasons: list[str]


def _read(table: pa.Table, column: Column, source: NamedSource) -> tuple[pa.ChunkedArray, _Unread]:
    mapping = source.spec.columns.get(column.name)
    if mapping is None:
        nothing = pa.nulls(table.num_rows, ARROW_TYPES[column.kind])
        return pa.chunked_array([nothing]), _Unread(pa.array([False] * table.num_rows), [])
    text = trimmed(table[mapping.source])
    values = parse(text, column.kind, decimal=source.spec.format.decimal, form=mapping.format)
    mask = pc.and_(pc.is_valid(text), pc.is_null(values))
    said = EXPECTED.get(column.kind, "").format(form=mapping.format or "YYYY-MM-DD HH:MM:SS")
    unread = _Unread(mask, [f"{cell[:SHOWN]!r} {said}" for cell in text.filter(mask).to_pylist()])
    if column.kind is Kind.TIMESTAMP and mapping.time_zone not in (None, source.time_zone):
        values = _in_shop_time(values, str(mapping.time_zone), source.time_zone)
    return values, unread


def _in_shop_time(times: pa.ChunkedArray, zone: str, shop: str) -> pa.ChunkedArray:
    """Timestamps from a clock in another zone, as the shop's clock showed them."""
    # An hour that a clock shows twice is taken as its first showing; one that it skips, as what follows.
    instants = pc.assume_timezone(times, zone, ambiguous="earliest", nonexistent="latest")
    return pc.local_timestamp(instants.cast(pa.timestamp("us", shop)))


def _refuse_other_columns(names: list[str], source: NamedSource, contract: Contract) -> None:
    mapped = {column.source for column in source.spec.columns.values()}
    missing = [
        f"{mapping.source!r} (mapped to {column}, line {source.column_lines[column]})"
        for column, mapping in source.spec.columns.items()
        if mapping.source not in names
    ]
    extra = sorted(set(names) - mapped - set(source.spec.ignore))
    if not missing and not extra:
        return
    observed = []
    if missing:
        observed.append(f"missing {', '.join(missing)}")
    if extra:
        observed.append(f"unexpected {', '.join(map(repr, extra))}")
    raise RefusedError(
        f"The delivery's columns are not those that are mapped onto {contract.table}",
        where=source.where,
        observed=f"{'; '.join(observed)}; the header has {', '.join(map(repr, names))}",
        allowed=", ".join(sorted(mapped)),
        todo="mend the mapping, or list columns that are not wanted under ignore:",
    )
