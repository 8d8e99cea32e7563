"""What a command is doing is shown: which step, which of how many, how long it took and how much is left."""

from __future__ import annotations

import io
import logging
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.cli import progress
from pipeline.cli.output import print_error, print_result
from pipeline.cli.progress import Activity, clock_time, showing_progress
from pipeline.logs import log_each, log_event, log_step

ROOT = Path(__file__).resolve().parents[2]
log = logging.getLogger("pipeline.test_progress")


class Clock:
    """A clock that is set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def watching(clock: Clock) -> Iterator[Activity]:
    activity, logger = Activity("aisle train", clock), logging.getLogger("pipeline")
    level = logger.level
    logger.addHandler(activity)
    logger.setLevel(logging.INFO)
    try:
        yield activity
    finally:
        logger.removeHandler(activity)
        logger.setLevel(level)


def test_steps_are_shown_from_the_outermost_to_the_innermost() -> None:
    with watching(Clock()) as shown:
        assert shown.text() == "aisle train"
        with log_step(log, "evaluate candidate", model="store_sales", candidate="random_forest", as_of="2025-01-01"):
            seen = []
            for _ in log_each(log, "fold", ["2024-01-01", "2024-02-01"]):
                log_event(log, "something else", number=7)
                with log_step(log, "fit"):
                    seen.append(shown.text())
            outer = "evaluate candidate store_sales random_forest"
            assert seen == [f"{outer}, fold 2024-01-01 (1 of 2), fit", f"{outer}, fold 2024-02-01 (2 of 2), fit"]
            assert shown.text() == outer
        assert shown.text() == "aisle train"


def test_a_step_does_not_repeat_what_the_steps_around_it_say() -> None:
    with watching(Clock()) as shown:
        for _ in log_each(log, "ingest stores", ["2025-01-01.csv"]):
            with log_step(log, "check", table="stores", delivery="2025-01-01.csv"):
                assert shown.text() == "ingest stores 2025-01-01.csv (1 of 1), check"


def test_the_rest_takes_as_long_as_what_is_done() -> None:
    clock = Clock()
    with watching(clock) as shown:
        assert (shown.fraction(), shown.times()) == (None, "0:00 elapsed")
        clock.now += 10  # imports
        for _ in log_each(log, "delivery", range(4)):
            if shown.text() == "delivery 2 (3 of 4)":
                # Two of four took 120 seconds.
                assert shown.fraction() == 0.5
                assert shown.times() == "2:10 elapsed, about 2:00 left"
                clock.now += 150
                assert shown.times() == "4:40 elapsed"
            clock.now += 60


def test_steps_within_counted_steps_count() -> None:
    with watching(Clock()) as shown:
        seen = []
        for _ in log_each(log, "domain", ["a", "b"]):
            for _ in log_each(log, "model", ["x", "y"]):
                seen.append(shown.fraction())
        assert seen == [0, 0.25, 0.5, 0.75]


def test_what_an_error_ended_is_forgotten() -> None:
    def fail_at_the_second() -> None:
        for number in log_each(log, "fold", range(3)):
            if number:
                raise ValueError("no fold")

    with watching(Clock()) as shown:
        for _ in range(2):
            with pytest.raises(ValueError, match="no fold"), log_step(log, "evaluate"):
                fail_at_the_second()
            assert shown.text() == "aisle train"


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (65, "1:05"), (7384, "2:03:04")])
def test_seconds_read_like_a_clock(seconds: float, text: str) -> None:
    assert clock_time(seconds) == text


@pytest.mark.parametrize("width", [40, 80])
def test_the_bar_fits_the_terminal(width: int) -> None:
    with watching(Clock()) as shown:
        for _ in log_each(log, "evaluate the candidate of the six weeks", ["a name that is far too long for it" * 3]):
            console = Console(file=io.StringIO(), width=width)
            console.print(shown)
            first, second, *rest = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert not rest
    assert max(len(first), len(second)) <= width
    assert first.endswith("…")
    assert second.endswith("0:00 elapsed")


@pytest.mark.parametrize("bar", [True, False])
def test_without_a_terminal_there_are_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], bar: bool
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.01)
    level = logging.getLogger("pipeline").level
    with showing_progress("aisle train", bar=bar), log_step(log, "train", model="store_sales"):
        lines, deadline = "", time.monotonic() + 30
        while "left" not in lines and "elapsed" not in lines and time.monotonic() < deadline:
            lines += capsys.readouterr().err
            time.sleep(0.01)
    assert re.match(r"(aisle train|train store_sales); 0:\d\d elapsed\n", lines)
    assert logging.getLogger("pipeline").level == level
    assert not any(isinstance(handler, Activity) for handler in logging.getLogger("pipeline").handlers)


def test_a_command_that_is_soon_done_prints_its_result_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with showing_progress("aisle train"):
        for _ in log_each(log, "fold", range(3)):
            print_error("warning", "look")
        print_result({"a": 1}, True, "")
    assert capsys.readouterr() == ('{"a": 1}\n', "warning: look\n" * 3)


def test_on_a_terminal_a_bar_is_drawn_and_removed_before_the_result() -> None:
    program = """
import logging, time
from pipeline.cli.output import print_result
from pipeline.cli.progress import showing_progress
from pipeline.logs import log_each
with showing_progress("aisle train"):
    for _ in log_each(logging.getLogger("pipeline.x"), "fold", range(2)):
        time.sleep(0.4)
    print_result({}, False, "the result")
"""
    master, slave = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", program],
            stdin=slave,
            stdout=subprocess.PIPE,
            stderr=slave,
            cwd=ROOT,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "80"},
            check=True,
        )
        drawn = os.read(master, 1 << 16).decode()
    finally:
        os.close(master)
        os.close(slave)
    assert done.stdout == b"the result\n"
    assert "fold 1 (2 of 2)" in drawn
    assert "elapsed, about 0:0" in drawn
    # Lines are erased, and the cursor is shown again, at the end.
    assert re.search(r"\x1b\[\?25h.*\x1b\[2K\s*$", drawn, re.DOTALL)
