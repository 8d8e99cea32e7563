"""`aisle doctor`: check that everything a nightly run needs is there, and that the tables agree with the ledger."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from operator import itemgetter

from pipeline.contracts import CONTRACTS
from pipeline.dates import format_days
from pipeline.doctor.answers import silence_of_registry
from pipeline.domains import DOMAINS
from pipeline.errors import AisleError
from pipeline.ingestion.audit import audit
from pipeline.ingestion.deep_audit import audit_contents
from pipeline.ingestion.missing_days import DayCoverage, day_coverage
from pipeline.ingestion.sources import load_sources
from pipeline.ingestion.suites import load_suite
from pipeline.lake.tables import Lake
from pipeline.logs import log_each
from pipeline.redaction import redact
from pipeline.reports.phrasing import counted
from pipeline.settings import Settings
from pipeline.training.spec import Domain

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        what: what was checked.
        well: whether it is as it should be.
        detail: what was found, or what is wrong and what to do.
    """

    what: str
    well: bool
    detail: str


def examine(load: Callable[[], Settings], *, deep: bool = False) -> list[Finding]:
    """Check everything. A fault does not keep the other checks from being made.

    Args:
        load: reads the settings.
        deep: whether to compare contents besides numbers of rows and sizes; it reads every file of the home.
    """
    settings = load()
    checks: list[tuple[str, Callable[[], str]]] = [("home", lambda: _home(settings))]
    checks.append(("sources.yaml", partial(_mapping, settings)))
    tables = _configured(settings)
    for table, name, label in _sources(settings, tables):
        checks.append((label, partial(_source, settings, table, name)))
    checks += [(f"suite of {table}", partial(_suite, settings, table)) for table in tables]
    checks += [(f"ledger of {table}", partial(ledger_adds_up, settings, table, deep=deep)) for table in tables]
    checks += [(f"days of {table}", partial(_days, coverage)) for table, coverage in _dated(settings, tables)]
    silence = silence_of_registry(settings)
    results = partial(_results, settings, deep=deep, ask_registry=not silence)
    checks += [(f"results of {domain.name}", partial(results, domain)) for domain in DOMAINS]
    checks.append(("drift and evaluations", partial(_shared, settings, deep)))
    checks.append(("records", partial(_records, settings, deep)))
    checks.append(("registry", partial(_registry, settings, silence)))
    return list(_run(checks))


def _configured(settings: Settings) -> list[str]:
    """Return the tables that have a source, or every table if sources.yaml cannot be read."""
    try:
        return list(load_sources(settings).spec.tables)
    except AisleError:
        return list(CONTRACTS)


def _run(checks: list[tuple[str, Callable[[], str]]]) -> Iterator[Finding]:
    for what, check in log_each(log, "check", checks, itemgetter(0)):
        try:
            yield Finding(what, True, redact(check()))
        except Exception as error:  # noqa: BLE001 - whatever fails in one check, the others are made
            yield Finding(what, False, redact(str(error) or repr(error)))


def _home(settings: Settings) -> str:
    Lake(settings).write_blob("doctor.txt", b"This home can be written to.\n").unlink()
    return settings.home


def _mapping(settings: Settings) -> str:
    return f"{settings.sources}: {counted(len(load_sources(settings).spec.tables), 'table')}"


def _sources(settings: Settings, tables: list[str]) -> Iterator[tuple[str, str, str]]:
    """Yield table, name and label of every source; none if sources.yaml cannot be read, which is a finding itself."""
    try:
        mapped = load_sources(settings).spec.tables
    except AisleError:
        return
    for table in tables:
        for name in mapped[table]:
            yield table, name, f"source of {table}" if len(mapped[table]) == 1 else f"source {name} of {table}"


def _source(settings: Settings, table: str, name: str) -> str:
    """Check a source's address, and return it."""
    return load_sources(settings, table, name).get(table, name).spec.address


