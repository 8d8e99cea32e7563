"""The fingerprint of the rules: a delivery is processed again when its bytes or the rules have changed."""

from __future__ import annotations

import hashlib

from pipeline.contracts import CONTRACTS
from pipeline.ingestion.sources import NamedSource
from pipeline.lake.files import Blob
from pipeline.settings import Settings


def rules_fingerprint(settings: Settings, source: NamedSource, joined: Blob | None) -> str:
    """Hash everything but a delivery's own bytes that decides what becomes of its rows.

    That is the mapping (without its addresses, and its currency, which only pages show), the joined file, the time
    zone, the suite and the contract with the defaults of its options and its measures.

    Returns:
        16 hexadecimal digits.
    """
    contract = CONTRACTS[source.table]
    suite = settings.expectations / f"{source.table}.json"
    parts = (
        source.spec.model_dump_json(exclude={"address": True, "join": {"address"}, "currency": True}).encode(),
        joined.sha256.encode() if joined else b"",
        source.time_zone.encode(),
        suite.read_bytes() if suite.exists() else b"",
        str(contract.schema).encode(),
        repr(sorted(contract.options.items())).encode(),
        *(f"{name} = {formula}".encode() for name, formula in sorted(contract.measures.items())),
    )
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
