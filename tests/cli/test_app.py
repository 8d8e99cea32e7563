"""`aisle` as a scheduler sees it: one JSON object on standard output, errors on standard error, exit codes."""

from __future__ import annotations

import gzip
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.cli import app, data

ROOT = Path(__file__).resolve().parents[2]
NAME = "2025-03-03.csv"


@dataclass(frozen=True)
class CliResult:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The only thing on standard output."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


def environment(till: Any) -> dict[str, str]:
    settings = till.settings
    return {
        "AISLE_HOME": settings.home,
        "AISLE_SOURCES": str(settings.sources),
        "AISLE_DATA": settings.data,
        "AISLE_EXPECTATIONS": str(settings.expectations),
    }


@pytest.fixture
def aisle(till: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., CliResult]:
    """Runs the command line in this process, just as its script does."""
    for name, value in environment(till).items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> CliResult:
        monkeypatch.setattr(sys, "argv", ["aisle", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            app.main()
        logging.getLogger("pipeline").handlers = [logging.NullHandler()]
        done = capfd.readouterr()
        return CliResult(int(stop.value.code or 0), done.out, done.err)

    return run


def spreadsheet(path: Path, *sheets: str) -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.active)
    for name in sheets:
        sheet = book.create_sheet(name)
        sheet.append(
            ["InvoiceNo", "StockCode", "Description", "Quantity", "UnitPrice", "InvoiceDate", "CustomerID", "Country"]
        )
        sheet.append([1, 10001, "a thing", 1, 1.5, "2025-03-03 10:00:00", 77, "France"])
    book.save(path)
    return path.read_bytes()


LINE = "1,10001,a thing,1,1.5,2025-03-03 10:00:00,77,France\n"
HEADER = "InvoiceNo,StockCode,Description,Quantity,UnitPrice,InvoiceDate,CustomerID,Country\n"
REFUSED = {
    "empty": (b"", "is empty"),
    "header only": (HEADER.encode(), "a header and no rows"),
    "truncated": ((HEADER + LINE + LINE[:20]).encode(), "middle of a line"),
    "ends in a quoted field": ((HEADER + LINE + '2,10002,"a thi').encode(), "quote"),
    "wrong delimiter": ((HEADER + LINE).replace(",", ";").encode(), "delimiter"),
    "wrong encoding": ((HEADER + LINE).replace("a thing", "café").encode("cp1252"), "encoding 'utf-8'"),
    "double header": ((HEADER + LINE).replace("Country", "Quantity").encode(), "a column more than once"),
    "missing column": ((HEADER + LINE).replace("Country", "Land").encode(), "missing 'Country'"),
    "extra column": (
        HEADER.replace("\n", ",Till\n").encode() + LINE.replace("\n", ",4\n").encode(),
        "unexpected 'Till'",
    ),
    "stale": ((HEADER + LINE).replace("2025-03-03", "2025-03-02").encode(), "it is stale"),
    "binary": (bytes(range(256)) * 4, "encoding"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_delivery_that_cannot_be_taken_is_refused_with_the_reason(
    aisle: Callable[..., CliResult], till: Any, case: str
) -> None:
    data, reason = REFUSED[case]
    till.write(NAME, data)
    done = aisle("ingest", "transactions", "--all", "--json")
    assert done.code == 1
    assert reason in done.err
    assert reason in done.json["refused"][f"till--{NAME}"]
    assert {k: done.json[k] for k in ("deliveries", "read", "clean")} == {"deliveries": 0, "read": 0, "clean": 0}
    assert "Traceback" not in done.err
    page = till.lake.path("reports", "validation", "transactions", f"till--{NAME}.html")
    assert "refused" in page.read_text()


def test_what_is_unusual_about_a_delivery_is_a_warning(aisle: Callable[..., CliResult], till: Any) -> None:
    till.write(NAME, [till.line(n, stock=f"TEC-{n}") for n in range(20)])
    done = aisle("ingest", "transactions", "--all", "--json")
    assert (done.code, done.json["clean"]) == (0, 20)
    assert "only 0 of 20 lines are merchandise" in done.json["warnings"][f"till--{NAME}"][0]
    assert "only 0 of 20 lines are merchandise" in done.err
    assert "warnings" not in aisle("ingest", "transactions", "--all", "--json").json


@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [
        ({"quantity": "many"}, "'many' is not a whole number"),
        ({"quantity": "1.5"}, "is not a whole number"),
        ({"quantity": 0}, "the quantity is zero"),
        ({"price": -1}, "the price is negative"),
        ({"price": "NaN"}, "is not a finite number"),
        ({"price": "inf"}, "is not a finite number"),
        ({"day": "03/04/2025 10:00"}, "is not a date and time"),
        ({"day": "1900-01-01"}, "before the year 2000"),
        ({"day": "2999-01-01"}, "after it was delivered"),
        ({"invoice": ""}, "the invoice number is missing"),
        ({"stock": "9" * 10_000_000}, "longer than 40"),
        ({"invoice": "1,2"}, "9 fields instead of 8"),
    ],
    ids=lambda value: next(iter(value)) + " " + str(next(iter(value.values())))[:9] if isinstance(value, dict) else "",
)
def test_a_row_that_breaks_the_contract_goes_to_quarantine(
    aisle: Callable[..., CliResult], till: Any, spoilt: dict[str, Any], reason: str
) -> None:
    till.write(NAME, [till.line(), till.line(**spoilt)])
    done = aisle("ingest", "transactions", "--day", "2025-03-03", "--json")
    assert (done.code, done.err) == (0, "")
    result = done.json
    assert isinstance(result["seconds"], float)
    assert {**result, "seconds": 0} == {
        "table": "transactions",
        "deliveries": 1,
        "read": 2,
        "clean": 1,
        "quarantined": 1,
        "repeats": 0,
        "seconds": 0,
    }
    listed = aisle("quarantine", "list", "transactions", "--json").json
    assert listed["deliveries"][0]["rows"] == 1
    (row,) = till.lake.read("transactions.quarantine").to_pylist()
    assert reason in row["reasons"][0]
    page = till.lake.path("reports", "validation", "transactions", f"till--{NAME}.html").read_text()
    assert reason.strip("'").split("'")[-1] in page


def test_a_gzip_that_ends_early_is_refused(aisle: Callable[..., CliResult], till: Any) -> None:
    till.write("files/a.csv.gz", gzip.compress((HEADER + LINE * 1000).encode())[:-20])
    done = aisle("ingest", "transactions", "--source", "files", "--all", "--json")
    assert (done.code, done.json["deliveries"]) == (1, 0)
    assert "ends early" in done.err


def test_a_workbook_of_two_sheets_must_say_which(aisle: Callable[..., CliResult], till: Any) -> None:
    till.write("books/one.xlsx", spreadsheet(till.folder / "one.xlsx", "lines"))
    till.write("books/two.xlsx", spreadsheet(till.folder / "two.xlsx", "lines", "notes"))
    done = aisle("ingest", "transactions", "--source", "books", "--all", "--json")
    assert (done.code, done.json["deliveries"], done.json["clean"]) == (1, 1, 1)
    assert "sheets lines, notes" in done.err


@pytest.mark.parametrize("days", [("--day", "2025-03-03"), ("--from", "2025-03-03"), ("--until", "2025-03-04")])
def test_days_are_refused_where_files_do_not_name_theirs(
    aisle: Callable[..., CliResult], till: Any, days: tuple[str, str]
) -> None:
    till.write("files/all.csv", [till.line(day="2025-03-03"), till.line(day="2025-03-04")])
    done = aisle("ingest", "transactions", "--source", "files", *days)
    assert (done.code, done.out) == (2, "")
    for part in ("cannot be chosen by day", "from: files/*", "{day}", "give --all"):
        assert part in done.err
    assert not till.lake.exists("transactions")


def test_a_day_on_which_the_shop_is_closed_is_no_error(aisle: Callable[..., CliResult], till: Any) -> None:
    done = aisle("ingest", "transactions", "--day", "2025-03-09")
    assert (done.code, done.err) == (0, "")
    assert "the shop is closed on 2025-03-09" in done.out
    done = aisle("ingest", "transactions", "--day", "2025-03-09", "--json")
    assert (done.code, done.json["deliveries"], done.json["read"]) == (0, 0, 0)
    assert done.json["closed"] == ["2025-03-09"]
    till.write("2025-03-09.csv", [till.line(day="2025-03-09")])
    assert aisle("ingest", "transactions", "--day", "2025-03-09", "--json").json["clean"] == 1


def test_missing_days_are_named_and_closed_ones_told_apart(aisle: Callable[..., CliResult], till: Any) -> None:
    """A week from Monday to Sunday without its Tuesday; the shop is closed on Sundays."""
    for day in (3, 5, 6, 7, 8):
        till.write(f"2025-03-0{day}.csv", [till.line(day=f"2025-03-0{day}")])
    done = aisle("ingest", "transactions", "--from", "2025-03-03", "--until", "2025-03-10", "--json")
    assert (done.code, done.json["deliveries"]) == (0, 5)
    assert (done.json["missing"], done.json["closed"]) == (["2025-03-04"], ["2025-03-09"])
    assert "warning: no delivery for 1 day: 2025-03-04; the shop is closed on 2025-03-09" in done.err
    assert aisle("ingest", "transactions", "--all", "--json").json["missing"] == ["2025-03-04"]
    till.write("2025-03-04.csv", [till.line(day="2025-03-04")])
    done = aisle("ingest", "transactions", "--from", "2025-03-03", "--until", "2025-03-10", "--json")
    assert "missing" not in done.json
    assert "warning" not in done.err


def test_a_refused_delivery_does_not_stop_the_others(aisle: Callable[..., CliResult], till: Any) -> None:
    till.write(NAME, b"")
    till.write("2025-03-04.csv", [till.line(day="2025-03-04")])
    done = aisle("ingest", "transactions", "--from", "2025-03-03", "--until", "2025-03-05", "--json")
    assert (done.code, done.json["deliveries"], done.json["clean"], len(done.json["refused"])) == (1, 1, 1, 1)


@pytest.mark.parametrize("days", [("--all",), ("--from", "2025-03-03", "--until", "2025-03-08")])
def test_a_backfill_ends_with_what_was_refused_and_how_to_go_on(
    aisle: Callable[..., CliResult], till: Any, days: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One command over many deliveries: each refused one is named, and the same command takes it once it is right."""
    monkeypatch.setattr(data, "SHOWN_REFUSALS", 1)
    for day in range(3, 8):
        till.write(f"2025-03-0{day}.csv", b"" if day in (4, 6) else [till.line(day=f"2025-03-0{day}")])
    done = aisle("ingest", "transactions", *days)
    assert done.code == 1
    assert "transactions: 3 deliveries accepted, 2 refused, 3 rows read = 3 clean" in done.out
    assert done.err.count("do next:") == 1
    assert "refused: till--2025-03-04.csv\n" in done.err
    assert "refused: 1 more, each with its reason in --json: till--2025-03-06.csv\n" in done.err
    assert "next: when the causes are removed, run the same command: it skips what is committed" in done.err
    till.write("2025-03-04.csv", [till.line(day="2025-03-04")])
    again = aisle("ingest", "transactions", *days, "--json")
    assert (again.code, again.json["deliveries"], again.json["already_committed"]) == (1, 4, 3)
    assert list(again.json["refused"]) == ["till--2025-03-06.csv"]
    till.write("2025-03-06.csv", [till.line(day="2025-03-06")])
    assert aisle("ingest", "transactions", *days, "--json").code == 0
    assert till.lake.read("transactions").num_rows == 5


def test_a_table_is_repaired_and_what_cannot_be_is_an_error(aisle: Callable[..., CliResult], till: Any) -> None:
    entry = till.deliver(NAME, [till.line(1), till.line(2)])
    assert "nothing to repair" in aisle("repair", "transactions").out
    empty = till.lake.read("transactions.received")[:0]
    till.lake.replace("transactions.received", {"delivery": [entry.delivery]}, empty)
    dry = aisle("repair", "transactions", "--dry-run", "--json")
    assert (dry.code, list(dry.json["deliveries"]), dry.json["days"]) == (0, [entry.delivery], ["2025-03-03"])
    assert "1 delivery and 0 days repaired" in aisle("repair", "transactions").out
    assert till.lake.read("transactions.received").num_rows == 2
    till.lake.path(entry.blob).unlink()
    failed = aisle("repair", "transactions", "--json")
    assert (failed.code, list(failed.json["failed"])) == (1, [entry.delivery])
    assert "not repaired" in failed.err


def test_a_forced_delivery_is_checked_again(aisle: Callable[..., CliResult], till: Any) -> None:
    till.deliver(NAME, [till.line(1)])
    done = aisle("ingest", "transactions", "--all", "--force", "--json")
    assert (done.code, done.json["deliveries"], "already_committed" in done.json) == (0, 1, False)


def test_a_delivery_that_is_already_committed_is_said_to_be(aisle: Callable[..., CliResult], till: Any) -> None:
    till.write(NAME, [till.line()])
    assert "already_committed" not in aisle("ingest", "transactions", "--all", "--json").json
    assert "transactions: 1 delivery already committed, 1 row read" in aisle("ingest", "transactions", "--all").out
    till.write("2025-03-04.csv", [till.line(day="2025-03-04")])
    assert aisle("ingest", "transactions", "--all", "--json").json["already_committed"] == 1
    till.write("2025-03-05.csv", [till.line(day="2025-03-05")])
    assert "3 deliveries (2 already committed)" in aisle("ingest", "transactions", "--all").out


@pytest.mark.parametrize(
    "arguments",
    [
        ["ingest"],
        ["ingest", "transactions"],
        ["ingest", "transactions", "--all", "--day", "2025-03-03"],
        ["ingest", "transactions", "--day", "yesterday"],
        ["ingest", "nothing", "--all"],
        ["ingest", "transactions", "--all", "--source", "nobody"],
        ["ingest", "transactions", "--all", "--colour"],
        ["train", "nothing"],
        ["quarantine", "replay", "transactions", "x", "--csv", "/no/such/file.csv"],
        ["simulate", "/proc/nowhere"],
        ["nothing"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2_and_says_so_on_standard_error(
    aisle: Callable[..., CliResult], arguments: list[str]
) -> None:
    done = aisle(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.strip()
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("name", "value"), [("AISLE_THREADS", "many"), ("AISLE_SOURCES", "/no/sources.yaml"), ("AISLE_EXPECTATIONS", "/no")]
)
def test_wrong_settings_exit_with_2(
    aisle: Callable[..., CliResult], till: Any, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    till.write(NAME, [till.line()])
    monkeypatch.setenv(name, value)
    done = aisle("ingest", "transactions", "--all", "--json")
    assert (done.code, done.out) == (2, "")
    assert "do next" in done.err or name in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["ingest", "transactions", "--day", "2025-03-10", "--json"],
        ["ingest", "transactions", "--from", "2025-03-09", "--until", "2025-03-11"],
        ["ingest", "transactions", "--from", "2025-03-09", "--until", "2025-03-09"],
        ["quarantine", "show", "transactions", "till--x"],
        ["score", "customers"],
        ["report", "customers"],
        ["watch"],
    ],
    ids=" ".join,
)
def test_what_is_not_there_exits_with_1_and_says_what_to_do(
    aisle: Callable[..., CliResult], arguments: list[str]
) -> None:
    done = aisle(*arguments)
    assert (done.code, done.out) == (1, "")
    assert "do next" in done.err


def test_the_quarantine_round_trip(aisle: Callable[..., CliResult], till: Any, tmp_path: Path) -> None:
    till.write(NAME, [till.line(1), till.line(2, quantity=0)])
    aisle("ingest", "transactions", "--all")
    file = tmp_path / "bad.csv"
    assert aisle("quarantine", "show", "transactions", f"till--{NAME}").out.count("\n") == 2
    assert aisle("quarantine", "show", "transactions", f"till--{NAME}", "--csv", str(file)).code == 0
    header, row = file.read_text().splitlines()
    assert header.startswith("_row,_reasons,InvoiceNo")
    assert "the quantity is zero" in row
    # As a spreadsheet saves it: with a byte order mark.
    file.write_text(file.read_text().replace("a thing,0", "a thing,3"), encoding="utf-8-sig")
    done = aisle("quarantine", "replay", "transactions", f"till--{NAME}", "--csv", str(file), "--json")
    assert done.code == 0, done.err
    assert {k: done.json[k] for k in ("read", "clean", "quarantined")} == {"read": 1, "clean": 1, "quarantined": 0}
    assert till.clean("invoice", "quantity") == [("1", 1), ("2", 3)]
    assert aisle("quarantine", "list", "transactions").out.strip() == "The quarantine is empty."
    file.write_bytes("é".encode("cp1252"))
    assert aisle("quarantine", "replay", "transactions", f"till--{NAME}", "--csv", str(file)).code == 2


def test_simulated_deliveries_are_written_and_taken(aisle: Callable[..., CliResult], till: Any) -> None:
    done = aisle(
        "simulate", str(till.folder), "--from", "2025-03-03", "--days", "2", "--customers", "300",
        "--defects", "zero_quantity:2", "--json",
    )  # fmt: skip
    assert (done.code, len(done.json["files"]), len(done.json["planted"])) == (0, 2, 2)
    result = aisle("ingest", "transactions", "--all", "--json").json
    assert (result["deliveries"], result["quarantined"]) == (2, 2)
    assert result["read"] == result["clean"] + 2


def test_verbose_writes_the_log_on_standard_error_without_rows_or_keys(
    aisle: Callable[..., CliResult], till: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AISLE_LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("AISLE_STORAGE_OPTIONS", '{"token": "token-77-abc"}')
    good, bad = till.line(stock="STOCK77"), till.line(stock="STOCK78", quantity=0)
    till.write(NAME, [good.replace("a thing", "a private thing"), bad.replace("a thing", "another private thing")])
    done = aisle("ingest", "transactions", "--all", "--json", "--verbose")
    assert (done.code, done.json["clean"]) == (0, 1)
    assert "INFO pipeline.ingestion" in done.err
    assert "table=transactions" in done.err
    for private in ("STOCK7", "private", "token-77-abc", "France"):
        assert private not in done.err


@pytest.mark.parametrize("options", [[], ["--verbose"]])
def test_without_verbose_or_below_the_level_nothing_is_logged(
    aisle: Callable[..., CliResult], till: Any, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    monkeypatch.setenv("AISLE_LOG_LEVEL", "ERROR")
    till.write(NAME, [till.line()])
    assert aisle("ingest", "transactions", "--all", *options).err == ""


def test_from_outside_standard_output_is_one_json_object(till: Any) -> None:
    till.write(NAME, [till.line(), till.line(quantity=0)])
    till.write("2025-03-04.csv", b"")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from pipeline.cli.app import main; main()",
            "ingest",
            "transactions",
            "--all",
            "--json",
        ],
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environment(till)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout.count("\n"), json.loads(done.stdout)["quarantined"]) == (1, 1)
    assert "is empty" in done.stderr
    assert "Traceback" not in done.stderr


def test_housekeeping_says_what_it_would_do(aisle: Callable[..., CliResult], till: Any) -> None:
    till.deliver(NAME, [till.line(1)])
    for number in range(9):
        till.lake.append("appended", pa.table({"day": ["2025-03-03"], "value": [number]}), ["day"])
    planned = aisle("housekeeping", "--dry-run", "--json").json
    assert (planned["dry_run"], planned["joined"], planned["versions"]) == (True, {"appended": 9}, {})
    assert "9 small files joined" in aisle("housekeeping").out
    assert aisle("housekeeping", "--json").json["joined"] == {}
