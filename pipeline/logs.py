"""The log of the pipeline: one line at the start and end of each step, and one for each decision.

Every line is `event key=value key=value …`. The fields also travel on the log record as `fields`, so that a JSON
formatter can write them as they are. Values are names, days, counts, versions and seconds; never rows, keys or
personal data. Passwords in addresses are replaced here, and by `RedactingFormatter` in what other libraries log.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from pipeline.redaction import redact

T = TypeVar("T")
STARTED, ENDS = "started", ("finished", "failed")
"""The last word of the events that `log_step` and `log_each` write."""

LOGGERS = ("pipeline", "aisle_dags")
"""The loggers whose level the setting `AISLE_LOG_LEVEL` gives: the library's, and that of the DAGs' own lines."""

# Without a handler Python prints warnings on standard error; whoever wants the lines adds a handler.
logging.getLogger("pipeline").addHandler(logging.NullHandler())


def set_level(level: str) -> None:
    """Log lines of `level` and above; whoever runs the pipeline decides where they go."""
    for name in LOGGERS:
        logging.getLogger(name).setLevel(level)


class RedactingFormatter(logging.Formatter):
    """Formats a record, its traceback included, without the passwords of addresses."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        return redact(super().format(record))


def log_to_stderr(level: str) -> None:
    """Write log lines of `level` and above on standard error, one line of text each."""
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.getLogger("pipeline").handlers = [handler]
    set_level(level)


def log_event(logger: logging.Logger, event: str, level: int = logging.INFO, /, **fields: object) -> None:
    """Write one line, such as `promoted model=store_sales version=3`. Fields that are None are left out.

    Args:
        logger: the caller's module logger.
        event: what happened, in a word or a few.
        level: a level of `logging`.
        fields: what there is to say of it.
    """
    known = {
        name: redact(value) if isinstance(value, str) else value for name, value in fields.items() if value is not None
    }
    text = " ".join([event, *(f"{name}={_quoted(value)}" for name, value in known.items())])
    logger.log(level, "%s", text, extra={"event": event, "fields": known}, stacklevel=2)


@contextmanager
def log_step(logger: logging.Logger, step: str, /, **fields: object) -> Iterator[dict[str, object]]:
    """Write a line when a step starts and one when it ends, with its seconds.

    Yields:
        A dictionary. What is put into it (rows, version) is written with the last line.
    """
    log_event(logger, f"{step} {STARTED}", **fields)
    began, results = time.monotonic(), dict[str, object]()
    try:
        yield results
    except BaseException as error:
        seconds = round(time.monotonic() - began, 3)
        log_event(logger, f"{step} failed", logging.ERROR, **fields, error=type(error).__name__, seconds=seconds)
        raise
    seconds = round(time.monotonic() - began, 3)
    log_event(logger, f"{step} finished", **{**fields, **results}, seconds=seconds)


def log_each(
    logger: logging.Logger, step: str, items: Sequence[T], /, name: Callable[[T], object] = str
) -> Iterator[T]:
    """Go through items, each a step of one kind: the folds of a backtest, the deliveries of a table.

    A line at the start and the end of each says which of how many it is. Whoever shows progress learns it from there.

    Args:
        logger: the caller's module logger.
        step: what is done with each item, in a word or a few.
        items: the items.
        name: the name of an item in the lines.
    """
    for number, item in enumerate(items, 1):
        fields = {"name": name(item), "number": number, "of": len(items)}
        log_event(logger, f"{step} {STARTED}", **fields)
        began = time.monotonic()
        yield item
        # After an error there is no such line: the step around it writes that it failed.
        log_event(logger, f"{step} finished", **fields, seconds=round(time.monotonic() - began, 3))


def _quoted(value: object) -> str:
    """A value as one word: text with blanks or quotes is quoted and escaped, so that a line stays one line."""
    text = redact(value)
    return text if text and not any(c.isspace() or c in "\"'=\\" for c in text) else repr(text)
