"""What test files of several folders share."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that is made once in a test run, by whichever of its parallel workers needs it first.

    Args:
        factory: pytest's factory of temporary folders.
        name: the folder's name, unique among all test files.
        make: fills the folder, which exists and is empty.
    """
    base = factory.getbasetemp()
    # A worker's folder is one of several within the folder of the run.
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, made = root / name, root / f"{name}.made"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            made.touch()
    return folder
