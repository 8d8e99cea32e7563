"""Extract the archives of this folder so that they can be used where they then are. Knows no pipeline module."""

from __future__ import annotations

import sqlite3
import tarfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
HOME_ARCHIVE, MODELS, EXPECTED = HERE / "home.tar.gz", HERE / "models.tar.gz", HERE / "expected"
HOME = "/aisle-home"
"""Stands in the archive's registry for the home's own folder, which MLflow keeps in every address."""


def extract_models(folder: Path) -> Path:
    """Extract `models/` below a folder and return it: a model folder for each file of `expected/`, of the same name."""
    with tarfile.open(MODELS) as archive:
        archive.extractall(folder, filter="data")
    return folder / "models"


def extract_home(folder: Path) -> Path:
    """Extract `home/`, `data/` and `sources.yaml` below a folder, and return the home."""
    with tarfile.open(HOME_ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    home = (folder / "home").absolute()
    readdress(home / "mlflow.db", HOME, str(home))
    return home


def readdress(database: Path, old: str, new: str) -> None:
    """Put one text in the place of another in every column of words of a SQLite database."""
    db = sqlite3.connect(database)
    with db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for _, column, kind, *_ in db.execute(f'PRAGMA table_info("{table}")').fetchall():
                if kind.upper().startswith(("VARCHAR", "TEXT")):
                    db.execute(
                        f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) WHERE instr("{column}", ?)',
                        (old, new, old),
                    )
    db.execute("VACUUM")
    db.close()
