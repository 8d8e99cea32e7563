"""What the commands say to people: what was done, what was not, and what to do next."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner

from pipeline.cli import app, output
from pipeline.doctor import Finding
from pipeline.errors import RefusedError
from pipeline.ingestion import steps
from pipeline.registry.client import Registry
from pipeline.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
MODEL, DOMAIN = "footfall_buyers", "footfall"


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app.app, arguments)


@pytest.fixture
def footfall(home: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home with two months of footfall."""
    monkeypatch.setenv("AISLE_HOME", home.home)
    monkeypatch.setenv("AISLE_SOURCES", str(ROOT / "sources.yaml"))
    monkeypatch.setenv("AISLE_EXPECTATIONS", str(ROOT / "expectations"))
    done = run("ingest", "footfall", "--from", "2024-01-01", "--until", "2024-03-01")
    assert done.exit_code == 0, done.output
    return home


def test_from_training_to_a_report_each_message_says_what_is_missing(footfall: Settings) -> None:
    report = run("report", DOMAIN)
    assert f"aisle train {MODEL}; aisle score {DOMAIN}" in str(report.exception)
    assert f"aisle train {MODEL}" in str(run("score", DOMAIN).exception)

    tried = run("train", MODEL, "--no-promote")
    assert tried.exit_code == 0
    assert "not promoted because of --no-promote; the gate accepts it" in tried.output
    assert Registry(footfall).champion(MODEL) is None

    assert "promoted" in run("train", MODEL).output
    before = Registry(footfall).history(MODEL)
    again = run("promote", MODEL, "1", "--reason", "once more")
    assert again.output.strip() == f"{MODEL}: version 1 is the champion already; nothing was changed"
    assert Registry(footfall).history(MODEL) == before

    assert run("score", DOMAIN).exit_code == 0
    assert run("report", DOMAIN).output.strip().endswith("2024-03-01.html")
    other = run("report", DOMAIN, "--day", "2024-02-01")
    assert f"aisle score {DOMAIN} --day 2024-02-01" in str(other.exception)


@pytest.fixture
def deliveries(till: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Three deliveries of a shop, in the environment."""
    for name in ("home", "sources", "data", "expectations"):
        monkeypatch.setenv(f"AISLE_{name.upper()}", str(getattr(till.settings, name)))
    for day in ("2025-03-03", "2025-03-04", "2025-03-05"):
        till.write(f"{day}.csv", [till.line(day=day)])
    return till


def test_one_is_singular(deliveries: Any) -> None:
    one = run("ingest", "transactions", "--day", "2025-03-03").output
    assert one.startswith("transactions: 1 delivery, 1 row read = 1 clean + 0 quarantined + 0 exact repeats")
    assert (
        "transactions: 3 deliveries (1 already committed), 3 rows read" in run("ingest", "transactions", "--all").output
    )


def test_ctrl_c_says_what_was_and_what_was_not_done(deliveries: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole: Callable[..., Any] = steps.ingest

    def interrupted(settings: Settings, delivery: Any, **options: Any) -> Any:
        if delivery.id.endswith("2025-03-05.csv"):
            raise KeyboardInterrupt
        return whole(settings, delivery, **options)

    monkeypatch.setattr(steps, "ingest", interrupted)
    done = run("ingest", "transactions", "--all")
    assert done.exit_code == 130
    assert "interrupted: done: 2 of 3 deliveries\n  not done: the rest" in done.stderr
    assert "run the command again" in done.stderr
    assert len(deliveries.clean()) == 2


def test_ctrl_c_in_a_command_of_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.doctor.examine", interrupted)
    done = run("doctor")
    assert done.exit_code == 130
    assert done.stderr.startswith("interrupted: what was under way is not saved")


def test_the_doctor_names_the_state_of_each_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through `print_result`, which takes all text as text: a state in markup would show its marks."""
    findings = [Finding("home", True, "/shop"), Finding("registry", False, "[red] is gone")]
    monkeypatch.setattr("pipeline.doctor.examine", lambda *_, **__: findings)
    done = run("doctor")
    assert done.exit_code == 1
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.output.splitlines()]
    assert ["home", "well", "/shop"] in rows
    assert ["registry", "fault", "[red] is gone"] in rows


def test_a_morning_page_that_cannot_be_written_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: Settings
) -> None:
    def fail(_: Settings) -> str:
        raise RefusedError("The registry does not answer")

    monkeypatch.setattr("pipeline.morning.page.write_morning_page", fail)
    output.write_morning_page(home)
    assert capsys.readouterr().err.startswith("warning: the morning page was not written: The registry does not answer")


def test_the_version() -> None:
    done = run("--version")
    assert (done.exit_code, done.output) == (0, "aisle 0.1.0\n")


def test_numbers_are_not_broken_where_a_table_is_too_wide(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = Table("words", *(output.number(f"metric {k}") for k in range(8)))
    table.add_row("a long explanation of the row", *(f"{k},234,567.891" for k in range(8)))
    monkeypatch.setattr(output, "out", Console(width=80))
    output.print_result({}, False, table)
    shown = capsys.readouterr().out
    assert all(f" {k},234,567.891 " in shown for k in range(8))
