"""A delivery as rows of text: what every reader returns, and the refusals that all readers share."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa

from pipeline.errors import RefusedError


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
    """The rows of a delivery, every cell as text.

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
