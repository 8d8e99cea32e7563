"""The commands about data: simulate, fetch, ingest and quarantine."""

from __future__ import annotations

import logging
import sys
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from pipeline.cli.options import Day, Json, Since, TableName, Until
from pipeline.cli.output import (
    err,
    interruptible,
    number,
    print_error,
    print_result,
    printable,
    seconds_since,
    write_morning_page,
)
from pipeline.errors import RefusedError, UsageError
from pipeline.logs import log_each
from pipeline.settings import load_settings

log = logging.getLogger(__name__)

SHOWN_REFUSALS = 20
"""Of so many refused deliveries the reason is printed; of the others, the name."""


def simulate(
    folder: Annotated[Path, typer.Argument(help="Where the deliveries go: one file a day, under transactions/.")],
    since: Since = None,
    days: Annotated[int, typer.Option(min=1, help="Number of days.")] = 28,
    customers: Annotated[int, typer.Option(help="Customers of the first year; 900 make about 55,000 rows.")] = 900,
    seed: Annotated[int | None, typer.Option(help="Random seed. Default: AISLE_SEED.")] = None,
    one_file: Annotated[bool, typer.Option(help="Write all days to one file.")] = False,
    drift: Annotated[str, typer.Option(help="Drift to plant: from=2025-06-01&prices=1.6&baskets=2&stops=…")] = "",
    defects: Annotated[str, typer.Option(help="Defects of the last day: zero_quantity:3,negative_price:2 …")] = "",
    as_json: Json = False,
) -> None:
    """Write deliveries of the simulated shop, in the form in which a point-of-sale system would."""
    from upath import UPath

    from pipeline.simulate.defects import parse_defects
    from pipeline.simulate.deliveries import write_deliveries
    from pipeline.simulate.shop import Shop

    settings = load_settings()
    first = since or date(2025, 1, 1)
    address = f"simulate://shop?seed={settings.seed if seed is None else seed}&customers={customers}"
    address += "".join(f"&drift_{part}" for part in drift.split("&") if part)
    shop = Shop.from_uri(address)
    end = first + timedelta(days=days)
    last_open = next(day for n in range(1, days + 1) if shop.is_open(day := end - timedelta(days=n)))
    planted = {last_open: parse_defects(defects)} if defects else None
    start = time.monotonic()
    written = write_deliveries(shop, UPath(folder), first, end, one_file=one_file, defects=planted)
    result = {
        "files": [str(w.path) for w in written],
        "planted": [str(p) for w in written for p in w.planted],
        "seconds": seconds_since(start),
    }
    from pipeline.reports.phrasing import counted

    print_result(result, as_json, f"{counted(len(written), 'file')} in {folder}, {result['seconds']} s")


def fetch(
    what: Annotated[str, typer.Argument(help="The data set: online-retail.")],
    folder: Annotated[Path, typer.Option(help="Where the file goes.")] = Path("data"),
    as_json: Json = False,
) -> None:
    """Download a public data set from its publisher, resume if interrupted, verify its checksum."""
    from pipeline.ingestion.download import DATASETS, fetch_dataset

    if what not in DATASETS:
        raise UsageError("There is no such data set", observed=what, allowed=", ".join(DATASETS))
    done = fetch_dataset(DATASETS[what], folder)
    result = {"file": str(done.path), "rows": done.rows, "bytes": done.size}
    print_result(result, as_json, f"{done.path}: {done.rows:,} rows")


