"""A delivery as rows of text: what every reader returns, and the refusals that all readers share."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.errors import RefusedError

Numbers = npt.NDArray[np.int64]
"""Numbers of rows of a delivery, each once and in order."""
NO_ROWS: Numbers = np.array([], np.int64)
BATCH_ROWS = 1 << 17
"""How many rows of a delivery are in memory at once, at each step from reading to writing."""


@dataclass(frozen=True)
class Malformed:
    """A line that has the wrong number of fields.

    Attributes:
        row: its 1-based position among the delivery's rows.
        text: the whole line.
        fault: what is wrong with it, for people.
    """

    row: int
    text: str
    fault: str


@dataclass(frozen=True)
class Rows:
    """The rows of a delivery or of a batch of it, every cell as text.

    Attributes:
        table: one string column for each of the source's columns; a missing value is null.
        numbers: int64, the 1-based position of each row of `table` among all the delivery's rows.
        malformed: the lines that could not be split into columns; they are not in `table`.
    """

    table: pa.Table
    numbers: pa.Array
    malformed: tuple[Malformed, ...] = ()

    @property
    def total_rows(self) -> int:
        """The number of rows in the delivery, malformed ones included."""
        return int(self.table.num_rows) + len(self.malformed)


def within(numbers: Numbers, present: Numbers) -> Numbers:
    """Return those of some numbers that are from the first to the last of a batch's."""
    if not len(numbers) or not len(present):
        return NO_ROWS
    low, high = np.searchsorted(numbers, [present[0], present[-1] + 1])
    return numbers[low:high]


def union(*parts: Numbers) -> Numbers:
    """Return the numbers that are in any of several lists."""
    return np.unique(np.concatenate([NO_ROWS, *parts]))


def refuse_repeated_columns(names: list[str], where: str) -> None:
    """Check that no column name is repeated.

    Raises:
        RefusedError: naming those that are.
    """
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise RefusedError(
            "The header has a column more than once",
            where=where,
            observed=", ".join(map(repr, repeated)),
            allowed="each name once",
            todo="ask the source to give each column a name of its own",
        )


def empty_delivery(name: str, observed: str) -> RefusedError:
    """The error for a delivery without content."""
    return RefusedError("The delivery is empty", where=name, observed=observed, todo="ask the source to send it again")
