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

KILLS = 8
"""How many times the registry's first start is killed, at moments spread over its duration."""
SMALL_DISKS_KB = (64, 400, 800, 1200)
"""Sizes of the disks on which the registry is made; it needs about 1 MB."""
INGEST = ("ingest", "footfall", "--from", "2024-01-01", "--until", "2024-02-01")


def attacks() -> Iterator[Outcome]:
    """Make the attacks; those that need mounts are left out, and say so, where mounting is not permitted."""
    if _can_mount():
        yield from _full_disks()
        yield from _read_only()
    else:
        print("recovery: left out, because they need root: full disks, a read-only home", file=sys.stderr)
    yield from _lock()
    yield from _kills()


def _aisle(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *arguments],
        env={**os.environ, "AISLE_HOME": str(home)},
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
    return f"exit code {done.returncode}, {text[:160]}"


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
