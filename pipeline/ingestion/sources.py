"""`sources.yaml`: where a table's deliveries are, what form they have, and how their columns map onto the contract."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa
import pyarrow.compute as pc
import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from pipeline.contracts import CONTRACTS, Column
from pipeline.errors import UsageError
from pipeline.ingestion.addresses import is_pattern, is_simulated, missing, resolve
from pipeline.settings import Settings

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
# Part of a delivery's id, where `--` ends it.
SourceName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+([._-][A-Za-z0-9]+)*$")]
WEEKDAYS: tuple[str, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Format(_Model):
    """The form of a delivery. Names ending in `.gz` are decompressed whatever the type."""

    type: Literal["csv", "xlsx", "parquet"] = "csv"
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    encoding: str = "utf-8"
    decimal: Literal[".", ","] = "."
    sheet: str | None = None
    final_newline: Literal["required", "optional"] = "required"

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            "".encode(value)
        except LookupError as error:
            raise ValueError(f"{value!r} is not an encoding that Python knows (utf-8, cp1252, …)") from error
        return value

    @model_validator(mode="after")
    def _of_its_type(self) -> Self:
        of_type = {"sheet": "xlsx"} | dict.fromkeys(("delimiter", "encoding", "decimal", "final_newline"), "csv")
        strange = [key for key in sorted(self.model_fields_set) if of_type.get(key, self.type) != self.type]
        if strange:
            raise ValueError(f"{', '.join(strange)}: does not go with the type {self.type}")
        return self


class MappedColumn(_Model):
    """The source's column that feeds a contract's column, or several whose cells are joined with blanks between.

    `values` says which of its words stand for which of the contract's; `""` is an empty cell, and null a missing value.
    `format` is how it writes a timestamp or date (strptime; ISO 8601 when missing), `time_zone` the zone of that clock
    where it is not the shop's, and `day_one` the day that is number 1 where days are only numbered.
    """

    sources: tuple[str, ...] = Field(alias="from", min_length=1)
    values: dict[str, str | None] = Field(default_factory=dict)
    format: str | None = None
    time_zone: str | None = None
    day_one: date | None = None

    def each(self, per: str, names: Sequence[str]) -> dict[str, str]:
        """Which of a delivery's columns a pattern means, by what each is for."""
        before, _, after = self.sources[0].partition(f"{{{per}}}")
        inside = {name: name[len(before) : len(name) - len(after)] for name in names}
        return {key: name for name, key in inside.items() if key and name == f"{before}{key}{after}"}

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"from": value} if isinstance(value, str | list) else value

    @field_validator("sources", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("values", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        """YAML reads 0 as a number and yes as a truth value; a cell is text."""
        if not isinstance(value, dict):
            return value
        return {key: str(word) if isinstance(word, bool | int | float) else word for key, word in value.items()}

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return None if value is None else _zone(value)

    @field_validator("format")
    @classmethod
    def _clock(cls, value: str | None) -> str | None:
        if value is not None and re.search("%[zZ]", value):
            raise ValueError("offsets (%z, %Z) are not read; name the clock's zone as time_zone")
        return value


class Join(_Model):
    """A second file that says more of the things that a delivery is about: one row each, found by the column `by`."""

    address: str = Field(alias="from")
    format: Format = Format()
    by: str

    @field_validator("address")
    @classmethod
    def _one_file(cls, value: str) -> str:
        if is_simulated(value) or is_pattern(value):
            raise ValueError(f"{value!r} must name one file, without globs or {{day}}")
        return value


class Source(_Model):
    """One way in which a table's rows arrive.

    `join` names a second file whose columns stand beside the delivery's. `closed_on` names the weekdays and dates on
    which the shop is closed, so that nobody waits for a delivery.
    """

    address: str = Field(alias="from")
    format: Format = Format()
    join: Join | None = None
    columns: dict[str, MappedColumn]
    ignore: tuple[str, ...] = ()
    repeats: Literal["drop", "keep"] = "keep"
    options: dict[str, str] = Field(default_factory=dict)
    closed_on: tuple[Weekday | date, ...] = ()


class SourceFile(_Model):
    """The whole of `sources.yaml`."""

    time_zone: str
    home_country: str
    tables: dict[str, dict[SourceName, Source]]

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return _zone(value)


@dataclass(frozen=True)
class NamedSource:
    """A source together with what an error message or a reader needs to know of its surroundings."""

    table: str
    name: str
    spec: Source
    time_zone: str
    where: str
    """File and line of the source's entry."""
    column_lines: Mapping[str, int]
    """Line of each mapped column, by its contract name."""


@dataclass(frozen=True)
class Sources:
    """The checked content of `sources.yaml`."""

    file: Path
    spec: SourceFile
    lines: Mapping[tuple[str, ...], int]

    def get(self, table: str, name: str | None = None) -> NamedSource:
        """The source of a table: the one named, or the first.

        Raises:
            UsageError: if the file knows no such table or source.
        """
        if table not in self.spec.tables:
            raise UsageError(
                f"No source is configured for the table {table!r}",
                where=str(self.file),
                allowed=", ".join(self.spec.tables) or "none",
                todo=f"add an entry below `tables:` in {self.file.name}",
            )
        named = self.spec.tables[table]
        chosen = name or next(iter(named))
        if chosen not in named:
            raise UsageError(
                f"The table {table!r} has no source {chosen!r}",
                where=f"{self.file}, line {self.lines.get(('tables', table), 1)}",
                allowed=", ".join(named),
            )
        at = ("tables", table, chosen)
        return NamedSource(
            table=table,
            name=chosen,
            spec=named[chosen],
            time_zone=self.spec.time_zone,
            where=f"{self.file}, line {self.lines[at]}",
            column_lines={
                column: self.lines.get((*at, "columns", column), self.lines[at]) for column in named[chosen].columns
            },
        )


def load_sources(settings: Settings, table: str | None = None, name: str | None = None) -> Sources:
    """Read and check the mapping file.

    Args:
        table: a table whose deliveries are about to be read, so that their address is checked too.
        name: which of its sources; the first when missing.

    Raises:
        UsageError: listing every fault at once, each with its line.
    """
    file = settings.sources
    lines: dict[tuple[str, ...], int] = {}
    faults: list[tuple[int, str]] = []
    try:
        text = file.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        content = _content(node, (), lines, faults)
    except FileNotFoundError as error:
        raise UsageError(
            "The mapping file does not exist", where=str(file), todo="set AISLE_SOURCES to your sources.yaml"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UsageError("The mapping file is not readable as YAML", where=str(file), observed=str(error)) from error
    if not isinstance(content, dict):
        raise UsageError("The mapping file is empty", where=str(file), allowed="time_zone, home_country and tables")
    # What the schema objects to must not hide what the contracts would object to.
    faults += [*_contract_faults(content, lines), *_address_faults(content, lines, settings, table, name)]
    try:
        spec = SourceFile.model_validate(content)
    except ValidationError as error:
        faults += [(_line(lines, _path(e["loc"])), _said(_path(e["loc"]), e["msg"])) for e in error.errors()]
        raise _faulty(file, faults) from error
    if faults:
        raise _faulty(file, faults)
    return Sources(file, spec, lines)


def _content(
    node: yaml.Node | None, path: tuple[str, ...], lines: dict[tuple[str, ...], int], faults: list[tuple[int, str]]
) -> Any:
    """A node's value as plain Python, noting on which line each key stands, and which key stands twice."""
    if node is None:
        return None
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                faults.append((key.start_mark.line + 1, f"{'.'.join((*path, str(key.value)))}: stands here again"))
            seen.add(str(key.value))
        yaml.SafeLoader("").flatten_mapping(node)
        content = {}
        for key, value in node.value:
            name = str(key.value)
            lines[(*path, name)] = key.start_mark.line + 1
            content[name] = _content(value, (*path, name), lines, faults)
        return content
    if isinstance(node, yaml.SequenceNode):
        return [_content(item, (*path, str(i)), lines, faults) for i, item in enumerate(node.value)]
    try:
        return yaml.SafeLoader("").construct_object(node)
    except ValueError:  # a date that no calendar has: as text, the schema refuses it and says where
        return node.value


def _contract_faults(content: Mapping[str, Any], lines: Mapping[tuple[str, ...], int]) -> Iterator[tuple[int, str]]:
    """What the schema alone cannot see: tables, columns and options that no contract knows, and what is missing."""
    tables = content.get("tables")
    for table, sources in tables.items() if isinstance(tables, dict) else ():
        at: tuple[str, ...] = ("tables", table)
        if table not in CONTRACTS:
            yield _line(lines, at), f"{table}: no such table; the contracts are {', '.join(CONTRACTS)}"
            continue
        contract = CONTRACTS[table]
        known = [column.name for column in contract.columns]
        required = [column.name for column in contract.columns if not column.optional]
        if not sources:
            yield _line(lines, at), f"{table}: no source is given"
        for name, source in sources.items() if isinstance(sources, dict) else ():
            if not isinstance(source, dict):
                continue
            here = (*at, name)
            mapped = source.get("columns")
            mapped = mapped if isinstance(mapped, dict) else {}
            for column in mapped:
                if column not in known:
                    yield (
                        _line(lines, (*here, "columns", column)),
                        f"{table}.{name}: the contract has no column {column!r}; it has {', '.join(known)}",
                    )
            for column in contract.columns:
                if (fault := _pattern_fault(column, mapped.get(column.name))) is not None:
                    yield _line(lines, (*here, "columns", column.name)), f"{table}.{name}.{column.name}: {fault}"
            for column in required:
                if column not in mapped:
                    yield (
                        _line(lines, (*here, "columns")),
                        f"{table}.{name}: the required column {column!r} is not mapped",
                    )
            options = source.get("options")
            for option, value in options.items() if isinstance(options, dict) else ():
                line = _line(lines, (*here, "options", option))
                if option not in contract.options:
                    yield (
                        line,
                        f"{table}.{name}: no option {option!r}; there is {', '.join(contract.options) or 'none'}",
                    )
                elif fault := _regex_fault(value):
                    yield line, f"{table}.{name}: {option} is no regular expression: {fault}"


def _address_faults(
    content: Mapping[str, Any],
    lines: Mapping[tuple[str, ...], int],
    settings: Settings,
    table: str | None,
    name: str | None,
) -> Iterator[tuple[int, str]]:
    """What is not there of the deliveries that are about to be read."""
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
            yield _line(lines, ("tables", str(table), chosen, *path)), f"{table}.{chosen}: {fault} (see AISLE_DATA)"


def _pattern_fault(column: Column, mapping: object) -> str | None:
    """Why a mapping does not name a column for each brand where the contract has one, or does where it has not."""
    source = mapping.get("from") if isinstance(mapping, dict) else mapping
    if not isinstance(source, str | list) or column.per is None:
        return None
    marks = source.count(f"{{{column.per}}}") if isinstance(source, str) else 0
    return None if marks == 1 else f"{source!r} must hold {{{column.per}}} once, as in Price_{{{column.per}}}"


def _regex_fault(value: object) -> str | None:
    """Why Arrow would refuse an expression. It is of RE2's kind: no look-ahead, no back references."""
    try:
        pc.match_substring_regex(pa.array([""]), str(value))
    except pa.ArrowInvalid as error:
        return str(error)
    return None


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{name!r} is not a time zone (Europe/London, UTC, …)") from error
    return name


def _path(loc: tuple[int | str, ...]) -> tuple[str, ...]:
    return tuple(str(part) for part in loc)


def _line(lines: Mapping[tuple[str, ...], int], path: tuple[str, ...]) -> int:
    """The line of the nearest key that stands in the file."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _said(path: tuple[str, ...], message: str) -> str:
    return f"{'.'.join(path)}: {message.removeprefix('Value error, ')}"


def _faulty(file: Path, faults: list[tuple[int, str]]) -> UsageError:
    listed = "\n".join(f"    {file}:{line}: {fault}" for line, fault in sorted(set(faults)))
    count = len(set(faults))
    return UsageError(
        f"{file.name} has {count} {'fault' if count == 1 else 'faults'}:\n{listed}",
        todo="mend these lines and run again",
    )
