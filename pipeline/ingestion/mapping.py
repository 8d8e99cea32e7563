"""Map rows of text onto a contract and give the columns their types; faults are reported cell by cell."""

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
from pipeline.ingestion.casting import integers, joined, parse, replaced, trimmed, without_placeholders
from pipeline.ingestion.formulas import Formula, evaluate, parse_formula
from pipeline.ingestion.rows import Rows
from pipeline.ingestion.source_schema import ANY_COLUMN, MappedColumn
from pipeline.ingestion.sources import NamedSource

ROW = "_row"
MAX_QUOTED = 40
"""How many characters of a faulty cell a message quotes."""
MAX_ROUNDING_ERROR = 1e-9
"""Relative error up to which a formula's result counts as a whole number: 15.3 / 2.55 is 6.000000000000001."""
EXPECTED = {
    ColumnType.IDENTIFIER: "has a character that cannot be seen",
    ColumnType.INTEGER: "is not a whole number",
    ColumnType.NUMBER: "is not a finite number",
    ColumnType.TIMESTAMP: "is not a date and time of the form {form}",
    ColumnType.DATE: "is not a day of the form {form}",
    ColumnType.BOOLEAN: "is neither true nor false",
}


@dataclass(frozen=True)
class MappedRows:
    """Typed rows and their faults.

    Attributes:
        rows: the contract's columns, the derived ones, `row` and `day`; a cell that could not be read is null.
        faults: why a row is faulty, by row number and then by column.
    """

    rows: pa.Table
    faults: dict[int, dict[str, str]]


def map_rows(rows: Rows, source: NamedSource, contract: Contract) -> MappedRows:
    """Map and type a delivery's rows, or those of a batch of it.

    Raises:
        RefusedError: naming every mapped column that is missing, and every column that is neither mapped nor ignored.
    """
    _check_columns(rows.table.column_names, source, contract)
    faults: dict[int, dict[str, str]] = defaultdict(dict)
    columns = {}
    for column in contract.columns:
        columns[column.name], reasons = _map_column(rows.table, column, source)
        for position, reason in reasons.items():
            faults[rows.numbers[position].as_py()][column.name] = reason
    table = contract.derive(pa.table(columns), {**contract.options, **source.spec.options})
    table = table.append_column("row", rows.numbers)
    if contract.event_time != "day":
        undated = pa.nulls(table.num_rows, pa.date32())
        table = table.append_column(
            "day", table[contract.event_time].cast(pa.date32()) if contract.event_time else undated
        )
    schema = pa.schema([field for field in contract.schema if field.name != "delivery"])
    table = table.select(schema.names).cast(schema)
    return MappedRows(table, dict(faults))


def _map_column(table: pa.Table, column: Column, source: NamedSource) -> tuple[pa.ChunkedArray, dict[int, str]]:
    """A contract column's values, and why a cell is not of the column's type, by position."""
    mapping = source.spec.columns.get(column.name)
    if mapping is None:
        return pa.chunked_array([pa.nulls(table.num_rows, column.arrow_type)]), {}
    if mapping.value is not None:
        return _constant(mapping.value, column, table.num_rows), {}
    if mapping.formula is not None:
        return _computed(table, parse_formula(mapping.formula), column, source.spec.format.decimal)
    if column.per is None:
        return _parse_cells([table[name] for name in mapping.sources], column.type, mapping, source)
    values, reasons = {}, defaultdict(list)
    for key, name in mapping.expand_pattern(column.per, table.column_names).items():
        values[key], faults = _parse_cells([table[name]], column.type, mapping, source)
        for position, reason in faults.items():
            reasons[position].append(f"{name} {reason}")
    return _as_maps(values, column.arrow_type), {at: "; ".join(several) for at, several in sorted(reasons.items())}


def _constant(text: str, column: Column, length: int) -> pa.ChunkedArray:
    value = parse(trimmed(pa.chunked_array([pa.array([text])])), column.type)
    return value.take(pa.array(np.zeros(length, dtype=np.int64)))


def _computed(
    table: pa.Table, formula: Formula, column: Column, decimal: str
) -> tuple[pa.ChunkedArray, dict[int, str]]:
    """A formula's values, and why it has no value in a row, by position."""
    cells = {name: trimmed(table[name]) for name in formula.columns}
    operands = {name: parse(text, ColumnType.NUMBER, decimal=decimal) for name, text in cells.items()}
    results, zero_divisor = evaluate(formula, operands)
    values = integers(results, MAX_ROUNDING_ERROR) if column.type is ColumnType.INTEGER else results
    valid = pc.fill_null(pc.and_(pc.is_finite(results), pc.invert(zero_divisor)), False)
    values = pc.if_else(valid, values, pa.scalar(None, values.type))
    # Rows without a value are few, so their reasons are worked out one by one.
    without = pc.is_null(values)
    texts = pa.table(cells).filter(without).to_pylist()
    numbers = pa.table(operands).filter(without).to_pylist()
    faults: dict[int, str] = {}
    for position, text, number, result, by_zero in zip(
        _positions(without),
        texts,
        numbers,
        results.filter(without).to_pylist(),
        zero_divisor.filter(without).to_pylist(),
        strict=True,
    ):
        missing = [name for name, cell in text.items() if cell is None]
        unreadable = [name for name, cell in text.items() if cell is not None and number[name] is None]
        if column.optional and len(missing) == len(text):
            continue  # the value is missing, as it would be without a formula
        if unreadable:
            expected = EXPECTED[ColumnType.NUMBER]
            faults[position] = ", ".join(f"{text[name][:MAX_QUOTED]!r} {expected} ({name})" for name in unreadable)
        elif missing:
            faults[position] = f"{formula.text} cannot be computed without {', '.join(missing)}"
        elif by_zero:
            faults[position] = f"{formula.text} divides by zero"
        else:
            faults[position] = f"{formula.text} {EXPECTED[column.type]} ({result})"
    return values, faults


