"""What a contract consists of, whatever the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import pyarrow as pa


class ColumnType(StrEnum):
    """The type that a delivered value must be readable as."""

    TEXT = "text"
    IDENTIFIER = "identifier"
    """Text that spreadsheets may have turned into a number: `17850.0` is read as `17850`."""
    INTEGER = "integer"
    NUMBER = "number"
    TIMESTAMP = "timestamp"
    DATE = "date"
    """A day, or its number counted from the day that the mapping calls `day_one`."""
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
    """A column that a source delivers.

    Attributes:
        optional: whether a source may lack it; its values are then missing.
        per: where a source has such a column for each of something, what that is. With `brand`, the mapping is a
            pattern such as `Price_{brand}`, and the table holds a map from brand to value, so that its schema is
            the same for any number of brands.
    """

    name: str
    type: ColumnType
    description: str
    optional: bool = False
    per: str | None = None

    @property
    def arrow_type(self) -> pa.DataType:
        """The column's type in the table."""
        arrow_type = ARROW_TYPES[self.type]
        return pa.map_(pa.string(), arrow_type) if self.per else arrow_type


def no_warnings(rows: pa.Table) -> list[str]:  # noqa: ARG001 (signature of `warn`)
    """Find nothing: the `warn` of a contract that has nothing to warn of."""
    return []


def no_derived_columns(rows: pa.Table, options: Mapping[str, str]) -> pa.Table:  # noqa: ARG001 (signature of `derive`)
    """Return the rows as they are: the `derive` of a contract without derived columns."""
    return rows


@dataclass(frozen=True)
class Contract:
    """The schema of a table and the rules by which its rows are made.

    Attributes:
        table: its name.
        columns: what a source delivers, in the table's order.
        derived: the columns that `derive` adds, with their Arrow types.
        line_key: the columns that identify what a row is about. Where deliveries overlap, the newest one that has a
            key on a day replaces all rows of that key and day from older ones.
        event_time: the timestamp or date column that gives the row's `day`; it may itself be called `day`. None for a
            table without time. Rows without a time are UNDATED.
        options: the settings of `derive` that a source may change, with their defaults.
        derive: adds the derived columns to typed rows, given the options; `delivery`, `row` and `day` are added later.
        measures: columns that only expectations see: name -> arithmetic on numeric columns of a row. It is read by
            pandas and by SQL.
        warn: returns a sentence for each thing in a delivery's typed and derived rows that is allowed, and suggests
            that the mapping is wrong. It gets only the columns that `warn_columns` names, of all rows.
    """

    table: str
    columns: tuple[Column, ...]
    line_key: tuple[str, ...]
    event_time: str | None
    derived: tuple[pa.Field, ...] = ()
    derive: Callable[[pa.Table, Mapping[str, str]], pa.Table] = no_derived_columns
    warn: Callable[[pa.Table], list[str]] = no_warnings
    warn_columns: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    measures: Mapping[str, str] = field(default_factory=dict)

    @property
    def schema(self) -> pa.Schema:
        """The clean table's schema: the delivered and derived columns, and each row's delivery, number and day."""
        day = [] if any(column.name == "day" for column in self.columns) else [pa.field("day", pa.date32())]
        return pa.schema(
            [
                *(pa.field(column.name, column.arrow_type) for column in self.columns),
                *self.derived,
                pa.field("delivery", pa.string()),
                pa.field("row", pa.int64()),
                *day,
            ]
        )
