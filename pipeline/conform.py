"""Rows of text, mapped onto a contract and typed; what cannot be is told cell by cell."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
from ibis.backends.duckdb import Backend

from pipeline.contracts import Column, Contract
from pipeline.contracts.contract import ARROW_TYPES, Kind
from pipeline.errors import RefusedError
from pipeline.readers import Rows
from pipeline.sources import NamedSource

ROW = "_row"
SHOWN = 40
"""How much of a faulty cell a message quotes."""


@ibis.udf.scalar.builtin(signature=(("string", "string"), "timestamp"))  # type: ignore[untyped-decorator]
def try_strptime(text: str, form: str) -> None:
    """DuckDB's parser of timestamps that gives null where the text does not follow the form."""


@dataclass(frozen=True)
class Conformed:
    """Typed rows and what was wrong with them.

    Attributes:
        rows: the contract's columns, the derived ones, `row` and `day`; a cell that could not be read is null.
        faults: for each faulty row number, the reasons by column.
    """

    rows: pa.Table
    faults: dict[int, dict[str, str]]


def conform(con: Backend, rows: Rows, source: NamedSource, contract: Contract) -> Conformed:
    """Map and type a delivery's rows.

    Raises:
        RefusedError: naming every column that is missing, and every one that nobody expects.
    """
    _refuse_other_columns(rows.table.column_names, source, contract)
    text = ibis.memtable(rows.table.append_column(ROW, rows.numbers))
    read = {column.name: _read(text, column, source) for column in contract.columns}
    typed = text.select(
        **{name: value for name, (value, _) in read.items()},
        **{_fault(name): fault for name, (_, fault) in read.items()},
        row=text[ROW],
    )
    # The engine keeps the order of rows here: nothing is joined or grouped.
    table = con.to_pyarrow(contract.derive(typed, {**contract.options, **source.spec.options}))
    faults = _faults(table, rows, source, contract)
    table = _in_shop_time(table, source, contract)
    table = table.append_column("day", table[contract.event_time].cast(pa.date32()))
    wanted = pa.schema([field for field in contract.schema if field.name != "delivery"])
    return Conformed(table.select(wanted.names).cast(wanted), faults)


def exact_repeats(rows: Rows) -> set[int]:
    """The numbers of the rows that say, in every column, just what an earlier row says."""
    names = rows.table.column_names
    first = (
        rows.table.append_column(ROW, rows.numbers)
        .group_by(names, use_threads=False)
        .aggregate([(ROW, "min")])
        .column(f"{ROW}_min")
    )
    repeated = pc.invert(pc.is_in(rows.numbers, value_set=first.combine_chunks()))
    return set(rows.numbers.filter(repeated).to_pylist())


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


def _read(text: ir.Table, column: Column, source: NamedSource) -> tuple[ir.Value, ir.BooleanValue]:
    """A column's values, and where there is text that is none."""
    mapping = source.spec.columns.get(column.name)
    if mapping is None:
        return ibis.null(ibis.dtype(ARROW_TYPES[column.kind])), ibis.literal(False)
    cell = text[mapping.source].strip().nullif("")
    decimal = source.spec.format.decimal
    match column.kind:
        case Kind.TEXT:
            return cell, ibis.literal(False)
        case Kind.IDENTIFIER:
            return cell.re_replace(r"^(\d+)\.0+$", r"\1"), ibis.literal(False)
        case Kind.TIMESTAMP:
            value = try_strptime(cell, mapping.format) if mapping.format else cell.try_cast("timestamp(6)")
        case Kind.NUMBER | Kind.INTEGER:
            number = (cell.replace(".", "_").replace(",", ".") if decimal == "," else cell).try_cast("float64")
            finite = ~(number.isnan() | number.isinf())
            if column.kind is Kind.INTEGER:
                finite &= (number % 1 == 0) & (number.abs() < 2**53)
            value = ibis.ifelse(finite, number, None)
            value = value.try_cast("int64") if column.kind is Kind.INTEGER else value
    return value, cell.notnull() & value.isnull()


EXPECTED = {
    Kind.INTEGER: "is not a whole number",
    Kind.NUMBER: "is not a finite number",
    Kind.TIMESTAMP: "is not a date and time of the form {form}",
}


def _fault(column: str) -> str:
    return f"_fault_{column}"


def _faults(table: pa.Table, rows: Rows, source: NamedSource, contract: Contract) -> dict[int, dict[str, str]]:
    faults: dict[int, dict[str, str]] = defaultdict(dict)
    for column in contract.columns:
        bad = table[_fault(column.name)]
        if not pc.any(bad).as_py():
            continue
        mapping = source.spec.columns[column.name]
        said = EXPECTED[column.kind].format(form=mapping.format or "YYYY-MM-DD HH:MM:SS")
        cells = rows.table[mapping.source].filter(bad)
        for row, cell in zip(table["row"].filter(bad).to_pylist(), cells.to_pylist(), strict=True):
            faults[row][column.name] = f"{cell[:SHOWN]!r} {said}"
    return dict(faults)


def _in_shop_time(table: pa.Table, source: NamedSource, contract: Contract) -> pa.Table:
    """Timestamps from a clock in another zone, as the shop's clock showed them."""
    for position, column in enumerate(contract.columns):
        mapping = source.spec.columns.get(column.name)
        zone = mapping.time_zone if mapping else None
        if column.kind is not Kind.TIMESTAMP or zone in (None, source.time_zone):
            continue
        # An hour that a clock shows twice is taken as its first showing; one that it skips, as what follows.
        instants = pc.assume_timezone(table[column.name], zone, ambiguous="earliest", nonexistent="latest")
        local = pc.local_timestamp(instants.cast(pa.timestamp("us", source.time_zone)))
        table = table.set_column(position, column.name, local)
    return table
