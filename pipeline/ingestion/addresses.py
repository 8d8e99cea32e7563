"""Addresses in `sources.yaml`: a path or bucket URI, perhaps with globs and `{day}`, or `simulate://…`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from fnmatch import translate
from pathlib import Path

from upath import UPath

from pipeline.settings import unreachable

SIMULATED = "simulate://"
DAY = "{day}"


def is_simulated(address: str) -> bool:
    """Whether the address is one of the simulator."""
    return address.startswith(SIMULATED)


def resolve(address: str, data: str) -> str:
    """Make an address absolute; a relative one is below the folder or bucket `data`."""
    absolute = "://" in address or address.startswith("/")
    return address if absolute else f"{data.rstrip('/')}/{address}"


def fixed_part(address: str) -> UPath:
    """The part of an address before the first glob or `{day}`: a folder, or the file itself where there is none."""
    parts = address.split("/")
    fixed = next((i for i, part in enumerate(parts) if is_pattern(part)), len(parts))
    return UPath("/".join(parts[:fixed]))


def is_pattern(address: str) -> bool:
    """Whether the address has a glob or `{day}` and so may match many files."""
    return any(mark in address for mark in ("*", "?", "[", DAY))


def has_days(address: str) -> bool:
    """Whether the deliveries of one day can be told from others: by `{day}`, or because they are simulated."""
    return is_simulated(address) or DAY in address


def missing(address: str) -> str | None:
    """The reason why the address cannot match any file, or None if its fixed part exists."""
    if is_simulated(address):
        return None
    if fault := malformed(address) or unreachable(address):
        return fault
    try:
        fixed = fixed_part(address)
        return None if fixed.exists() else f"{fixed} does not exist"
    except (ValueError, NotImplementedError, OSError) as error:
        return f"{address} cannot be reached ({error})"


def malformed(address: str) -> str | None:
    """The reason why an address is none, or None if it is one."""
    if not address.isprintable():
        return f"{address!r} has a character that cannot be seen"
    if any("**" in part and part != "**" for part in address.split("/")):
        return f"{address}: ** stands for any folders, and so for a whole part between two /"
    return None


def matches(address: str, day: date | None = None) -> Iterator[tuple[UPath, str, date | None]]:
    """Find the files that an address matches, in the order of their names.

    Files whose name begins with a dot are left out: they are temporary files of whoever writes them. What is neither a
    file nor a folder is not left out, so that it can be refused by its name (`pipeline.ingestion.safe_files`).

    Args:
        day: only this day's files, where the address has `{day}`.

    Yields:
        The file, its name below the fixed part of the address, and its day where the address has `{day}`: None if
        that day does not exist, such as 2025-02-30.
    """
    base = fixed_part(address)
    if not is_pattern(address):
        if base.exists() or (isinstance(base, Path) and base.is_symlink()):
            yield base, base.name, None
        return
    pattern = address[len(str(base)) :].strip("/") if address.startswith(str(base)) else address.split("/")[-1]
    glob = pattern.replace(DAY, day.isoformat() if day else "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]")
    for path in sorted(base.glob(glob), key=str):
        # `is_file` is false for a pipe or a device, and follows a symbolic link.
        if path.name.startswith(".") or (path.is_dir() if isinstance(path, Path) else not path.is_file()):
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
    except ValueError:
        return None
