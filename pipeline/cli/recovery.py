"""The command that puts right what `aisle doctor` finds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import Json
from pipeline.cli.output import print_error, print_result, seconds_since
from pipeline.settings import load_settings

if TYPE_CHECKING:
    from pipeline.doctor.faults import Mended
    from pipeline.settings import Settings


def repair(
    what: Annotated[
        str, typer.Argument(help="A table of sources.yaml or of the lake, or `registry`; `aisle doctor` names it.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what differs, and write nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Put right what `aisle doctor` finds: rebuild what is damaged in a table, or mend the model registry."""
    start, settings = time.monotonic(), load_settings()
    made = _made_again(settings, what, dry_run)
    if made is None:
        _repair_ingested(settings, what, dry_run, as_json, start)
        return
    result = {"table": what, "dry_run": dry_run, **vars(made), "seconds": seconds_since(start)}
    verb = "to repair" if dry_run else "repaired"
    text = [
        f"{what}: {len(made.parts):,} {verb}, {result['seconds']} s" if made.parts else f"{what}: nothing to repair"
    ]
    text += [f"{part}: {detail}" for part, detail in made.parts.items()]
    text += [f"what was damaged is kept in {made.aside}"] if made.aside else []
    print_result(result, as_json, "\n  ".join(text))
    _end_with(made.failed)


def _made_again(settings: Settings, what: str, dry_run: bool) -> Mended | None:
    """Repair what is not ingested; None if it is a table of sources.yaml."""
    from pipeline.doctor.derived import repair_derived, repairable
    from pipeline.doctor.models import REGISTRY, repair_registry
    from pipeline.doctor.records import RECORDS, repair_records

    if what == REGISTRY:
        return repair_registry(settings, dry_run=dry_run)
    if what in RECORDS:
        return repair_records(settings, what, dry_run=dry_run)
    if what in repairable():
        return repair_derived(settings, what, dry_run=dry_run)
    return None


def _repair_ingested(settings: Settings, table: str, dry_run: bool, as_json: bool, start: float) -> None:
    """Rebuild a table of sources.yaml from the raw bytes and the ledger, where it differs from them."""
    from pipeline.ingestion.repair import repair as repair_table
    from pipeline.reports.phrasing import counted

    done = repair_table(settings, table, dry_run=dry_run)
    result = {
        "table": table,
        "dry_run": dry_run,
        "tables": done.tables,
        "deliveries": done.deliveries,
        "days": [str(day) for day in done.days],
        "failed": done.failed,
        "seconds": seconds_since(start),
    }
    verb = "to repair" if dry_run else "repaired"
    parts = f"{counted(len(done.deliveries), 'delivery', 'deliveries')} and {counted(len(done.days), 'day')}"
    text = f"{table}: {parts} {verb}, {result['seconds']} s"
    if not (done.tables or done.deliveries or done.days or done.failed):
        text = f"{table}: nothing to repair, {result['seconds']} s"
    lines = [f"{name}: {detail}" for found in (done.tables, done.deliveries) for name, detail in found.items()]
    print_result(result, as_json, "\n  ".join([text, *lines]))
    _end_with(done.failed)


def _end_with(failed: dict[str, str]) -> None:
    for name, reason in failed.items():
        print_error("not repaired", f"{name}\n  {reason}")
    if failed:
        raise typer.Exit(1)
