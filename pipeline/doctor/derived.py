"""Checks and repairs of what is made from the clean tables: features, results, pages, drift and evaluations.

Their rows cannot be compared with what they are made from without making them again. What is compared is what must
agree without that: each day of results has features, each page has results, each drift summary has rows, and each part
of a table has the rows that were written to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pipeline.doctor.comparisons import repair_drift, repair_trials
from pipeline.doctor.faults import Fault, Mended, is_day, is_whole
from pipeline.domains import DOMAINS
from pipeline.errors import AisleError, UsageError
from pipeline.lake.health import find_damages, set_aside, table_folder_days
from pipeline.lake.tables import Lake
from pipeline.registry.database import database_file
from pipeline.reports.page import REPORTS
from pipeline.stores.evaluation_store import TRIALS_TABLE
from pipeline.stores.state_files import STATES, read_state
from pipeline.training.monitored import DRIFT_TABLE

if TYPE_CHECKING:
    from upath import UPath

    from pipeline.settings import Settings
    from pipeline.training.spec import Domain


def domain_faults(settings: Settings, domain: Domain, *, deep: bool = False, ask_registry: bool = True) -> list[Fault]:
    """Find what is wrong with the features, the results, the pages and the stored states of a domain.

    Args:
        settings: where they are.
        domain: the domain.
        deep: whether to compare contents besides numbers of rows.
        ask_registry: whether the registry can say which features the champions were trained on.
    """
    lake = Lake(settings)
    faults = []
    for table in (domain.features_table, domain.results_table):
        for day, detail in _wrong_days(settings, domain, table, deep=deep, ask_registry=ask_registry).items():
            faults.append(Fault(f"{table}, {day}: {detail}" if day else f"{table}: {detail}", f"aisle repair {table}"))
    for day, path in _pages(lake, domain.name):
        if not is_whole(path):
            faults.append(Fault(f"the page of {day} is not whole", f"aisle report {domain.name} --day {day}"))
    if domain.name == "stores" and not faults:
        faults += _state_faults(lake, domain, deep)
    return faults


def repair_derived(settings: Settings, table: str, *, dry_run: bool = False) -> Mended:
    """Make those parts of a table again that are lost, damaged or changed.

    Features and results are made again from what is known now, results by the present champions.

    Raises:
        UsageError: if there is no such table.
    """
    lake = Lake(settings)
    if table == DRIFT_TABLE:
        return repair_drift(settings, lake, dry_run)
    if table == TRIALS_TABLE:
        return repair_trials(lake, dry_run)
    for domain in DOMAINS:
        if table in (domain.features_table, domain.results_table):
            return _repair_days(settings, lake, domain, table, dry_run)
    raise UsageError("There is no such table", observed=table, allowed=", ".join(repairable()))


def repairable() -> list[str]:
    """The tables that `repair_derived` can make again."""
    return [
        DRIFT_TABLE,
        TRIALS_TABLE,
        *(t for domain in DOMAINS for t in (domain.features_table, domain.results_table)),
    ]


def _wrong_days(
    settings: Settings, domain: Domain, table: str, *, deep: bool, ask_registry: bool = True
) -> dict[str, str]:
    """For each day of a table what is wrong with it; the day is empty for a fault of the table as a whole."""
    lake = Lake(settings)
    wrong: dict[str, str] = {}
    broken = find_damages(lake, table, deep=deep)
    for damage in broken:
        wrong.setdefault(damage.part[0] if damage.part else "", damage.detail)
    if "" in wrong:
        return wrong
    have = {str(day) for day in lake.days(table)}
    if table == domain.features_table:
        trained = _trained_days(settings, domain) if ask_registry else set()
        expected = _days_or_none(lake, domain.results_table) | trained
        reason = "there are results or a champion, but no features"
    else:
        expected = {day for day, _ in _pages(lake, domain.name)}
        reason = "there is a page, but no results"
    return dict.fromkeys(sorted(expected - have), reason) | wrong


def _days_or_none(lake: Lake, table: str) -> set[str]:
    """The days of a table; none if it is damaged, which is a fault of its own."""
    return set() if any(d.part is None for d in find_damages(lake, table)) else {str(day) for day in lake.days(table)}


def _trained_days(settings: Settings, domain: Domain) -> set[str]:
    """The days of the features that the domain's champions were trained on; none if the registry cannot be asked."""
    from pipeline.registry.client import Registry

    file = database_file(settings.mlflow_uri)
    if file is not None and not file.exists():
        return set()
    try:
        registry = Registry(settings)
        champions = [registry.champion(entry.name) for entry in domain.models if not entry.raw_input]
    except AisleError:
        return set()
    return {str(champion.provenance.as_of) for champion in champions if champion}


def _repair_days(settings: Settings, lake: Lake, domain: Domain, table: str, dry_run: bool) -> Mended:
    from pipeline.training import lifecycle, scoring

    wrong, mended = _wrong_days(settings, domain, table, deep=True), Mended()
    if "" in wrong:
        days = table_folder_days(lake, table) | _days_or_none(lake, domain.results_table)
        days |= _trained_days(settings, domain) if table == domain.features_table else set()
        days |= {day for day, _ in _pages(lake, domain.name)} if table == domain.results_table else set()
        wrong = dict.fromkeys(sorted(days), wrong[""])
        if not dry_run:
            mended.aside = set_aside(lake, table)
    for day, detail in sorted(wrong.items()):
        mended.parts[day] = detail
        if dry_run:
            continue
        as_of = date.fromisoformat(day)
        try:
            if table == domain.features_table:
                lifecycle.build_features(settings, domain, as_of)
            elif scoring.score(settings, domain, as_of) is None:
                mended.failed[day] = (
                    f"{domain.name} has no champion; train first: aisle train {domain.required_models[0]}"
                )
            else:
                scoring.write_report(settings, domain, as_of)
        except AisleError as error:
            mended.failed[day] = str(error)
    return mended


def _pages(lake: Lake, folder: str) -> Iterator[tuple[str, UPath]]:
    """The pages of a domain by their days."""
    root = lake.path(REPORTS, folder)
    for path in sorted(root.iterdir(), key=lambda path: path.name) if root.exists() else ():
        if path.suffix == ".html" and is_day(path.stem):
            yield path.stem, path


def _state_faults(lake: Lake, domain: Domain, deep: bool) -> list[Fault]:
    """Compare the results' days with the stored states, from which the prediction service answers.

    Housekeeping removes the states of old days, so none is missed before the oldest that is there.
    """
    faults = []
    stored = sorted(PurePosixPath(file.path).name for file in lake.files_below(STATES))
    days = [str(day) for day in lake.days(domain.results_table)]
    days = [day for day in days if not stored or day >= stored[0]] or days[-1:]
    for day in days if deep else days[-1:]:
        try:
            read_state(lake, f"{STATES}/{day}")
        except FileNotFoundError:
            detail = "is missing"
        except Exception:  # noqa: BLE001 - damaged bytes raise whatever the reader of the archive raises
            detail = "cannot be read"
        else:
            continue
        faults.append(Fault(f"the state of the stores of {day} {detail}", f"aisle score stores --day {day}"))
    return faults
