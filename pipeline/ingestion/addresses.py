"""The addresses in `sources.yaml`: a path or bucket URI with globs and `{day}`, or `simulate://`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from fnmatch import translate

from upath import UPath

from pipeline.errors import RefusedError

SIMULATED = "simulate://"
DAY = "{day}"


def is_simulated(address: str) -> bool:
    """Whether the address is the simulated shop's."""
    return address.startswith(SIMULATED)


def resolve(address: str, data: str) -> str:
    """An address made absolute: relative ones are below `data`."""
    absolute = "://" in address or address.startswith("/")
    return address if absolute else f"{data.rstrip('/')}/{address}"


def fixed_part(address: str) -> UPath:
    """The deepest folder (or the file itself) that the address names without a glob or `{day}`."""
    parts = address.split("/")
    fixed = next((i for i, part in enumerate(parts) if is_pattern(part)), len(parts))
    return UPath("/".join(parts[:fixed]))


def is_pattern(address: str) -> bool:
    """Whether the address has a glob or `{day}`, and so may name many files."""
    return any(mark in address for mark in ("*", "?", "[", DAY))


def missing(address: str) -> str | None:
    """Why nothing can ever be found at the address, or None if its fixed part exists."""
    if is_simulated(address):
        return None
    place = fixed_part(address)
    return None if place.exists() else f"{place} does not exist"


def matches(address: str, day: date | None = None) -> Iterator[tuple[UPath, str, date | None]]:
    """The files an address names: each with its name below the fixed part, and its day if the address has `{day}`.

    Files whose name begins with a dot are somebody's temporary files, and no deliveries.

    Args:
        day: only that day's files, where the address has `{day}`.

    Raises:
        RefusedError: if a file's name has a day that no calendar has.
    """
    base = fixed_part(address)
    if not is_pattern(address):
        if base.exists():
            yield base, base.name, None
        return
    pattern = address[len(str(base)) :].strip("/") if address.startswith(str(base)) else address.split("/")[-1]
    glob = pattern.replace(DAY, day.isoformat() if day else "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]")
    for path in sorted(base.glob(glob), key=str):
        if path.name.startswith(".") or not path.is_file():
            continue
        name = str(path)[len(str(base)) :].strip("/")
        yield path, name, _day_of(pattern, name)


def _day_of(pattern: str, name: str) -> date | None:
    if DAY not in pattern:
        return None
    regex = translate(pattern.replace(DAY, "@@")).replace("@@", r"(\d{4}-\d{2}-\d{2})", 1).replace("@@", r"\1")
    found = re.match(regex, name)
    try:
        return date.fromisoformat(found.group(1)) if found else None
    except ValueError as error:
        raise RefusedError(
            "A file is named after a day that does not exist",
            where=name,
            observed=str(error),
            allowed=f"names like {pattern}, with a day such as 2025-01-31",
            todo="rename the file, or move it away",
        ) from error
