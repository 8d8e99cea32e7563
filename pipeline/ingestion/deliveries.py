"""What a source has to hand over: its deliveries, and their bytes."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, BinaryIO, Self

from upath import UPath

from pipeline.errors import RefusedError, UsageError
from pipeline.ingestion.addresses import is_simulated, matches, resolve
from pipeline.ingestion.sources import WEEKDAYS, NamedSource
from pipeline.settings import Settings


@dataclass(frozen=True)
class Delivery:
    """One thing that a source hands over.

    Attributes:
        id: its name within the table: the source's and the file's or slice's. Stands for the same thing for ever.
        address: the file, or the simulated shop.
        first, until: the days it is for, where the address says so (`until` exclusive).
        mends: the delivery whose quarantined rows it brings again, mended.
    """

    table: str
    source: str
    id: str
    name: str
    address: str
    first: date | None = None
    until: date | None = None
    mends: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON can hold it."""
        return asdict(self) | {k: v.isoformat() for k in ("first", "until") if (v := getattr(self, k))}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        days = {k: date.fromisoformat(record[k]) for k in ("first", "until") if record.get(k)}
        return cls(**{**record, **days})


def find(
    settings: Settings, source: NamedSource, *, since: date | None = None, until: date | None = None
) -> list[Delivery]:
    """The deliveries of a source, of a range of days or all.

    A source whose address has no `{day}` hands over all its files whatever the days: they may hold rows of any.

    Args:
        since: the first day wanted.
        until: the day after the last one wanted.
    """
    address = resolve(source.spec.address, settings.data)
    if is_simulated(address):
        return _simulated(source, address, since, until)
    found = []
    for path, name, day in matches(address, since if since and until == since + timedelta(days=1) else None):
        if day and ((since and day < since) or (until and day >= until)):
            continue
        last = day + timedelta(days=1) if day else None
        found.append(Delivery(source.table, source.name, _id(source.name, name), path.name, str(path), day, last))
    return found


def is_closed(source: NamedSource, day: date) -> bool:
    """Whether it is known that the shop is closed on a day, so that nothing will come."""
    if is_simulated(source.spec.address):
        from pipeline.simulate.deliveries import is_trading_day

        return not is_trading_day(source.spec.address, day)
    return day in source.spec.closed_on or WEEKDAYS[day.weekday()] in source.spec.closed_on


def open_delivery(delivery: Delivery) -> BinaryIO:
    """The delivery's bytes.

    Raises:
        RefusedError: if the file has gone since it was found.
    """
    if is_simulated(delivery.address):
        if delivery.first is None or delivery.until is None:
            raise UsageError("A simulated delivery needs its days", where=delivery.id)
        # The simulator takes a second to import, and no other source needs it.
        from pipeline.simulate.deliveries import delivery_bytes

        return io.BytesIO(delivery_bytes(delivery.address, delivery.first, delivery.until))
    try:
        stream: BinaryIO = UPath(delivery.address).open("rb")
    except FileNotFoundError as error:
        raise RefusedError("The delivery is no longer there", where=delivery.address, todo="put it back") from error
    return stream


def _simulated(source: NamedSource, address: str, since: date | None, until: date | None) -> list[Delivery]:
    if since is None or until is None:
        raise UsageError(
            "The simulated shop never ends, so it must be told which days are wanted",
            where=source.where,
            todo="give --day, or --from and --until",
        )
    if all(is_closed(source, since + timedelta(days=n)) for n in range((until - since).days)):
        return []
    one_day = until == since + timedelta(days=1)
    name = f"{since}.csv" if one_day else f"{since}_{until}.csv"
    return [Delivery(source.table, source.name, _id(source.name, name), name, address, since, until)]


def _id(source: str, name: str) -> str:
    """A delivery's id: readable, unique, and safe as a folder's name anywhere."""
    slug = re.sub(r"[^A-Za-z0-9._-]+", "_", name)
    if slug != name:
        slug += "-" + hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{source}--{slug}"
