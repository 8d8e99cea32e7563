"""Attacks on what is stored: full disks, a home that cannot be written, a first start that is killed, locks.

The corruptions of a home, with the doctor's advice followed word for word, are tests (`tests/doctor`), and so are the
signatures (`tests/registry/test_recovery.py`): they are light. Here is what needs root, real mounts or many processes.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.attack.outcome import Outcome
from pipeline.lake.tables import Lake
from pipeline.settings import Settings
from tests.ingestion.broken_files import Cells, as_csv, good_rows, shop

KILLS = 8
"""How many times the registry's first start is killed, at moments spread over its duration."""
SMALL_DISKS_KB = (64, 400, 800, 1200)
"""Sizes of the disks on which the registry is made; it needs about 1 MB."""
COPIES = 1_000
"""How many times a file of 199 lines is repeated, for a delivery that passes in several batches."""
INGEST = ("ingest", "footfall", "--from", "2024-01-01", "--until", "2024-02-01")


def attacks() -> Iterator[Outcome]:
    """Make the attacks; those that need mounts are left out, and say so, where mounting is not permitted."""
    if _can_mount():
        yield from _full_disks()
        yield from _full_while_streamed()
        yield from _read_only()
    else:
        print("recovery: left out, because they need root: full disks, a read-only home", file=sys.stderr)
    yield from _lock()
    yield from _kills()


def _aisle(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *arguments],
        env={**os.environ, "AISLE_HOME": str(home), **variables},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def _is_sentence(done: subprocess.CompletedProcess[str]) -> bool:
    """Whether a command failed with a sentence that says what to do, and without a traceback."""
    return done.returncode in (1, 2) and "Traceback" not in done.stderr and "error:" in done.stderr


def _last(done: subprocess.CompletedProcess[str]) -> str:
    text = " ".join((done.stderr or done.stdout).split())
    # What a library prints when it panics comes before the sentence.
    return f"exit code {done.returncode}, {text[max(text.find('error: '), 0) :][:160]}"


