"""Checks of `sources.yaml` that its schema cannot make: against the contracts, and that addresses exist.

They take the file's content before it is validated by the schema, so that all faults are reported at once; a part
that has the wrong type is skipped here, because the schema reports it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.contracts import CONTRACTS, Column, Contract
from pipeline.contracts.contract import ColumnType
from pipeline.ingestion.addresses import missing, resolve
from pipeline.ingestion.casting import parse, trimmed
from pipeline.ingestion.yaml_lines import Fault, KeyPath, nearest_line
from pipeline.settings import Settings


def contract_faults(content: Mapping[str, Any], lines: Mapping[KeyPath, int]) -> Iterator[Fault]:
    """Find what no contract has, required columns that are not mapped, and tables in more than one currency."""
    tables = content.get("tables")
    for table, sources in tables.items() if isinstance(tables, dict) else ():
        at: KeyPath = ("tables", table)
        if table not in CONTRACTS:
            yield nearest_line(lines, at), f"{table}: no such table; the contracts are {', '.join(CONTRACTS)}"
            continue
        if not sources:
            yield nearest_line(lines, at), f"{table}: no source is given"
        for name, source in sources.items() if isinstance(sources, dict) else ():
            if not isinstance(source, dict):
                continue
            for path, fault in (*_column_faults(source, CONTRACTS[table]), *_option_faults(source, CONTRACTS[table])):
                yield nearest_line(lines, (*at, name, *path)), f"{table}.{name}{fault}"
        for name, fault in _currency_faults(sources, content.get("currency")):
            yield nearest_line(lines, (*at, name, "currency")), f"{table}.{name}{fault}"


def address_faults(
    content: Mapping[str, Any], lines: Mapping[KeyPath, int], settings: Settings, table: str | None, name: str | None
) -> Iterator[Fault]:
    """Find the addresses of a source that do not exist, its own and that of the file to be joined.

    Args:
        table: the table whose deliveries are about to be read; None checks nothing.
        name: which of its sources; the first when None.
    """
    tables = content.get("tables")
    sources = tables.get(table) if isinstance(tables, dict) else None
    if not isinstance(sources, dict) or not sources:
        return
    chosen = name or next(iter(sources))
    source = sources.get(chosen)
    for path in (("from",), ("join", "from")):
        address: Any = source
        for key in path:
            address = address.get(key) if isinstance(address, dict) else None
        if isinstance(address, str) and (fault := missing(resolve(address, settings.data))):
            line = nearest_line(lines, ("tables", str(table), chosen, *path))
            yield line, f"{table}.{chosen}: {fault} (see AISLE_DATA)"


def _column_faults(source: Mapping[str, Any], contract: Contract) -> Iterator[tuple[KeyPath, str]]:
    known = [column.name for column in contract.columns]
    columns = source.get("columns")
    mapped = columns if isinstance(columns, dict) else {}
    for name in mapped:
        if name not in known:
            yield ("columns", name), f": the contract has no column {name!r}; it has {', '.join(known)}"
    for column in contract.columns:
        mapping = mapped.get(column.name)
        if fault := _pattern_fault(column, mapping) or _origin_fault(column, mapping):
            yield ("columns", column.name), f".{column.name}: {fault}"
        if not column.optional and column.name not in mapped:
            yield ("columns",), f": the required column {column.name!r} is not mapped"


def _currency_faults(sources: object, of_file: object) -> Iterator[tuple[str, str]]:
    """Find the sources of a table whose currency differs from that of its first one."""
    named = [
        (str(name), source.get("currency") or of_file)
        for name, source in (sources.items() if isinstance(sources, dict) else ())
        if isinstance(source, dict)
    ]
    for name, code in named[1:]:
        if code != named[0][1]:
            yield (
                name,
                f": its currency is {code or 'not given'} and that of {named[0][0]} {named[0][1] or 'not given'}, but "
                "amounts of one table are added up",
            )


def _option_faults(source: Mapping[str, Any], contract: Contract) -> Iterator[tuple[KeyPath, str]]:
    options = source.get("options")
    for option, value in options.items() if isinstance(options, dict) else ():
        if option not in contract.options:
            yield ("options", option), f": no option {option!r}; there is {', '.join(contract.options) or 'none'}"
        elif fault := _regex_fault(value):
            yield ("options", option), f": {option} is no regular expression: {fault}"


def _pattern_fault(column: Column, mapping: object) -> str | None:
    """Why a mapping is not the pattern that the contract needs, such as `Price_{brand}`."""
    source = mapping.get("from") if isinstance(mapping, dict) else mapping
    if not isinstance(source, str | list) or column.per is None:
        return None
    marks = source.count(f"{{{column.per}}}") if isinstance(source, str) else 0
    return None if marks == 1 else f"{source!r} must hold {{{column.per}}} once, as in Price_{{{column.per}}}"


def _origin_fault(column: Column, mapping: object) -> str | None:
    """Why a constant or a formula cannot give this column."""
    if not isinstance(mapping, dict) or not mapping.keys() & {"value", "formula"}:
        return None
    if column.per is not None:
        return f"must be a pattern with {{{column.per}}}, as in Price_{{{column.per}}}"
    if "formula" in mapping:
        numeric = column.type in (ColumnType.NUMBER, ColumnType.INTEGER)
        return None if numeric else f"a formula gives numbers, and this is a column of type {column.type}"
    if mapping["value"] is None or isinstance(mapping["value"], list | dict):
        return "value must be a text, a number, a date or a truth value"
    text = trimmed(pa.chunked_array([pa.array([str(mapping["value"])])]))
    if parse(text, column.type)[0].is_valid:
        return None
    return f"the value {mapping['value']!r} is not of the type {column.type}"


def _regex_fault(value: object) -> str | None:
    """Why Arrow refuses an expression. It is RE2, which has no look-ahead and no back references."""
    try:
        pc.match_substring_regex(pa.array([""]), str(value))
    except pa.ArrowInvalid as error:
        return str(error)
    return None
