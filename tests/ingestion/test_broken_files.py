"""Broken files: each is refused or quarantined, the ledger says so, and what lies beside it goes in as if alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.ingestion import ledger
from pipeline.ingestion.ledger import Status
from pipeline.lake.tables import Lake
from tests.ingestion.broken_files import Broken, broken_files, good_file, good_rows, shop

ALL = tuple(broken_files(large=True))
SMALL = tuple(broken_files(large=False))


def test_there_are_enough_of_them_for_every_table() -> None:
    assert len(SMALL) >= 150
    kinds = {(broken.source, broken.name) for broken in ALL}
    assert len(kinds) >= 90
    assert len(ALL) >= 7 * 90


@pytest.mark.parametrize(
    ("table", "source"), [("transactions", "csv"), ("visits", "xlsx"), ("stores", "parquet")], ids=lambda part: part
)
def test_all_of_a_source_are_refused_or_quarantined_and_the_others_go_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str, source: str
) -> None:
    settings = shop(tmp_path)
    for name in ("home", "sources", "data", "expectations"):
        monkeypatch.setenv(f"AISLE_{name.upper()}", str(getattr(settings, name)))
    folder = tmp_path / "data" / table / source
    # Between two good files, in the order in which they are tried.
    for name in ("a", "z"):
        (folder / f"{name}-good.{source}").write_bytes(good_file(table, source))
    broken = [file for file in SMALL if (file.table, file.source) == (table, source)]
    for file in broken:
        file.write(folder / _shortened(file))

    done = CliRunner().invoke(app, ["ingest", table, "--all", "--source", source, "--json"])

    assert done.exit_code == 1, done.output
    result = json.loads(done.stdout)
    lake, entries = Lake(settings), ledger.entries(Lake(settings), table)
    assert len(entries) == len(broken) + 2, "each has its entry"
    refused = {entry.delivery for entry in entries if entry.status is Status.REFUSED}
    assert refused == set(result["refused"])
    assert all(entry.reason for entry in entries if entry.status is Status.REFUSED)
    committed = [entry for entry in entries if entry.status is Status.COMMITTED]
    assert len(refused) + len(committed) == len(entries), "none is left half way"
    good = [entry for entry in committed if "good" in entry.delivery]
    rows = len(good_rows(table)) - 1
    assert [(entry.read, entry.clean) for entry in good] == [(rows, rows)] * 2
    assert all(entry.quarantined for entry in committed if entry not in good), "accepted as a whole"
    received = lake.row_counts(f"{table}.received", "delivery")
    assert {entry.delivery: received[entry.delivery] for entry in good} == {entry.delivery: rows for entry in good}
    assert not {delivery for delivery in received if delivery in refused}


def _shortened(file: Broken) -> str:
    return f"m-{file.name}"[:244] if file.name.startswith("nnn") else f"m-{file.name}"
