"""`aisle doctor`: is everything that a nightly run needs there, and does the ledger still add up?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.contracts import CONTRACTS
from pipeline.errors import AisleError
from pipeline.ingestion import ledger
from pipeline.ingestion.ledger import Status
from pipeline.ingestion.quarantine import quarantine_table
from pipeline.ingestion.received import received_table
from pipeline.ingestion.sources import load_sources
from pipeline.lake.tables import Lake
from pipeline.settings import Settings


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    well: bool
    detail: str


def examine(load: Callable[[], Settings]) -> list[Finding]:
    """Look at everything; one fault does not hide the next."""
    settings = load()
    checks: list[tuple[str, Callable[[], str]]] = [("home", lambda: _home(settings))]
    tables = _configured(settings)
    checks += [(f"source of {table}", lambda table=table: _source(settings, table)) for table in tables]  # type: ignore[misc]
    checks += [(f"ledger of {table}", lambda table=table: ledger_adds_up(settings, table)) for table in tables]  # type: ignore[misc]
    checks.append(("registry", lambda: _registry(settings)))
    return list(_run(checks))


def _configured(settings: Settings) -> list[str]:
    """The tables that have a source; all that could have one, where the mapping file cannot be read."""
    try:
        return list(load_sources(settings).spec.tables)
    except AisleError:
        return list(CONTRACTS)


def _run(checks: list[tuple[str, Callable[[], str]]]) -> Iterator[Finding]:
    for what, check in checks:
        try:
            yield Finding(what, True, check())
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one thing, the others are looked at
            yield Finding(what, False, str(error) or repr(error))


def _home(settings: Settings) -> str:
    Lake(settings).write_blob("doctor.txt", b"This home can be written to.\n").unlink()
    return settings.home


def _source(settings: Settings, table: str) -> str:
    return load_sources(settings, table).get(table).spec.address


def ledger_adds_up(settings: Settings, table: str) -> str:
    """Hold the ledger against the tables: what it says each delivery brought must be there."""
    lake = Lake(settings)
    known = ledger.entries(lake, table)
    done = [e for e in known if e.status is Status.COMMITTED]
    begun = {e.delivery for e in known if e.status is Status.LANDED}
    received = lake.row_counts(received_table(table), "delivery")
    held = lake.row_counts(quarantine_table(table), "delivery")
    faults = [
        f"{e.delivery}: {e.read} rows read are not {e.clean} clean + {e.quarantined} quarantined + {e.repeats} repeats"
        for e in done
        if not e.accounted_for
    ]
    faults += [
        f"{e.delivery}: the ledger says {e.clean} clean and {e.quarantined} quarantined, the tables hold "
        f"{received.get(e.delivery, 0)} and {held.get(e.delivery, 0)}"
        for e in done
        if e.delivery not in begun
        and (received.get(e.delivery, 0), held.get(e.delivery, 0)) != (e.clean, e.quarantined)
    ]
    if faults:
        raise AisleError(
            "The ledger and the tables disagree", observed="; ".join(faults), todo="ingest these deliveries again"
        )
    detail = f"{len(done)} deliveries, {sum(e.read for e in done):,} rows read, each accounted for"
    if begun:
        detail += f"; {len(begun)} under way, or interrupted and to be ingested again: {', '.join(sorted(begun))}"
    return detail


def _registry(settings: Settings) -> str:
    from pipeline.registry.client import Registry

    champions = [f"{m.name} {m.champion.version}" for m in Registry(settings).models() if m.champion]
    return f"{settings.mlflow_uri}: {', '.join(champions) or 'no champion yet'}"