def _positions(mask: pa.ChunkedArray) -> list[int]:
    """The positions at which a mask is true."""
    # Without a chunk, as when no line could be split into columns, `indices_nonzero` ends the process (Arrow 25).
    positions: list[int] = pc.indices_nonzero(mask.combine_chunks()).to_pylist()
    return positions


def _parse_cells(
    cells: Sequence[pa.ChunkedArray], of_type: ColumnType, mapping: MappedColumn, source: NamedSource
) -> tuple[pa.ChunkedArray, dict[int, str]]:
    if len(cells) == 1:
        joint = cells[0]
    else:
        parts = [trimmed(column) for column in cells]
        joint = joined([without_placeholders(part) for part in parts] if of_type is ColumnType.IDENTIFIER else parts)
    # Most columns repeat the same cells, so each distinct one is parsed once; a missing one may be replaced.
    distinct = joint.combine_chunks().dictionary_encode(null_encoding="encode")
    text = replaced(trimmed(pa.chunked_array([distinct.dictionary])), mapping.values)
    if of_type is ColumnType.IDENTIFIER:
        text = without_placeholders(text)
    values = parse(text, of_type, decimal=source.spec.format.decimal, form=mapping.format, day_one=mapping.day_one)
    unreadable = pc.and_(pc.is_valid(text), pc.is_null(values))
    faults: dict[int, str] = {}
    if pc.any(unreadable).as_py():
        iso = "YYYY-MM-DD HH:MM:SS" if of_type is ColumnType.TIMESTAMP else "YYYY-MM-DD"
        form = f"1, 2, … (1 is {mapping.day_one})" if mapping.day_one else mapping.format or iso
        expected = EXPECTED.get(of_type, "").format(form=form)
        positions = _positions(unreadable.take(distinct.indices))
        quoted = text.take(distinct.indices.take(pa.array(positions, pa.int64()))).to_pylist()
        faults = {at: f"{cell[:MAX_QUOTED]!r} {expected}" for at, cell in zip(positions, quoted, strict=True)}
    if of_type is ColumnType.TIMESTAMP and mapping.time_zone not in (None, source.time_zone):
        values = _to_shop_time(values, str(mapping.time_zone), source.time_zone)
    return values.take(distinct.indices), faults


def _as_maps(columns: Mapping[str, pa.ChunkedArray], map_type: pa.MapType) -> pa.ChunkedArray:
    """Several columns of equal length as one column of maps, from each column's key to its value."""
    rows, width = len(next(iter(columns.values()))), len(columns)
    if not rows:
        return pa.chunked_array([pa.array([], map_type)])
    # The columns one after another, reordered row by row: the n-th value of every column, then the next.
    order = pa.array(np.arange(rows * width).reshape(width, rows).T.ravel())
    values = pa.concat_arrays([part for column in columns.values() for part in column.chunks]).take(order)
    keys = pa.array(np.tile(np.array(list(columns), dtype=object), rows), pa.string())
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * width, pa.int32())
    return pa.chunked_array([pa.MapArray.from_arrays(offsets, keys, values).cast(map_type)])


def _to_shop_time(times: pa.ChunkedArray, zone: str, shop_zone: str) -> pa.ChunkedArray:
    """Convert local timestamps of one time zone to local timestamps of the shop's."""
    # An hour that a clock shows twice counts as its first showing; a skipped one counts as the hour after it.
    instants = pc.assume_timezone(times, zone, ambiguous="earliest", nonexistent="latest")
    return pc.local_timestamp(instants.cast(pa.timestamp("us", shop_zone)))


def _check_columns(names: list[str], source: NamedSource, contract: Contract) -> None:
    per = {column.name: column.per for column in contract.columns}
    missing: list[str] = []
    unusable: list[str] = []
    mapped: set[str] = set()
    for column, mapping in source.spec.columns.items():
        key = per[column]
        found = set(mapping.expand_pattern(key, names).values()) if key else set(mapping.source_columns) & set(names)
        unusable += _unusable_keys(mapping.expand_pattern(key, names)) if key else []
        mapped |= found
        lacking = [name for name in mapping.source_columns if name not in found and not (key and found)]
        missing += [f"{name!r} (mapped to {column}, line {source.column_lines[column]})" for name in lacking]
    unexpected = [] if ANY_COLUMN in source.spec.ignore else sorted(set(names) - mapped - set(source.spec.ignore))
    if not missing and not unexpected and not unusable:
        return
    observed = []
    if missing:
        observed.append(f"missing {', '.join(missing)}")
    if unexpected:
        observed.append(f"unexpected {', '.join(map(repr, unexpected))}")
    if unusable:
        observed.append(f"names with characters that cannot be seen, or for a missing value: {', '.join(unusable)}")
    raise RefusedError(
        f"The delivery's columns are not those that are mapped onto {contract.table}",
        where=source.where,
        observed=f"{'; '.join(observed)}; the header has {', '.join(map(repr, names))}",
        allowed=", ".join(
            sorted({name for mapping in source.spec.columns.values() for name in mapping.source_columns})
        ),
        todo="correct the mapping, or list columns that are not wanted under ignore: ('*' for all that are not mapped)",
    )


def _unusable_keys(columns: Mapping[str, str]) -> list[str]:
    """Quote the columns of a pattern whose key, such as a brand, is no identifier, so that no row could name it."""
    keys = parse(pa.chunked_array([pa.array(list(columns), pa.string())]), ColumnType.IDENTIFIER).to_pylist()
    return [repr(name) for name, key in zip(columns.values(), keys, strict=True) if key is None]
