"""Folders for temporary files on local disk. Their process removes them, or housekeeping if it was killed before."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import gettempdir
from uuid import uuid4

MIN_AGE = timedelta(days=1)
"""No younger folder is removed: where containers share a disk, its process may be alive and not be seen from here."""
NAME = re.compile(r"aisle-(?:stage|spill)-(\d+)-[0-9a-f]{32}")


def scratch_path(purpose: str) -> Path:
    """Return the path of a new folder, which the caller makes.

    Args:
        purpose: `stage` for the rows of a delivery, `spill` for what the engine cannot hold in memory.
    """
    return Path(gettempdir()) / f"aisle-{purpose}-{os.getpid()}-{uuid4().hex}"


def abandoned(now: datetime) -> dict[Path, int]:
    """Find the folders whose process is gone and that are older than a day, with the bytes of their files."""
    sizes = {}
    for folder in Path(gettempdir()).iterdir():
        found = NAME.fullmatch(folder.name)
        if found is None or folder.is_symlink() or _is_alive(int(found[1])):
            continue
        # It may go meanwhile, or be another user's.
        with suppress(FileNotFoundError, PermissionError):
            if datetime.fromtimestamp(folder.stat().st_mtime, UTC) < now - MIN_AGE:
                sizes[folder] = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    return sizes


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
