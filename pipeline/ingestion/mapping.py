"""Rows of text, mapped onto a contract and typed; what cannot be is told cell by cell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.contracts import Column, Contract
from pipeline.contracts.contract import ColumnType
from pipeline.errors import RefusedError
from pipeline.ingestion.casting import joined, parse, replaced, trimmed
from pipeline.ingestion.readers import Rows
from pipeline.ingestion.sources import MappedColumn, NamedSource

ROW = "_row"
SHOWN = 40
"""How much of a faulty cell a message quotes."""
EXPECTED = {
    ColumnType.INTEGER: "is not a whole number",
    ColumnType.NUMBER: "is not a finite number",
    ColumnType.TIMESTAMP: "is not a date and time of the form {form}",
    ColumnType.DATE: "is not a day of the form {form}",
    ColumnType.BOOLEAN: "is neither true nor false",
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
        for at, reason in unread.items():
            faults[rows.numbers[at].as_py()][column.name] = reason
    table = contract.derive(pa.table(columns), {**contract.options, **source.spec.options})
    table = table.append_column("row", rows.numbers)
    if contract.event_time != "day":
        undated = pa.nulls(table.num_rows, pa.date32())
        table = table.append_column(
            "day", table[contract.event_time].cast(pa.date32()) if contract.event_time else undated
        )
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


def _read(table: pa.Table, column: Column, source: NamedSource) -> tuple[pa.ChunkedArray, dict[int, str]]:
    """A column's values; and where its cells have text of the wrong kind, what to say of each."""
    mapping = source.spec.columns.get(column.name)
    if mapping is None:
        return pa.chunked_array([pa.nulls(table.num_rows, column.type)]), {}
    if column.per is None:
        return _read_one([table[name] for name in mapping.sources], column.kind, mapping, source)
    each, unread = {}, defaultdict(list)
    for key, name in mapping.each(column.per, table.column_names).items():
        each[key], faults = _read_one([table[name]], column.kind, mapping, source)
        for at, reason in faults.items():
            unread[at].append(f"{name} {reason}")
    return _maps(each, column.type), {at: "; ".join(reasons) for at, reasons in sorted(unread.items())}


def _read_one(
    cells: Sequence[pa.ChunkedArray], kind: ColumnType, mapping: MappedColumn, source: NamedSource
) -> tuple[pa.ChunkedArray, dict[int, str]]:
    text = replaced(joined([trimmed(column) for column in cells]), mapping.values)
    values = parse(text, kind, decimal=source.spec.format.decimal, form=mapping.format, day_one=mapping.day_one)
    mask = pc.and_(pc.is_valid(text), pc.is_null(values))
    usual = "YYYY-MM-DD HH:MM:SS" if kind is ColumnType.TIMESTAMP else "YYYY-MM-DD"
    form = f"1, 2, … (1 is {mapping.day_one})" if mapping.day_one else mapping.format or usual
    said = EXPECTED.get(kind, "").format(form=form)
    reasons = [f"{cell[:SHOWN]!r} {said}" for cell in text.filter(mask).to_pylist()]
    unread = dict(zip(pc.indices_nonzero(mask).to_pylist(), reasons, strict=True))
    if kind is ColumnType.TIMESTAMP and mapping.time_zone not in (None, source.time_zone):
        values = _in_shop_time(values, str(mapping.time_zone), source.time_zone)
    return values, unread


def _maps(each: Mapping[str, pa.ChunkedArray], kind: pa.MapType) -> pa.ChunkedArray:
    """Columns side by side as one column of maps, from what each column is for to its value."""
    rows, width = len(next(iter(each.values()))), len(each)
    # Row after row: the n-th value of every column, one behind the other.
    order = pa.array(np.arange(rows * width).reshape(width, rows).T.ravel())
    values = pa.concat_arrays([part for column in each.values() for part in column.chunks]).take(order)
    keys = pa.array(np.tile(np.array(list(each), dtype=object), rows), pa.string())
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * width, pa.int32())
    return pa.chunked_array([pa.MapArray.from_arrays(offsets, keys, values).cast(kind)])


def _in_shop_time(times: pa.ChunkedArray, zone: str, shop: str) -> pa.ChunkedArray:
    """Timestamps from a clock in another zone, as the shop's clock showed them."""
    # An hour that a clock shows twice is taken as its first showing; one that it skips, as what follows.
    instants = pc.assume_timezone(times, zone, ambiguous="earliest", nonexistent="latest")
    return pc.local_timestamp(instants.cast(pa.timestamp("us", shop)))


def _refuse_other_columns(names: list[str], source: NamedSource, contract: Contract) -> None:
    per = {column.name: column.per for column in contract.columns}
    missing = []
    mapped: set[str] = set()
    for column, mapping in source.spec.columns.items():
        brand = per[column]
        found = set(mapping.each(brand, names).values()) if brand else set(mapping.sources) & set(names)
        mapped |= found
        lacking = [name for name in mapping.sources if name not in found and not (brand and found)]
        missing += [f"{name!r} (mapped to {column}, line {source.column_lines[column]})" for name in lacking]
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
        allowed=", ".join(sorted({name for mapping in source.spec.columns.values() for name in mapping.sources})),
        todo="mend the mapping, or list columns that are not wanted under ignore:",
    )
