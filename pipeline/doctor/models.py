"""Checks and repairs of the model registry: its database, the models' files, and the record of what was in use."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.doctor.faults import Fault, Mended
from pipeline.domains import model_names
from pipeline.errors import AisleError
from pipeline.lake.health import BROKEN, find_damages
from pipeline.lake.tables import Lake
from pipeline.registry.database import database_file
from pipeline.registry.promotions import PROMOTIONS

if TYPE_CHECKING:
    from pipeline.settings import Settings

REGISTRY = "registry"
"""What `aisle repair` calls the model registry."""


def registry_faults(settings: Settings) -> list[Fault]:
    """Find what is wrong with the registry.

    Raises:
        AisleError: if it is locked or does not answer.
    """
    from pipeline.registry.client import Registry

    if damages := find_damages(Lake(settings), PROMOTIONS):
        return [
            Fault(f"the record of promotions is damaged: {d.detail}", f"aisle repair {PROMOTIONS}") for d in damages
        ]
    used = _models_on_record(settings)
    if fault := _database_fault(settings):
        return [Fault(fault, "; ".join([f"aisle repair {REGISTRY}", *(f"aisle train {name}" for name in used)]))]
    if not _is_made(settings):
        return [Fault(f"the database is missing, and {name} was in use", f"aisle train {name}") for name in used]
    registry, faults = Registry(settings), []
    for summary in registry.models():
        name, champion = summary.name, summary.champion
        damaged = registry.damaged_versions(name)
        if damaged:
            listed = ", ".join(f"version {version}" for version in sorted(damaged))
            remedy = f"aisle repair {REGISTRY}"
            if champion and champion.version in damaged and not set(registry.earlier_champions(name)) - damaged.keys():
                remedy += f"; aisle train {name}"
            faults.append(Fault(f"{name}, {listed}: the files are missing or not those registered", remedy))
        elif champion is None and name in used:
            faults.append(Fault(f"{name} was in use and has no champion", f"aisle train {name}"))
        elif champion and not _is_on_record(settings, name, champion.version):
            remedy = f'aisle promote {name} {champion.version} --reason "restored to the record"'
            faults.append(Fault(f"{name} version {champion.version} is in use without a record of it", remedy))
        elif champion and not registry.is_signed(name, champion.version):
            faults.append(
                Fault(f"{name} version {champion.version} is not signed", f"aisle sign {name} {champion.version}")
            )
    registered = {summary.name for summary in registry.models()}
    faults += [
        Fault(f"{name} was in use, and the registry does not have it", f"aisle train {name}")
        for name in used
        if name not in registered
    ]
    return faults


def repair_registry(settings: Settings, *, dry_run: bool = False) -> Mended:
    """Set a damaged database aside, and take versions out of use whose files are damaged.

    Where such a version is in use, the champion before it is put in use; without one, the model has to be trained.
    """
    from pipeline.registry.client import Registry

    mended = Mended()
    if fault := _database_fault(settings):
        mended.parts[REGISTRY] = f"{fault}; models have to be trained again"
        file = database_file(settings.mlflow_uri)
        if file is not None and not dry_run:
            mended.aside = _set_file_aside(settings, file)
            Registry(settings)
        return mended
    registry = Registry(settings)
    for summary in registry.models():
        in_use = summary.champion.version if summary.champion else None
        damaged = registry.damaged_versions(summary.name)
        # The one in use last, so that no damaged one is put in use instead of it.
        for version in sorted(damaged, key=lambda version: (version == in_use, version)):
            place = f"{summary.name} version {version}"
            mended.parts[place] = damaged[version]
            if dry_run:
                continue
            record = registry.withdraw(summary.name, version, by="aisle repair", reason=damaged[version])
            if record:
                mended.parts[place] += f"; version {record.version} is in use instead"
    return mended


def _is_made(settings: Settings) -> bool:
    file = database_file(settings.mlflow_uri)
    return file is None or file.exists()


def _database_fault(settings: Settings) -> str:
    """What is wrong with the file of a SQLite registry; empty for another registry, and for a file that is missing."""
    file = database_file(settings.mlflow_uri)
    if file is None or not file.exists():
        return ""
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)) as con:
            (answer,) = con.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise AisleError(
                "The model registry is locked by another process", where=str(file), todo="wait for it, or end it"
            ) from error
        return f"the database cannot be read ({error})"
    except sqlite3.DatabaseError as error:
        return f"the database is damaged ({error})"
    return "" if answer == "ok" else f"the database is damaged ({answer.splitlines()[0]})"


def _set_file_aside(settings: Settings, file: Path) -> str:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    target = Path(settings.home) / BROKEN / f"{file.name}-{stamp}"
    target.parent.mkdir(parents=True, exist_ok=True)
    file.replace(target)
    for extra in file.parent.glob(f"{file.name}-*"):
        extra.replace(target.parent / f"{target.name}{extra.name.removeprefix(file.name)}")
    return f"{BROKEN}/{target.name}"


def _models_on_record(settings: Settings) -> list[str]:
    """The models that were in use at some time, and of which the record of promotions therefore knows."""
    lake = Lake(settings)
    try:
        rows = lake.read(PROMOTIONS).to_pylist() if lake.exists(PROMOTIONS) else []
    except AisleError:
        return []
    used = {row["model"] for row in rows if row["action"] != "refuse"}
    return [name for name in model_names() if name in used]


def _is_on_record(settings: Settings, name: str, version: int) -> bool:
    from pipeline.registry.promotions import PromotionHistory

    latest = PromotionHistory(Lake(settings), lambda: datetime.now(UTC)).latest_switch(name)
    return latest is not None and latest.version == version
