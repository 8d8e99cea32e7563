"""The commands about the prediction service and the installation: serve, key, doctor and housekeeping."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Column, Table
from rich.text import Text

from pipeline.cli.options import Json, KeyScope
from pipeline.cli.output import number, print_result
from pipeline.settings import load_settings


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; other than loopback needs AISLE_API_KEYS.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any free one.")] = 8000,
) -> None:
    """Run the prediction service, which answers with the champions, until Ctrl-C."""
    from pipeline.serving.server import run

    run(load_settings(), host, port)


def key(
    name: Annotated[str, typer.Argument(help="Who will use the key, in one word.")],
    scopes: Annotated[list[KeyScope], typer.Option("--scope", help="What the key may do; repeatable.")],
    as_json: Json = False,
) -> None:
    """Make a key for the prediction service. It is shown only once; AISLE_API_KEYS holds its hash."""
    from pipeline.serving.keys import new_key, setting_entry

    made = new_key()
    setting = {name: setting_entry(made, [scope.value for scope in scopes])}
    print_result(
        {"key": made, "setting": setting},
        as_json,
        f"key: {made}\nadd to AISLE_API_KEYS (JSON, one object for all keys): {json.dumps(setting)}",
    )


def doctor(
    deep: Annotated[
        bool, typer.Option("--deep", help="Compare contents too, raw bytes by checksum; reads every file of the home.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check settings, sources.yaml, the lake, the ledger and the registry; list every fault at once."""
    from pipeline.doctor import examine

    findings = examine(load_settings, deep=deep)
    shown = Table(Column("what", no_wrap=True), "state", Column("detail", overflow="fold"))
    for finding in findings:
        state = Text("well", "green") if finding.well else Text("fault", "red")
        shown.add_row(finding.what, state, finding.detail)
    print_result({"findings": [vars(finding) for finding in findings]}, as_json, shown)
    if not all(finding.well for finding in findings):
        raise typer.Exit(1)


def housekeeping(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Join small files, and remove old versions of tables, leftovers of killed processes and old pages."""
    from pipeline.housekeeping import keep_house
    from pipeline.reports.phrasing import counted

    done = keep_house(load_settings(), dry_run=dry_run)
    shown = Table("what", number("files"), number("MB"))
    for what, removed in (
        *done.versions.items(),
        ("checkpoints", done.checkpoints),
        ("leftovers", done.leftovers),
        ("states", done.states),
        ("pages", done.reports),
    ):
        if removed.files:
            shown.add_row(what, f"{removed.files:,}", f"{removed.size / 1e6:,.1f}")
    total = f"{counted(done.removed.files, 'file')}, {done.removed.size / 1e6:,.1f} MB"
    joined = counted(sum(done.joined.values()), "small file")
    verbs = ("would be removed", "would be joined") if dry_run else ("removed", "joined")
    shown.caption = f"{total} {verbs[0]}; {joined} {verbs[1]}"
    print_result(asdict(done) | {"dry_run": dry_run}, as_json, shown if shown.row_count else shown.caption)