def ingest(
    table: TableName,
    day: Day = None,
    since: Since = None,
    until: Until = None,
    every: Annotated[bool, typer.Option("--all", help="Every delivery of the source.")] = False,
    source: Annotated[str | None, typer.Option(help="One of the table's sources. Default: the first.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Check deliveries again that are already committed.")] = False,
    as_json: Json = False,
) -> None:
    """Land, validate and commit deliveries. A refused delivery does not stop the others."""
    from pipeline.dates import format_days
    from pipeline.ingestion import steps
    from pipeline.ingestion.deliveries import days_without_delivery
    from pipeline.ingestion.sources import load_sources
    from pipeline.lake.tables import Lake
    from pipeline.reports.phrasing import counted

    settings = load_settings()
    if sum((day is not None, every, since is not None or until is not None)) != 1:
        raise UsageError("Say which deliveries", allowed="one of --day D, --from D --until D, or --all")
    if day:
        since, until = day, day + timedelta(days=1)
    start = time.monotonic()
    deliveries = steps.pending(settings, table, source, since=since, until=until)
    totals = dict.fromkeys(("read", "clean", "quarantined", "repeats"), 0)
    absent = days_without_delivery(load_sources(settings).get(table, source), deliveries, since, until)
    days = {"missing": [str(day) for day in absent.missing], "closed": [str(day) for day in absent.closed]}
    days = {name: listed for name, listed in days.items() if listed}
    if not deliveries and absent.closed and not absent.missing:
        answer = {"table": table, "deliveries": 0, **totals, "seconds": seconds_since(start), **days}
        print_result(answer, as_json, f"{table}: no delivery, the shop is closed on {format_days(absent.closed)}")
        return
    if not deliveries:
        raise RefusedError(
            "There is no delivery", where=f"{table}, {day or 'any day'}", todo="look at the address in sources.yaml"
        )
    refused: dict[str, str] = {}
    warnings: dict[str, list[str]] = {}
    already_committed = 0
    finished: list[str] = []
    lake = Lake(settings)
    with interruptible(finished):
        for count, delivery in enumerate(log_each(log, f"ingest {table}", deliveries, lambda found: found.id), 1):
            try:
                done = steps.ingest(settings, delivery, force=force, lake=lake)
            except RefusedError as refusal:
                refused[delivery.id] = str(refusal)
            else:
                for name in totals:
                    totals[name] += getattr(done.entry, name)
                already_committed += done.unchanged
                if done.warnings:
                    warnings[delivery.id] = list(done.warnings)
            finished[:] = [f"{count:,} of {counted(len(deliveries), 'delivery', 'deliveries')}"]
    accepted = len(deliveries) - len(refused)
    result: dict[str, Any] = {"table": table, "deliveries": accepted, **totals, "seconds": seconds_since(start)} | days
    if already_committed:
        result["already_committed"] = already_committed
    if refused:
        result["refused"] = refused
    if warnings:
        result["warnings"] = warnings
    not_accepted = f" accepted, {len(refused):,} refused" if refused else ""
    print_result(
        result,
        as_json,
        f"{table}: {_deliveries(accepted, already_committed)}{not_accepted}, "
        f"{counted(totals['read'], 'row')} read = {totals['clean']:,} clean + {totals['quarantined']:,} quarantined + "
        f"{counted(totals['repeats'], 'exact repeat')}, {result['seconds']} s",
    )
    if absent.missing:
        closed = f"; the shop is closed on {format_days(absent.closed)}" if absent.closed else ""
        print_error(
            "warning",
            f"no delivery for {counted(len(absent.missing), 'day')}: {format_days(absent.missing)}{closed}\n"
            "  ask the source for them; name days on which the shop is closed below closed_on in sources.yaml",
        )
    for name, reasons in warnings.items():
        print_error("warning", f"{name}\n  " + "\n  ".join(reasons))
    for name, reason in list(refused.items())[:SHOWN_REFUSALS]:
        print_error("refused", f"{name}\n  {reason}")
    if more := list(refused)[SHOWN_REFUSALS:]:
        print_error("refused", f"{len(more):,} more, each with its reason in --json: {', '.join(more)}")
    if refused:
        if len(deliveries) > 1:
            print_error("next", "when the causes are removed, run the same command: it skips what is committed")
        write_morning_page(settings)
        raise typer.Exit(1)


def _deliveries(accepted: int, already_committed: int) -> str:
    """How many deliveries were accepted, and how many of them needed no work."""
    from pipeline.reports.phrasing import counted

    total = counted(accepted, "delivery", "deliveries")
    if not already_committed:
        return total
    if already_committed == accepted:
        return f"{total} already committed"
    return f"{total} ({already_committed:,} already committed)"


def quarantine_list(table: TableName, as_json: Json = False) -> None:
    """List the deliveries that have rows in quarantine, with the reasons."""
    from pipeline.ingestion.quarantine import summarize

    waiting = summarize(load_settings(), table)
    shown = Table(Column("delivery", overflow="fold"), number("rows"), "reasons")
    for entry in waiting:
        shown.add_row(entry.delivery, f"{entry.rows:,}", "\n".join(f"{n:,} × {r}" for r, n in entry.reasons.items()))
    result = {"table": table, "deliveries": [vars(entry) for entry in waiting]}
    print_result(result, as_json, shown if waiting else "The quarantine is empty.")


def quarantine_show(
    table: TableName,
    delivery: str,
    file: Annotated[Path | None, typer.Option("--csv", dir_okay=False, help="Write the rows to this file.")] = None,
) -> None:
    """Show a delivery's rows in quarantine as CSV, ready to be corrected."""
    from pipeline.ingestion.quarantine import export

    text = export(load_settings(), table, delivery)
    if file is None:
        # A terminal is shown the characters that it would obey; a file or a program gets them as they are.
        typer.echo(printable(text) if sys.stdout.isatty() else text, nl=False)
    else:
        file.write_bytes(text.encode())
        err.print(
            f"{file}: correct the values and keep _row as it is, then\n"
            f"aisle quarantine replay {table} {delivery} --csv {file}",
            highlight=False,
            soft_wrap=True,
        )


def quarantine_replay(
    table: TableName,
    delivery: str,
    file: Annotated[
        Path | None,
        typer.Option("--csv", exists=True, dir_okay=False, help="The corrected rows. Default: the rows as delivered."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Validate rows of the quarantine again, after correcting them, the suite or the mapping."""
    from pipeline.ingestion.replay import replay

    try:
        corrected = file.read_bytes().decode("utf-8-sig") if file else None
    except UnicodeDecodeError as error:
        raise UsageError(
            "The corrected file is not UTF-8", where=str(file), observed=error, todo="save it as UTF-8"
        ) from error
    entry = replay(load_settings(), table, delivery, corrected)
    result = {name: getattr(entry, name) for name in ("delivery", "read", "clean", "quarantined", "repeats")}
    print_result(
        result, as_json, f"{entry.read:,} rows replayed: {entry.clean:,} clean, {entry.quarantined:,} still quarantined"
    )
