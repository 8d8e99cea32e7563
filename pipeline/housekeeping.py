"""`aisle housekeeping`: join small files, and remove what is no longer needed.

Raw bytes, the entries of the ledger, the logs of the other tables and the registry are never removed: with them
everything else can be made again. Versions of tables that a registered model was trained on stay readable, however old
they are.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pipeline.ingestion.ledger import LEDGER
from pipeline.lake.maintenance import NOTHING, Maintenance, Removed
from pipeline.lake.tables import Lake
from pipeline.logs import log_each, log_event, log_step
from pipeline.monitoring.request_log import remove_predictions
from pipeline.registry.client import Registry
from pipeline.reports.ways import write_lists
from pipeline.settings import Settings

log = logging.getLogger(__name__)


@dataclass
class Housekeeping:
    """What was done, or would be.

    Attributes:
        joined: number of files that were joined, by table.
        predictions: days that were removed from the log of the prediction service.
        versions: data files of old versions, and of writers that were killed, by table.
        checkpoints: old checkpoints of the tables' logs, and old commits of the ledger's.
        leftovers: incomplete raw files and pages, and temporary folders on this machine.
        states: the stores' states of days gone by, from which nothing is answered any more.
        reports: old pages.
    """

    joined: dict[str, int] = field(default_factory=dict)
    predictions: int = 0
    versions: dict[str, Removed] = field(default_factory=dict)
    checkpoints: Removed = NOTHING
    leftovers: Removed = NOTHING
    states: Removed = NOTHING
    reports: Removed = NOTHING

    @property
    def removed(self) -> Removed:
        """All files that were removed."""
        return sum(self.versions.values(), self.checkpoints + self.leftovers + self.states + self.reports)


def keep_house(settings: Settings, *, dry_run: bool = False, now: datetime | None = None) -> Housekeeping:
    """Join small files, and remove old versions, leftovers of killed processes and old pages.

    It may run beside writers: it removes no file of the home that is younger than a week, and leaves
    partitions alone that are being written.

    Args:
        settings: the settings; `keep_versions_days`, `keep_predictions_days` and `keep_reports_days` say what is old.
        dry_run: whether to say only what would be done.
        now: the time that ages are measured from.

    Raises:
        AisleError: if the registry does not say which versions are needed; then nothing is removed.
    """
    now = now or datetime.now(UTC)
    needed = _needed_versions(settings)
    maintenance = Maintenance(settings, dry_run=dry_run)
    done = Housekeeping()
    with log_step(log, "housekeeping", dry_run=dry_run) as results:
        until = now.date() - timedelta(days=settings.keep_predictions_days)
        done.predictions = remove_predictions(settings, until, dry_run=dry_run)
        age = timedelta(days=settings.keep_versions_days)
        for table in log_each(log, "keep the table", maintenance.tables()):
            if maintenance.update_configuration(table) and not dry_run:
                log_event(log, "configuration updated", table=table)
            if joined := maintenance.join_small_files(table):
                done.joined[table] = joined
            removed = maintenance.remove_old_versions(table, needed[table], age)
            if table == LEDGER:
                done.checkpoints += maintenance.remove_commits(table, now, age)
            else:
                done.checkpoints += maintenance.remove_checkpoints(table, now)
            if removed.files:
                done.versions[table] = removed
                log_event(log, "versions removed", table=table, files=removed.files, bytes=removed.size)
        done.leftovers = maintenance.remove_leftovers(now) + maintenance.remove_scratch(now)
        done.states = maintenance.remove_states(now, age)
        done.reports = maintenance.remove_reports(now, timedelta(days=settings.keep_reports_days))
        if done.reports.files and not dry_run:
            write_lists(Lake(settings))
        results |= {"files": done.removed.files, "bytes": done.removed.size}
    return done


def _needed_versions(settings: Settings) -> defaultdict[str, set[int]]:
    """Return the versions of each table that any registered model was trained on."""
    registry = Registry(settings)
    needed: defaultdict[str, set[int]] = defaultdict(set)
    for model in registry.models():
        for version in registry.versions(model.name):
            for table, number in version.provenance.tables.items():
                needed[table].add(number)
    return needed