def _suite(settings: Settings, table: str) -> str:
    file = settings.expectations / f"{table}.json"
    return f"{file}: {counted(len(load_suite(file).expectations), 'expectation')}"


def ledger_adds_up(settings: Settings, table: str, *, deep: bool = False) -> str:
    """Check that the raw bytes, the ledger and the tables agree, and say how many rows they account for.

    Raises:
        AisleError: if they disagree; it names every disagreement, and the commands that put it right.
    """
    found = audit(settings, table, deep=deep)
    faults = list(found.disagreements)
    skipped: list[str] = []
    if deep and not faults:
        faults, skipped = audit_contents(settings, table)
    faults += found.unfinished
    if faults:
        # Bytes that a repair needs have to be there before it.
        remedies = sorted(dict.fromkeys(fault.remedy for fault in faults), key=lambda r: r.startswith("aisle repair"))
        raise AisleError(
            "The raw bytes, the ledger and the tables disagree",
            where=table,
            observed="; ".join(fault.detail for fault in faults),
            todo="; ".join(remedies),
        )
    deliveries, rows = len(found.committed), sum(entry.read for entry in found.committed)
    detail = f"{deliveries} {'delivery' if deliveries == 1 else 'deliveries'}, {rows:,} rows read, each accounted for"
    if skipped:
        detail += f"; {len(skipped)} not compared by content, because the mapping or the suite has changed since"
    return detail


def _dated(settings: Settings, tables: list[str]) -> Iterator[tuple[str, DayCoverage]]:
    """Yield each table of which a missing day can be noticed, and its days."""
    for table in tables:
        with suppress(Exception):  # whatever cannot be read is the finding of other checks
            if coverage := day_coverage(settings, table):
                yield table, coverage


def _days(coverage: DayCoverage) -> str:
    """Say on which days from the first to the last a table has no rows, although the shop is not known to be closed."""
    range_of_days = f"{coverage.first} to {coverage.last}"
    if not coverage.missing:
        return f"{range_of_days}, rows of every day on which the shop is open"
    return (
        f"{range_of_days}; no rows of {counted(len(coverage.missing), 'day')}: {format_days(coverage.missing)}. "
        "Ask the source for them, or name them below closed_on in sources.yaml"
    )


def _results(settings: Settings, domain: Domain, *, deep: bool, ask_registry: bool) -> str:
    from pipeline.doctor.derived import domain_faults
    from pipeline.doctor.faults import merged

    if faults := domain_faults(settings, domain, deep=deep, ask_registry=ask_registry):
        raise AisleError("Features, results or pages are not as they were written", where=domain.name, **merged(faults))
    return f"{counted(len(Lake(settings).days(domain.results_table)), 'day')} with results"


def _shared(settings: Settings, deep: bool) -> str:
    from pipeline.doctor.comparisons import shared_faults
    from pipeline.doctor.faults import merged

    if faults := shared_faults(settings, deep=deep):
        raise AisleError("Drift checks or evaluations are not as they were written", **merged(faults))
    return "each has the rows that were written"


def _records(settings: Settings, deep: bool) -> str:
    from pipeline.doctor.faults import merged
    from pipeline.doctor.records import RECORDS, record_faults

    if faults := record_faults(settings, deep=deep):
        raise AisleError("A table of records is damaged", **merged(faults))
    return ", ".join(RECORDS)


def _registry(settings: Settings, silence: Exception | None) -> str:
    if silence:
        raise silence
    from pipeline.doctor.faults import merged
    from pipeline.doctor.models import registry_faults
    from pipeline.registry.client import Registry

    if faults := registry_faults(settings):
        raise AisleError("The model registry is not whole", where=redact(settings.mlflow_uri), **merged(faults))
    champions = [f"{m.name} {m.champion.version}" for m in Registry(settings).models() if m.champion]
    return f"{redact(settings.mlflow_uri)}: {', '.join(champions) or 'no champion yet'}"
