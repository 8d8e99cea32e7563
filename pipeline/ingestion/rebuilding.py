"""What a delivery's raw bytes give under the present mapping, contract and suite, for repairs and thorough checks."""

from __future__ import annotations

from upath import UPath

from pipeline.errors import RefusedError
from pipeline.ingestion.assessment import Assessment, assess_rows, source_of
from pipeline.ingestion.deliveries import Delivery
from pipeline.ingestion.fingerprint import rules_fingerprint
from pipeline.ingestion.ledger import LedgerEntry
from pipeline.ingestion.remedies import raw_remedy
from pipeline.ingestion.sources import NamedSource
from pipeline.lake.files import Blob
from pipeline.lake.health import file_hash
from pipeline.lake.tables import Lake
from pipeline.settings import Settings

HASH_PREFIX = 17
"""Length of what precedes a delivery's own name in the name of its raw file: 16 digits of the hash and a dash."""


def assess_again(settings: Settings, lake: Lake, entry: LedgerEntry) -> tuple[Assessment, str]:
    """Assess the raw bytes of a delivery again, and return the fingerprint of the rules by which that was done."""
    digest = file_hash(lake.path(entry.blob))
    if digest != entry.sha256:
        raise RefusedError(
            "The raw bytes are damaged",
            where=entry.blob,
            observed=f"SHA-256 {digest[:16]}…",
            allowed=f"{entry.sha256[:16]}…",
            todo=raw_remedy(settings, entry),
        )
    # Days are left out: they serve only expectations on the delivery as a whole.
    name = UPath(entry.blob).name[HASH_PREFIX:]
    path = str(lake.path(entry.blob))
    delivery = Delivery(entry.table, entry.source, entry.delivery, name, path, corrects=entry.corrects)
    source = source_of(settings, delivery)
    joined = joined_blob(settings, lake, entry, source)
    assessment = assess_rows(settings, lake, delivery, entry, joined.path if joined else None)
    return assessment, rules_fingerprint(settings, source, joined)


def joined_blob(settings: Settings, lake: Lake, entry: LedgerEntry, source: NamedSource) -> Blob | None:
    """Find the raw file that was joined to a delivery: of several the one of the ledger's rules, or else the newest."""
    if source.spec.join is None:
        return None
    name = UPath(source.spec.join.address).name
    folder = lake.path("raw", entry.table, entry.delivery)
    found = folder.iterdir() if folder.exists() else ()
    paths = [path for path in found if path.name[HASH_PREFIX:] == name]
    newest_last = sorted(paths, key=lambda path: path.stat().st_mtime)
    blobs = []
    for path in newest_last:
        sha256 = file_hash(path)
        if path.name.startswith(sha256[: HASH_PREFIX - 1]):
            below_home = f"raw/{entry.table}/{entry.delivery}/{path.name}"
            blobs.append(Blob(below_home, sha256, path.stat().st_size))
    if not blobs:
        raise RefusedError(
            "The raw bytes of the joined file are missing or damaged",
            where=f"{name} in {folder}",
            todo=raw_remedy(settings, entry),
        )
    return next((blob for blob in blobs if rules_fingerprint(settings, source, blob) == entry.rules), blobs[-1])
