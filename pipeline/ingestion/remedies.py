"""The command that ingests a delivery again."""

from __future__ import annotations

import re

from pipeline.errors import AisleError
from pipeline.ingestion.addresses import is_simulated
from pipeline.ingestion.ledger import LedgerEntry
from pipeline.ingestion.sources import load_sources
from pipeline.settings import Settings

_DAYS = re.compile(r"--(\d{4}-\d\d-\d\d)(?:_(\d{4}-\d\d-\d\d))?\.\w+$")


def ingest_command(settings: Settings, entry: LedgerEntry) -> str:
    """Return the command that offers a delivery again: all files of its source, or the days that were simulated."""
    command = f"aisle ingest {entry.table} --source {entry.source}"
    try:
        simulated = is_simulated(load_sources(settings).get(entry.table, entry.source).spec.address)
    except AisleError:
        simulated = False
    days = _DAYS.search(entry.delivery)
    if not simulated or days is None:
        return f"{command} --all"
    first, until = days.groups()
    return f"{command} --from {first} --until {until}" if until else f"{command} --day {first}"


def raw_remedy(settings: Settings, entry: LedgerEntry) -> str:
    """Return the command that stores the raw bytes of a delivery again."""
    if entry.corrects:
        return f"aisle repair {entry.table}"
    where = "(it stores the bytes again if the source still has the file, or has it again from a backup)"
    return f"{ingest_command(settings, entry)} {where}"
