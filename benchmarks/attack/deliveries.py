"""Attacks by deliveries: every broken file of the corpus, within ten seconds and a gigabyte; and text that is a script.

The files of a source are ingested in a process of their own, between two good files, as `--all` does.
Held means: refused with a reason, or rows in quarantine; no more time and memory than the bounds, libraries and the
parser's own process included; and the good files are in the tables as if they were alone.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.attack import planted_home
from benchmarks.attack.outcome import Outcome
from pipeline.domains import DOMAINS
from pipeline.errors import AisleError
from pipeline.ingestion import ledger
from pipeline.ingestion import steps as ingestion
from pipeline.ingestion.ledger import Status
from pipeline.lake.tables import Lake
from pipeline.reports.index import find_pages
from pipeline.settings import Settings
from tests.browser import PLANTED, opened_together
from tests.ingestion.broken_files import FORMS, TABLES, broken_files, good_file, good_rows, shop

SECONDS, MEGABYTES = 10.0, 1024.0
"""Bounds for each file. Seconds are of processor time, so that other work on the machine does not count."""
WARM_UP = "a-good"


def attacks() -> Iterator[Outcome]:
    """Ingest all broken files of all tables; then open every page of a shop whose every text is a script."""
    for table in TABLES:
        for source in FORMS:
            with tempfile.TemporaryDirectory(prefix="aisle-attack-") as folder:
                command = [sys.executable, "-m", "benchmarks.attack.deliveries", table, source, folder]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                for line in done.stdout.splitlines():
                    yield Outcome(**json.loads(line))
                if done.returncode:
                    yield Outcome(f"{table} {source}", False, f"exit code {done.returncode}: {done.stderr[-500:]}")
    yield from _pages()


def _pages() -> Iterator[Outcome]:
    with tempfile.TemporaryDirectory(prefix="aisle-attack-") as folder:
        place = Path(folder)
        (place / "data").mkdir()
        settings = Settings(
            home=str(place / "home"),
            sources=place / "sources.yaml",
            data=str(place / "data"),
            expectations=place / "expectations",
        )
        planted_home.make(settings, PLANTED)
        found = find_pages(Lake(settings))
        pages = [f"{name}/{page.name}.html" for name, listed in found.items() for page in listed]
        loaded, heard = opened_together(place / "home" / "reports", pages)
        held = loaded == len(pages) and not heard and len(found) > len(DOMAINS)
        yield Outcome(
            "planted text in every text of every table", held, f"{loaded} of {len(pages)} pages: {heard or 'silent'}"
        )


def ingest_all(table: str, source: str, folder: Path) -> Iterator[Outcome]:
    """Ingest the broken files of one source, and two good ones around them, in this process."""
    settings = shop(folder)
    place = folder / "data" / table / source
    for name in (WARM_UP, "z-good"):
        (place / f"{name}.{source}").write_bytes(good_file(table, source))
    files = [file for file in broken_files(large=True) if (file.table, file.source) == (table, source)]
    for file in files:
        file.write(place / f"m-{file.name}"[:250])
    refused: set[str] = set()
    for delivery in ingestion.pending(settings, table, source):
        gc.collect()
        _reset_peak()
        start = time.process_time() + _children_seconds()
        try:
            entry = ingestion.ingest(settings, delivery).entry
            observed, held = f"{entry.quarantined:,} of {entry.read:,} rows in quarantine", bool(entry.quarantined)
        except AisleError as refusal:
            refused.add(delivery.id)
            observed, held = str(refusal.what).split("\n")[0], True
        # The parser's process is waited for when it ends, so that its time is known by the next file at the latest.
        seconds = time.process_time() + _children_seconds() - start
        megabytes = max(_peak(), _children_peak())
        if "-good." in delivery.name:
            continue
        held = held and seconds <= SECONDS and megabytes <= MEGABYTES
        yield Outcome(f"{table} {delivery.name[:60]}", held, f"{observed}; {seconds:.1f} s, {megabytes:,.0f} MB")
    yield _rest(settings, table, len(files), refused)


def _rest(settings: Settings, table: str, broken: int, refused: set[str]) -> Outcome:
    """Whether the good files are in the tables as if they were alone, and the ledger knows every file."""
    lake = Lake(settings)
    entries = ledger.entries(lake, table)
    rows = len(good_rows(table)) - 1
    received = lake.row_counts(f"{table}.received", "delivery")
    good = [entry.delivery for entry in entries if "-good." in entry.delivery]
    counts = [received.get(name) for name in good]
    known = {entry.delivery for entry in entries if entry.status is Status.REFUSED and entry.reason}
    held = counts == [rows, rows] and len(entries) == broken + 2 and known == refused and not known & received.keys()
    return Outcome(
        f"{table}: the rest of --all", held, f"{counts} rows of the good files, {len(entries)} in the ledger"
    )


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _children_peak() -> float:
    """The most memory of any process that was waited for, in megabytes."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _peak() -> float:
    """The most memory of this process since `_reset_peak`, in megabytes."""
    text = Path("/proc/self/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def main() -> int:
    """Print the outcomes of one source, one JSON object a line."""
    table, source, folder = sys.argv[1:]
    os.environ.pop("AISLE_MAX_DELIVERY_BYTES", None)
    for outcome in ingest_all(table, source, Path(folder)):
        print(json.dumps(vars(outcome)), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
