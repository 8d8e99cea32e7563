"""What a command is doing: a bar on a terminal, and a line a minute where there is none.

The steps of the pipeline do not know that they are watched: they write log lines (`pipeline.logs`), and a log handler
follows which steps have started and not ended, and which of how many they are.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.cli.output import err, on_print, printable
from pipeline.logs import ENDS, STARTED

LINE_SECONDS = 60.0
"""Seconds between two lines where there is no terminal."""
DESCRIBED = ("model", "candidate", "table", "domain", "delivery", "name")
"""The fields of a step that say what it works on, in the order in which they are shown."""


@dataclass(frozen=True)
class Step:
    """A step that has started.

    Attributes:
        name: what is done.
        subject: what it is done with.
        number, of: which step of how many of its kind it is; 0 for one that is the only one.
    """

    name: str
    subject: str
    number: int
    of: int

    def text(self, known: set[str]) -> str:
        """What is done, without the words of its subject that are known already."""
        words = [self.name, *(word for word in self.subject.split() if word not in known)]
        return " ".join([*words, f"({self.number:,} of {self.of:,})"] if self.of else words)


class Activity(logging.Handler):
    """The steps under way, as the log tells them.

    Args:
        command: the name of the command, which is all that is known before its first step.
        clock: returns seconds.
    """

    def __init__(self, command: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._command, self._clock = command, clock
        self._steps: list[Step] = []
        self._began = self._counting_since = self._advanced = clock()

    def emit(self, record: logging.LogRecord) -> None:
        """Follow the start or the end of a step; other lines say nothing about progress."""
        name, _, state = str(getattr(record, "event", "")).rpartition(" ")
        fields = getattr(record, "fields", {})
        if state == STARTED:
            self._start(name, fields)
        elif state in ENDS:
            self._end(name)

    def _start(self, name: str, fields: dict[str, object]) -> None:
        subject = " ".join(str(fields[key]) for key in DESCRIBED if key in fields)
        step = Step(name, subject, int(str(fields.get("number", 0))), int(str(fields.get("of", 0))))
        if step.number > 1 and (before := self._position(name)) is not None:
            del self._steps[before:]
        if step.of:
            self._advanced = self._clock()
            if step.number == 1 and self.fraction() is None:
                self._counting_since = self._advanced
        self._steps.append(step)

    def _end(self, name: str) -> None:
        """Forget a step, and those within it: one that an error ended early has not said so.

        One of several of a kind stays until the next one starts, so that it is known how many are done.
        """
        if (position := self._position(name)) is not None:
            step = self._steps[position]
            del self._steps[position + (step.number < step.of) :]

    def _position(self, name: str) -> int | None:
        """Where the innermost step of a name is."""
        return next((k for k in reversed(range(len(self._steps))) if self._steps[k].name == name), None)

    def text(self) -> str:
        """What is being done, from the outermost step to the innermost."""
        parts: list[str] = []
        known: set[str] = set()
        for step in self._steps:
            parts.append(step.text(known))
            known.update(step.name.split(), step.subject.split())
        return printable(", ".join(parts) or self._command)

    def fraction(self) -> float | None:
        """How much of the outermost steps of one kind is done, from 0 to 1; None if nothing says how many there are."""
        counted = [step for step in self._steps if step.of]
        done, width = 0.0, 1.0
        for step in counted:
            width /= step.of
            done += (step.number - 1) * width
        return done if counted else None

    def times(self) -> str:
        """The time since the command began, and what is left if the rest takes as long as what is done.

        Once a step has taken longer than that, nothing is known of what is left.
        """
        now, done = self._clock(), self.fraction()
        elapsed = f"{clock_time(now - self._began)} elapsed"
        if not done:
            return elapsed
        left = (self._advanced - self._counting_since) * (1 - done) / done - (now - self._advanced)
        return f"{elapsed}, about {clock_time(left)} left" if left > 0 else elapsed

    def __rich__(self) -> Group:
        """Two lines: what is being done; the bar and the times."""
        done = self.fraction()
        bar = ProgressBar(total=1.0, completed=done) if done is not None else ProgressBar(total=None, pulse=True)
        line = Table.grid(padding=(0, 1), expand=True)
        line.add_column(ratio=1)
        line.add_column(no_wrap=True)
        line.add_row(bar, Text(self.times()))
        return Group(Text(self.text(), no_wrap=True, overflow="ellipsis"), line)


def clock_time(seconds: float) -> str:
    """Seconds as `0:05` or `2:03:40`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


@contextmanager
def showing_progress(command: str, *, bar: bool = True) -> Iterator[None]:
    """Show on standard error what is done within the block, until something else is printed.

    A command that ends within seconds shows nothing where there is no terminal.

    Args:
        command: its name.
        bar: whether to draw a bar on a terminal.
    """
    activity, log = Activity(command), logging.getLogger("pipeline")
    level = log.level
    log.addHandler(activity)
    log.setLevel(logging.INFO)
    # Not the console's own opinion, which variables such as FORCE_COLOR change: a file shall have lines.
    terminal = sys.stderr.isatty() and not err.is_dumb_terminal
    end = _write_lines(activity) if not terminal else _draw(activity) if bar else lambda: None
    try:
        with on_print(end):
            yield
    finally:
        end()
        log.removeHandler(activity)
        log.setLevel(level)


def _draw(activity: Activity) -> Callable[[], None]:
    """Draw the bar on the terminal; the function that is returned removes it."""
    live = Live(activity, console=err, transient=True, redirect_stdout=False, vertical_overflow="crop")
    live.start()
    return live.stop


def _write_lines(activity: Activity) -> Callable[[], None]:
    """Write a line every `LINE_SECONDS`; the function that is returned ends it."""
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(LINE_SECONDS):
            err.print(f"{activity.text()}; {activity.times()}", highlight=False, soft_wrap=True)

    threading.Thread(target=write, daemon=True, name="progress").start()
    return ended.set
