"""The deliveries of a source: find them, and open their bytes."""

from __future__ import annotations

import hashlib
import io
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, BinaryIO, Self

from upath import UPath

from pipeline.dates import format_days
from pipeline.errors import UsageError
from pipeline.ingestion.addresses import DAY, fixed_part, has_days, is_pattern, is_simulated, matches, resolve
from pipeline.ingestion.safe_files import fault_of, open_safely, printable, refusal
from pipeline.ingestion.source_schema import WEEKDAYS
from pipeline.ingestion.sources import NamedSource
from pipeline.logs import log_event
from pipeline.settings import Settings

log = logging.getLogger(__name__)

MAX_ID = 200
"""Characters of a delivery's id. File systems take 255, of which temporary files and corrections need some."""


@dataclass(frozen=True)
class Delivery:
    """A file of a source, or a range of days of a simulated one: the unit of idempotence.

    Attributes:
        id: its name within the table, made of the source's and the file's; it never changes.
        address: the file, or the simulator's address.
        first, until: the days it covers where its address names them; `until` is exclusive.
        corrects: the delivery whose quarantined rows it brings again, corrected.
        fault: why the file is refused by its name and must not be opened; None for all others.
    """

    table: str
    source: str
    id: str
    name: str
    address: str
    first: date | None = None
    until: date | None = None
    corrects: str | None = None
    fault: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The delivery as a dictionary that JSON can hold."""
        return asdict(self) | {k: v.isoformat() for k in ("first", "until") if (v := getattr(self, k))}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        days = {k: date.fromisoformat(record[k]) for k in ("first", "until") if record.get(k)}
        return cls(**{**record, **days})


@dataclass(frozen=True)
class AbsentDays:
    """The days of a range for which there is nothing.

    Attributes:
        missing: those on which the shop is not known to be closed.
        closed: the others.
    """

    missing: tuple[date, ...] = ()
    closed: tuple[date, ...] = ()


def absent_days(source: NamedSource, present: Collection[date], since: date, until: date) -> AbsentDays:
    """Divide the days of a range (`until` is exclusive) that are not present by whether the shop is closed on them."""
    days = [since + timedelta(days=n) for n in range((until - since).days)]
    absent = [day for day in days if day not in present]
    closed = [day for day in absent if is_closed(source, day)]
    return AbsentDays(tuple(day for day in absent if day not in closed), tuple(closed))


def days_without_delivery(
    source: NamedSource, deliveries: Sequence[Delivery], since: date | None = None, until: date | None = None
) -> AbsentDays:
    """Find the days that no delivery is for; none where the files do not name their days.

    Args:
        source: the source.
        deliveries: its deliveries of the range.
        since: the first day of the range; the first day of the deliveries when None.
        until: the day after the last; the day after the last of the deliveries when None.
    """
    spans = [(d.first, d.until) for d in deliveries if d.first is not None and d.until is not None]
    since = since or min((first for first, _ in spans), default=None)
    until = until or max((end for _, end in spans), default=None)
    if since is None or until is None or not has_days(source.spec.address):
        return AbsentDays()
    present = {first + timedelta(days=n) for first, end in spans for n in range((end - first).days)}
    return absent_days(source, present, since, until)


def find_deliveries(
    settings: Settings, source: NamedSource, *, since: date | None = None, until: date | None = None
) -> list[Delivery]:
    """Find the deliveries of a source: those of a range of days, or all.

    Where the address has no `{day}`, all files are returned whatever the days, because each may hold rows of any day.

    Args:
        since: the first day; None for no lower bound.
        until: the day after the last; None for no upper bound.

    Raises:
        UsageError: if the source is a simulated one and a bound is missing.
    """
    address = resolve(source.spec.address, settings.data)
    if is_simulated(address):
        found = _simulated(source, address, since, until)
    else:
        found = _files(source, address, since, until)
    days = {"since": since, "until": until}
    log_event(log, "deliveries found", table=source.table, source=source.name, **days, deliveries=len(found))
    if found and (missing := days_without_delivery(source, found, since, until).missing):
        listed = format_days(missing)
        log_event(log, "days without a delivery", logging.WARNING, table=source.table, source=source.name, days=listed)
    return found


def _files(source: NamedSource, address: str, since: date | None, until: date | None) -> list[Delivery]:
    found, folder = [], folder_of(address)
    for path, name, day in matches(address, since if since and until == since + timedelta(days=1) else None):
        fault = fault_of(path, folder)
        if day is None and DAY in address:
            if since or until:
                continue  # it belongs to no day of the range
            fault = fault or "its name has a date that does not exist"
        if day and ((since and day < since) or (until and day >= until)):
            continue
        last = day + timedelta(days=1) if day else None
        identity = _id(source.name, name)
        if len(identity) > MAX_ID:
            fault = fault or f"its name is too long: with the source's it makes more than {MAX_ID} characters"
            identity = f"{identity[: MAX_ID - 9]}-{_digest(name)}"
        shown = printable(path.name), printable(str(path))
        found.append(Delivery(source.table, source.name, identity, *shown, day, last, fault=fault))
    return found


def folder_of(address: str) -> UPath:
    """The folder that an address names; its files are in it or below it."""
    fixed = fixed_part(address)
    return fixed if is_pattern(address) else fixed.parent


def is_closed(source: NamedSource, day: date) -> bool:
    """Whether the shop is known to be closed on a day, so that no delivery is expected."""
    if is_simulated(source.spec.address):
        from pipeline.simulate.deliveries import is_trading_day

        return not is_trading_day(source.spec.address, day)
    return day in source.spec.closed_on or WEEKDAYS[day.weekday()] in source.spec.closed_on


def open_delivery(delivery: Delivery, folder: UPath | None = None) -> BinaryIO:
    """Open the delivery's bytes for reading.

    Args:
        delivery: the delivery.
        folder: the folder that its source names; its file's own folder if None.

    Raises:
        RefusedError: if the file no longer exists, or must not be opened.
    """
    if delivery.fault:
        raise refusal(delivery.address, delivery.fault)
    if is_simulated(delivery.address):
        if delivery.first is None or delivery.until is None:
            raise UsageError("A simulated delivery needs its days", where=delivery.id)
        # The simulator takes a second to import, and only simulated sources need it.
        from pipeline.simulate.deliveries import delivery_bytes

        return io.BytesIO(delivery_bytes(delivery.address, delivery.first, delivery.until))
    path = UPath(delivery.address)
    return open_safely(path, folder or path.parent)


def _simulated(source: NamedSource, address: str, since: date | None, until: date | None) -> list[Delivery]:
    if since is None or until is None:
        raise UsageError(
            "A simulated source has no end, so its days must be given",
            where=source.where,
            todo="give --day, or --from and --until",
        )
    if all(is_closed(source, since + timedelta(days=n)) for n in range((until - since).days)):
        return []
    one_day = until == since + timedelta(days=1)
    name = f"{since}.csv" if one_day else f"{since}_{until}.csv"
    return [Delivery(source.table, source.name, _id(source.name, name), name, address, since, until)]


def _id(source: str, name: str) -> str:
    """A delivery's id: readable, unique, and valid as the name of a folder in any file system."""
    slug = re.sub(r"[^A-Za-z0-9._-]+", "_", name)
    if slug != name:
        slug += "-" + _digest(name)
    return f"{source}--{slug}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
