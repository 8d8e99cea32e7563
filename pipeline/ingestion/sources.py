"""`sources.yaml`, read and checked: the sources of each table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import ValidationError

from pipeline.errors import UsageError
from pipeline.ingestion.source_checks import address_faults, contract_faults
from pipeline.ingestion.source_schema import Source, SourceFile
from pipeline.ingestion.yaml_lines import MAX_CHARACTERS, Document, Fault, nearest_line, parse_yaml
from pipeline.redaction import remember, secrets_of
from pipeline.settings import Settings


@dataclass(frozen=True)
class NamedSource:
    """A source with its name and where it is defined.

    Attributes:
        time_zone: the shop's.
        where: file and line of the source's entry, for messages.
        column_lines: the line of each mapped column, by its name in the contract.
    """

    table: str
    name: str
    spec: Source
    time_zone: str
    where: str
    column_lines: Mapping[str, int]


@dataclass(frozen=True)
class Sources:
    """The checked content of `sources.yaml`, and the line of each of its keys."""

    file: Path
    spec: SourceFile
    lines: Mapping[tuple[str, ...], int]

    def get(self, table: str, name: str | None = None) -> NamedSource:
        """The source of a table: the one named, or the first.

        Raises:
            UsageError: if the file has no such table or source.
        """
        if table not in self.spec.tables:
            raise UsageError(
                f"No source is configured for the table {table!r}",
                where=str(self.file),
                allowed=", ".join(self.spec.tables) or "none",
                todo=f"add an entry below `tables:` in {self.file.name}",
            )
        sources = self.spec.tables[table]
        chosen = name or next(iter(sources))
        if chosen not in sources:
            raise UsageError(
                f"The table {table!r} has no source {chosen!r}",
                where=f"{self.file}, line {self.lines.get(('tables', table), 1)}",
                allowed=", ".join(sources),
            )
        at = ("tables", table, chosen)
        columns = sources[chosen].columns
        return NamedSource(
            table=table,
            name=chosen,
            spec=sources[chosen],
            time_zone=self.spec.time_zone,
            where=f"{self.file}, line {self.lines[at]}",
            column_lines={name: self.lines.get((*at, "columns", name), self.lines[at]) for name in columns},
        )


def load_sources(settings: Settings, table: str | None = None, name: str | None = None) -> Sources:
    """Read and check the mapping file.

    Args:
        table: a table whose deliveries are about to be read, so that its source's address is checked too.
        name: which of its sources; the first when None.

    Raises:
        UsageError: listing every fault at once, each with its line.
    """
    file = settings.sources
    text, document = _read(file)
    if not isinstance(document.content, dict):
        raise UsageError("The mapping file is empty", where=str(file), allowed="time_zone, home_country and tables")
    faults = [
        *document.repeated_keys,
        *contract_faults(document.content, document.lines),
        *address_faults(document.content, document.lines, settings, table, name),
    ]
    try:
        spec = _validated(text)
    except ValidationError as error:
        raise _all_faults(file, [*faults, *_schema_faults(error, document.lines)]) from error
    if faults:
        raise _all_faults(file, faults)
    for sources in spec.tables.values():
        remember(secret for source in sources.values() for secret in secrets_of(source.address))
    return Sources(file, spec, document.lines)


def _read(file: Path) -> tuple[str, Document]:
    try:
        with file.open(encoding="utf-8") as stream:
            text = stream.read(MAX_CHARACTERS + 1)
        return text, _parsed(text)
    except FileNotFoundError as error:
        raise UsageError(
            "The mapping file does not exist", where=str(file), todo="set AISLE_SOURCES to your sources.yaml"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UsageError("The mapping file is not readable as YAML", where=str(file), observed=str(error)) from error


@lru_cache(maxsize=2)
def _parsed(text: str) -> Document:
    # Each step of each delivery reads the file, which takes 20 ms for one with a dozen sources.
    return parse_yaml(text)


@lru_cache(maxsize=2)
def _validated(text: str) -> SourceFile:
    return SourceFile.model_validate(_parsed(text).content)


def _schema_faults(error: ValidationError, lines: Mapping[tuple[str, ...], int]) -> list[Fault]:
    faults = []
    for fault in error.errors():
        path = tuple(str(part) for part in fault["loc"])
        faults.append((nearest_line(lines, path), f"{'.'.join(path)}: {fault['msg'].removeprefix('Value error, ')}"))
    return faults


def _all_faults(file: Path, faults: list[Fault]) -> UsageError:
    listed = "\n".join(f"    {file}:{line}: {fault}" for line, fault in sorted(set(faults)))
    count = len(set(faults))
    return UsageError(
        f"{file.name} has {count} {'fault' if count == 1 else 'faults'}:\n{listed}",
        todo="correct these lines and run again",
    )
