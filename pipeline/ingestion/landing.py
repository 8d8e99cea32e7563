"""The bytes of a delivery and of the file to be joined to it are stored unchanged, or recorded as refused."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from upath import UPath

from pipeline.errors import RefusedError
from pipeline.ingestion import ledger
from pipeline.ingestion.addresses import is_simulated, resolve
from pipeline.ingestion.deliveries import Delivery, folder_of, open_delivery
from pipeline.ingestion.ledger import LedgerEntry, Status
from pipeline.ingestion.report import write_refusal_page
from pipeline.ingestion.safe_files import open_safely
from pipeline.ingestion.sources import NamedSource
from pipeline.lake.files import Blob
from pipeline.lake.tables import Lake
from pipeline.logs import log_event
from pipeline.settings import Settings

log = logging.getLogger(__name__)


def store_bytes(settings: Settings, lake: Lake, delivery: Delivery, source: NamedSource) -> tuple[Blob, Blob | None]:
    """Store the bytes of a delivery, and those of the file that is to be joined to it, if there is one.

    Raises:
        RefusedError: if one of them does not exist or must not be opened.
    """
    no_folder = delivery.corrects or is_simulated(delivery.address)
    folder = None if no_folder else folder_of(resolve(source.spec.address, settings.data))
    with open_delivery(delivery, folder) as stream:
        blob = lake.land(delivery.table, delivery.id, delivery.name, stream)
    if source.spec.join is None:
        return blob, None
    path = UPath(resolve(source.spec.join.address, settings.data))
    if not path.exists():
        raise RefusedError(
            "The file to be joined does not exist",
            where=f"{path}, {source.where}",
            todo="put it back, or correct join: in sources.yaml",
        )
    with open_safely(path, path.parent) as stream:
        return blob, lake.land(delivery.table, delivery.id, path.name, stream)


def record_unread(lake: Lake, delivery: Delivery, source: NamedSource, refusal: RefusedError) -> LedgerEntry:
    """Record that a delivery was refused before its bytes were stored, and return the entry, which names no bytes."""
    now = datetime.now(UTC).replace(tzinfo=None)
    entry = LedgerEntry(
        delivery.table,
        delivery.id,
        source.name,
        sha256="",
        rules="",
        blob="",
        size=0,
        landed_at=now,
        status=Status.REFUSED,
        corrects=delivery.corrects,
        reason=str(refusal),
    )
    where = {"table": delivery.table, "delivery": delivery.id}
    log_event(log, "delivery refused", logging.WARNING, **where, reason=refusal.observed or refusal.what)
    ledger.record(lake, entry)
    write_refusal_page(lake, entry, refusal)
    return entry
