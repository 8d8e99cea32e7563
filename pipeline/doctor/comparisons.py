"""Checks and repairs of the drift checks and of the evaluations of candidates, each a part of a table beside a file."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING

from pipeline.doctor.faults import Fault, Mended, is_day, is_whole
from pipeline.domains import domain_of, model_names
from pipeline.lake.health import find_damages, set_aside
from pipeline.lake.tables import Lake
from pipeline.reports.page import REPORTS
from pipeline.stores.evaluation_store import TRIALS_TABLE, kept_evaluations
from pipeline.training.monitored import DRIFT_TABLE

if TYPE_CHECKING:
    from pipeline.settings import Settings


def shared_faults(settings: Settings, *, deep: bool = False) -> list[Fault]:
    """Find what is wrong with the table of drift and that of the evaluations of candidates."""
    lake = Lake(settings)
    faults = [
        Fault(f"{DRIFT_TABLE}, {model} as of {day}: {detail}", f"aisle repair {DRIFT_TABLE}")
        for (day, model), detail in _wrong_checks(lake, deep=deep).items()
    ]
    return faults + [
        Fault(f"{TRIALS_TABLE}, {day} {candidate}: {detail}", f"aisle repair {TRIALS_TABLE}")
        for (day, candidate), detail in _wrong_trials(lake, deep=deep).items()
    ]


def _wrong_checks(lake: Lake, *, deep: bool) -> dict[tuple[str, str], str]:
    """For each day and model of a drift check what is wrong with its rows or its summary."""
    summaries = _drift_summaries(lake)
    damages = find_damages(lake, DRIFT_TABLE, deep=deep)
    wrong = {(day, model): detail for (day, model), (_, detail) in summaries.items() if detail}
    if any(damage.part is None for damage in damages):
        return wrong | dict.fromkeys(summaries, damages[0].detail) or {("every day", "every model"): damages[0].detail}
    wrong |= {(d.part[0], d.part[1]): d.detail for d in damages if d.part}
    have = _parts(lake, DRIFT_TABLE)
    lost = {key for key, (rows, _) in summaries.items() if rows and key not in have}
    return wrong | dict.fromkeys(sorted(lost), "there is a summary, but the table has no rows")


def _drift_summaries(lake: Lake) -> dict[tuple[str, str], tuple[int, str]]:
    """By day and model: how many rows a drift summary stands for, and what is wrong with it."""
    found = {}
    for model in model_names():
        root = lake.path(REPORTS, "drift", model)
        for path in root.iterdir() if root.exists() else ():
            if path.suffix != ".json" or not is_day(path.stem):
                continue
            try:
                found[path.stem, model] = (len(json.loads(path.read_bytes())["columns"]), "")
            except (ValueError, KeyError, TypeError):
                found[path.stem, model] = (0, "its summary is not whole")
            page = path.with_suffix(".html")
            if page.exists() and not is_whole(page):
                found[path.stem, model] = (found[path.stem, model][0], "its page is not whole")
    return found


def _parts(lake: Lake, table: str) -> set[tuple[str, ...]]:
    """The values of the partition columns, in the order of the columns' names, of each part of a table with rows."""
    if not lake.exists(table):
        return set()
    columns = sorted(lake.partition_columns(table))
    files = [file for file in lake.data_files(table) if file["num_records"]]
    return {tuple(str(file[f"partition.{column}"]) for column in columns) for file in files}


def repair_drift(settings: Settings, lake: Lake, dry_run: bool) -> Mended:
    from pipeline.monitoring import watch

    wrong, mended = _wrong_checks(lake, deep=True), Mended()
    if not dry_run and any(damage.part is None for damage in find_damages(lake, DRIFT_TABLE)):
        mended.aside = set_aside(lake, DRIFT_TABLE)
    for (day, model), detail in sorted(wrong.items()):
        mended.parts[f"{model} as of {day}"] = detail
        if dry_run or not is_day(day):
            continue
        if lake.exists(DRIFT_TABLE):
            # A check reads the earlier ones.
            empty = lake.schema(DRIFT_TABLE).empty_table()
            lake.replace(DRIFT_TABLE, {"as_of": [date.fromisoformat(day)], "model": [model]}, empty)
        spec = domain_of(model).entry(model).spec()
        (result,) = watch.watch(settings, date.fromisoformat(day), [spec])
        if result.verdict == "failed" or result.page is None:
            mended.failed[f"{model} as of {day}"] = result.reason
    return mended


def _wrong_trials(lake: Lake, *, deep: bool) -> dict[tuple[str, str], str]:
    """For each day and candidate of an evaluation what is wrong with its rows or its evidence."""
    kept = kept_evaluations(lake)
    damages = find_damages(lake, TRIALS_TABLE, deep=deep)
    wrong = {key: "its evidence is not whole" for key, whole in kept.items() if not whole}
    if any(damage.part is None for damage in damages):
        return wrong | dict.fromkeys(kept, damages[0].detail) or {("every day", "every candidate"): damages[0].detail}
    wrong |= {(d.part[0], d.part[1]): d.detail for d in damages if d.part}
    have = _parts(lake, TRIALS_TABLE)
    return wrong | {key: "there is evidence, but the table has no rows" for key in kept if key not in have}


def repair_trials(lake: Lake, dry_run: bool) -> Mended:
    """Forget evaluations that are not whole; the next training that needs one makes it again."""
    wrong, mended = _wrong_trials(lake, deep=True), Mended()
    if not dry_run and any(damage.part is None for damage in find_damages(lake, TRIALS_TABLE)):
        mended.aside = set_aside(lake, TRIALS_TABLE)
    for (day, candidate), detail in sorted(wrong.items()):
        mended.parts[f"{candidate} as of {day}"] = f"{detail}; the next training evaluates it again"
        if dry_run or not is_day(day):
            continue
        kept_evaluations(lake, forget=(day, candidate))
        if lake.exists(TRIALS_TABLE):
            empty = lake.schema(TRIALS_TABLE).empty_table()
            lake.replace(TRIALS_TABLE, {"as_of": [day], "candidate": [candidate]}, empty)
    return mended