def _kills() -> Iterator[Outcome]:
    with _folder() as folder:
        start = time.monotonic()
        whole = _aisle(folder / "whole", "models")
        seconds = time.monotonic() - start
        assert whole.returncode == 0, whole.stderr
        moments = random.Random(7)
        for number in range(KILLS):
            home = folder / str(number)
            process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.cli", "models"],
                env={**os.environ, "AISLE_HOME": str(home)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            moment = seconds * moments.uniform(0.3, 1.0)
            time.sleep(moment)
            process.send_signal(signal.SIGKILL)
            process.wait()
            again = _aisle(home, "models")
            yield Outcome(
                f"first start killed after {moment:.1f} s of {seconds:.1f} s", again.returncode == 0, _last(again)
            )


def _lock() -> Iterator[Outcome]:
    with _folder() as home:
        assert _aisle(home, "models").returncode == 0
        with closing(sqlite3.connect(home / "mlflow.db", isolation_level=None)) as con:
            con.execute("BEGIN EXCLUSIVE")
            for arguments in (("models",), ("doctor",)):
                done = _aisle(home, *arguments)
                named = "locked" in done.stderr + done.stdout and "Traceback" not in done.stderr
                yield Outcome(
                    f"aisle {arguments[0]} while the registry is locked", named and done.returncode > 0, _last(done)
                )
            con.execute("ROLLBACK")


def _full_disks() -> Iterator[Outcome]:
    for size in SMALL_DISKS_KB:
        with _disk(f"size={size}k") as home:
            full = _aisle(home, "models")
            subprocess.run(["mount", "-o", "remount,size=200m", str(home)], check=True)
            again = _aisle(home, "models")
            held = (full.returncode == 0 or _is_sentence(full)) and again.returncode == 0
            yield Outcome(f"first start on a disk of {size} kB, then with space", held, _last(full))
    for kilobytes in (0, 100):
        with _disk("size=60m") as home:
            assert _aisle(home, *INGEST).returncode == 0
            free = shutil.disk_usage(home).free - kilobytes * 1024
            (home / "filler").write_bytes(b"\0" * max(0, free // 4096 * 4096))
            full = _aisle(home, "ingest", "footfall", "--from", "2024-02-01", "--until", "2024-02-20")
            (home / "filler").unlink()
            again = _aisle(home, "ingest", "footfall", "--from", "2024-02-01", "--until", "2024-02-20")
            well = _aisle(home, "doctor", "--deep")
            held = _is_sentence(full) and again.returncode == 0 and well.returncode == 0
            yield Outcome(f"ingestion with {kilobytes} kB free, then with space, then doctor --deep", held, _last(full))


def _full_while_streamed() -> Iterator[Outcome]:
    """Fill the disk while one large delivery is landed, received and committed, and the disk of temporary files.

    Held means: a sentence; the rows of the delivery before it are as they were; with space, the same command goes
    through, the tables hold every row once, and the doctor finds nothing.
    """
    with _folder() as folder:
        settings = shop(folder)
        header, *rows = good_rows("transactions")
        place = folder / "data" / "transactions" / "csv"
        (place / "a.csv").write_bytes(as_csv([header, *rows]))
        known, every = len(rows), len(rows) * (1 + COPIES)
        with _disk("size=200m") as home:
            sizes = [_used(home)]
            assert _ingest(folder, home).returncode == 0
            (place / "b.csv").write_bytes(as_csv([header, *_copies(rows)]))
            sizes += [_used(home), _used(home) + (place / "b.csv").stat().st_size]
            assert _ingest(folder, home).returncode == 0
            sizes.append(_used(home))
            assert _counts(settings, home) == (every, every)
        (place / "b.csv").rename(folder / "b.csv")
        landing, written = (sizes[1] + sizes[2]) // 2, sizes[3] - sizes[2]
        moments = {
            "it is landed": landing,
            "its rows are received": sizes[2] + written // 4,
            "its days are written": sizes[2] + written * 3 // 4,
        }
        for moment, size in moments.items():
            with _disk(f"size={size // 1024}k") as home:
                assert _ingest(folder, home).returncode == 0
                (folder / "b.csv").rename(place / "b.csv")
                full = _ingest(folder, home)
                between = _counts(settings, home)
                subprocess.run(["mount", "-o", "remount,size=200m", str(home)], check=True)
                yield _streamed(f"the home is full while {moment}", full, between, known, every, folder, home)
                (place / "b.csv").rename(folder / "b.csv")
        for megabytes in (2, 12):
            with _disk("size=200m") as home, _disk(f"size={megabytes}m") as temporary:
                assert _ingest(folder, home).returncode == 0
                (folder / "b.csv").rename(place / "b.csv")
                full = _ingest(folder, home, temporary)
                between = _counts(settings, home)
                name = f"{megabytes} MB for the temporary files of a large delivery"
                yield _streamed(name, full, between, known, every, folder, home)
                (place / "b.csv").rename(folder / "b.csv")


def _streamed(
    name: str,
    full: subprocess.CompletedProcess[str],
    between: tuple[int, int],
    known: int,
    every: int,
    folder: Path,
    home: Path,
) -> Outcome:
    """Give the disk space again and tell whether the product held."""
    again = _ingest(folder, home)
    whole = _counts(Settings(home=str(home)), home)
    well = _aisle(home, "doctor", "--deep", **_of_shop(folder))
    # Received rows that the ledger does not know yet are written anew by the next run.
    held = _is_sentence(full) and between[1] == known and again.returncode == 0 and whole == (every, every)
    return Outcome(name, held and well.returncode == 0, f"{_last(full)}; {between} rows, then {whole}")


def _copies(rows: Cells) -> Cells:
    """Rows again and again, each time under other invoice numbers."""
    return [[f"{copy}-{invoice}", *rest] for copy in range(COPIES) for invoice, *rest in rows]


def _ingest(folder: Path, home: Path, temporary: Path | None = None) -> subprocess.CompletedProcess[str]:
    place = {"TMPDIR": str(temporary)} if temporary else {}
    return _aisle(home, "ingest", "transactions", "--all", "--source", "csv", **_of_shop(folder), **place)


def _of_shop(folder: Path) -> dict[str, str]:
    return {"AISLE_SOURCES": str(folder / "sources.yaml"), "AISLE_DATA": str(folder / "data")}


def _counts(settings: Settings, home: Path) -> tuple[int, int]:
    """The rows of the received table and of the clean one."""
    lake = Lake(settings.model_copy(update={"home": str(home)}))
    received, clean = (lake.row_counts(*of) for of in (("transactions.received", "delivery"), ("transactions", "day")))
    return sum(received.values()), sum(clean.values())


def _used(home: Path) -> int:
    return shutil.disk_usage(home).used


def _read_only() -> Iterator[Outcome]:
    with _disk("size=200m") as home:
        assert _aisle(home, *INGEST).returncode == 0
        assert _aisle(home, "models").returncode == 0
        subprocess.run(["mount", "-o", "remount,ro", str(home)], check=True)
        for arguments in (INGEST, ("ingest", "footfall", "--day", "2024-02-05"), ("train", "footfall_buyers")):
            done = _aisle(home, *arguments)
            yield Outcome(
                f"aisle {' '.join(arguments[:2])} in a home that is read-only", _is_sentence(done), _last(done)
            )
        models = _aisle(home, "models")
        yield Outcome("aisle models in a home that is read-only", models.returncode == 0, _last(models))
        doctor = _aisle(home, "doctor")
        yield Outcome("aisle doctor in a home that is read-only", "Traceback" not in doctor.stderr, _last(doctor))


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="aisle-attack-recovery-") as folder:
        yield Path(folder)


@contextmanager
def _disk(options: str) -> Iterator[Path]:
    """A file system in memory, of a size of its own."""
    with _folder() as folder:
        disk = folder / "disk"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], check=True)
        try:
            yield disk
        finally:
            subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _can_mount() -> bool:
    try:
        with _disk("size=64k"):
            return True
    except (subprocess.CalledProcessError, OSError):
        return False
