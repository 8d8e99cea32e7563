"""What is printed is text: no markup, no pictures, and nothing that a terminal obeys."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.table import Table
from typer.testing import CliRunner

from pipeline.cli import app, output
from pipeline.cli.output import PlainConsole, printable
from pipeline.monitoring.watch import DriftResult
from pipeline.registry.records import ModelSummary

HOSTILE = "[bold]b[/bold] [/] [link=http://x]l[/link] :x: :smile: \x1b[2J\x07\x9b31m\u202egnp.exe \udcff\r"
SHOWN = r"[bold]b[/bold] [/] [link=http://x]l[/link] :x: :smile: \x1b[2J\x07\x9b31m\u202egnp.exe \udcff\r"


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is printed on either stream, by a console that is a terminal in colour."""
    stream = io.StringIO()
    for name in ("out", "err"):
        console = PlainConsole(file=stream, force_terminal=True, color_system="truecolor", width=300)
        monkeypatch.setattr(output, name, console)
    return stream


def test_an_error_is_text(printed: io.StringIO) -> None:
    output.print_error("refused", HOSTILE)
    assert SHOWN in printed.getvalue()


def test_a_result_is_text(printed: io.StringIO) -> None:
    output.print_result({}, False, HOSTILE)
    assert printed.getvalue() == f"{SHOWN}\n"


def test_the_cells_and_headings_of_a_table_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(HOSTILE, "b")
    table.add_row("x", HOSTILE)
    output.print_result({}, False, table)
    shown = capsys.readouterr().out
    # A cell may be broken over lines, between its words.
    assert {word: shown.count(word) for word in SHOWN.split()} == dict.fromkeys(SHOWN.split(), 2)


def test_text_is_broken_between_words_on_a_terminal_and_never_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reason = f"  observed: {'a few words ' * 9}/a/path/{'that-is-long/' * 9}x"
    command = f"  do next: aisle quarantine replay {'transactions ' * 9}"
    stream = io.StringIO()
    monkeypatch.setattr(output, "err", PlainConsole(file=stream, force_terminal=True, width=80, color_system=None))
    output.print_error("refused", f"{reason}\n{command}")
    *lines, last = stream.getvalue().splitlines()
    words = [word for line in lines for word in line.split()]
    assert words == ["refused:", *reason.split()]
    assert all(len(line) <= 80 or "/a/path" in line for line in lines)
    assert all(line.startswith("  ") for line in lines[1:])
    assert last == command
    monkeypatch.undo()
    output.print_error("refused", f"{reason}\n{command}")
    assert capsys.readouterr().err == f"refused: {reason}\n{command}\n"


def test_a_backtest_fits_a_terminal_of_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = dict.fromkeys(("rmspe", "mae", "mape", "rmse", "r2", "wape", "bias", "rows", "coverage_80"), 0.125)
    fold = {"from": "2015-05-09", "to": "2015-06-19", "metrics": metrics, "seconds": {"fit": 1, "predict": 1}}
    result = {"folds": [fold | {"peak_mb": 900}], "mean": metrics}
    candidates = dict.fromkeys(("gradient_boosting", "random_forest", "seasonal_median", "last_season"), result)
    monkeypatch.setattr(output, "out", PlainConsole(force_terminal=True, width=80, color_system=None))
    output.print_result({}, False, output.backtest_table(candidates))
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    words = set(shown.replace("│", " ").split())
    assert {"coverage_80", "gradient", "boosting", "seasonal", "0.125"} <= words
    monkeypatch.undo()
    output.print_result({}, False, output.backtest_table(candidates))
    assert "2015-05-09..2015-06-19" in capsys.readouterr().out


def test_lines_and_tabs_stay() -> None:
    assert printable("a\n\tb é £ 日本 🙂") == "a\n\tb é £ 日本 🙂"


@pytest.mark.parametrize(
    "arguments",
    [
        ("ingest", "transactions", "--day", ":smile:[bold]x"),
        (":smile:[bold]x",),
        ("report", ":smile:[bold]x"),
        ("quarantine", ":smile:[bold]x"),
    ],
    ids=["value", "command", "choice", "subcommand"],
)
def test_what_was_typed_is_repeated_as_it_was(arguments: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app.app, arguments)
    assert done.exit_code == 2
    assert ":smile:[bold]x" in done.output


def test_no_other_console_is_made_by_the_commands() -> None:
    folder = Path(output.__file__).parent
    makers = [file.name for file in folder.glob("*.py") if "Console(" in file.read_text()]
    assert makers == ["output.py"]
    assert "= Console(" not in Path(output.__file__).read_text()


def test_the_whole_way_from_a_file_to_the_terminal(
    till: Any, monkeypatch: pytest.MonkeyPatch, printed: io.StringIO
) -> None:
    for name in ("home", "sources", "data", "expectations"):
        monkeypatch.setenv(f"AISLE_{name.upper()}", str(getattr(till.settings, name)))
    till.write("files/[red]:x:\x1b[2J.csv", b":smile:[bold]\x1b[0m\n1\n")
    monkeypatch.setattr("sys.argv", ["aisle", "ingest", "transactions", "--all", "--source", "files"])
    with pytest.raises(SystemExit):
        app.main()
    shown = printed.getvalue().replace("\n", " ")
    assert r"unexpected ':smile:[bold]\x1b[0m'" in shown
    assert "\x1b[2J" not in shown
    assert "✖" not in shown
    assert "❌" not in shown


def test_errors_are_in_per_cent_by_their_names_and_columns_by_their_labels() -> None:
    version: Any = SimpleNamespace(
        version=3,
        metrics={"mape": 0.0764, "rmse": 5.3312, "r2": None},
        provenance=SimpleNamespace(as_of=date(2025, 1, 2)),
    )
    shown = output.model_text(ModelSummary("footfall_buyers", version, None, 3, None))
    assert "mean error in per cent 7.6 %, typical error 5.33" in shown
    drift = DriftResult("footfall_buyers", date(2025, 1, 2), 3, "drift", ("visitors", "mape"), False, "r")
    assert output.drift_text(drift).endswith("drifted: visitors, mean error in per cent")


def test_a_backtest_has_fractions_in_per_cent() -> None:
    fold = {"from": "a", "to": "b", "metrics": {"mape": 0.0764, "rmse": 5.3312}, "peak_mb": 1.0}
    fold |= {"seconds": {"fit": 1.0, "predict": 2.0}}
    table = output.backtest_table({"linear": {"folds": [fold], "mean": fold["metrics"]}})
    cells = [list(column.cells) for column in table.columns]
    assert cells[2:4] == [["7.64 %", "7.64 %"], ["5.331", "5.331"]]
