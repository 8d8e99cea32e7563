"""The form of a contract, whatever the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import pyarrow as pa


class ColumnType(StrEnum):
    """What a delivered value must be readable as."""

    TEXT = "text"
    IDENTIFIER = "identifier"
    """Text that spreadsheets like to turn into numbers: `17850.0` is `17850`."""
    INTEGER = "integer"
    NUMBER = "number"
    TIMESTAMP = "timestamp"
    DATE = "date"
    """A day, or the number of one counted from a day that the mapping names."""
    BOOLEAN = "boolean"


ARROW_TYPES: Mapping[ColumnType, pa.DataType] = {
    ColumnType.TEXT: pa.string(),
    ColumnType.IDENTIFIER: pa.string(),
    ColumnType.INTEGER: pa.int64(),
    ColumnType.NUMBER: pa.float64(),
    ColumnType.TIMESTAMP: pa.timestamp("us"),
    ColumnType.DATE: pa.date32(),
    ColumnType.BOOLEAN: pa.bool_(),
}


@dataclass(frozen=True)
class Column:
    """A column that a source brings.

    Attributes:
        optional: whether a source may do without it; its values are then missing.
        per: what the source has such a column for each of: `brand` is mapped as `Price_{brand}`, and the table holds a
            map from the brand to its value. So any number of them makes the same table.
    """

    name: str
    kind: ColumnType
    description: str
    optional: bool = False
    per: str | None = None

    @property
    def type(self) -> pa.DataType:
        """Its type in the table."""
        plain = ARROW_TYPES[self.kind]
        return pa.map_(pa.string(), plain) if self.per else plain


@dataclass(frozen=True)
class Contract:
    """What a table is.

    Attributes:
        table: its name.
        columns: what a source must bring, in the table's order.
        derived: what the reader adds, with its Arrow type.
        line_key: the columns that say which thing a row speaks of. Where deliveries overlap, the newest one that
            speaks of a thing on a day is believed, with all its rows of that thing.
        event_time: the timestamp or date column whose date is the row's `day`, by the name of `day` itself if it likes.
            A table of what has no time has none; its rows, and those whose time is missing, are UNDATED.
        options: settings of `derive` that a source may set, with their defaults.
        derive: adds the derived columns (but `delivery`, `row` and `day`) to typed rows, given the options.
    """

    table: str
    columns: tuple[Column, ...]
    derived: tuple[pa.Field, ...]
    line_key: tuple[str, ...]
    event_time: str | None
    derive: Callable[[pa.Table, Mapping[str, str]], pa.Table]
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def schema(self) -> pa.Schema:
        """The clean table's schema: the source's columns, the derived ones, and where a row came from."""
        named_day = [] if any(column.name == "day" for column in self.columns) else [pa.field("day", pa.date32())]
        return pa.schema(
            [
                *(pa.field(column.name, column.type) for column in self.columns),
                *self.derived,
                pa.field("delivery", pa.string()),
                pa.field("row", pa.int64()),
                *named_day,
            ]
        )
