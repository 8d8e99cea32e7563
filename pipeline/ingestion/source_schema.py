"""The schema of `sources.yaml`: what its keys are, which values they take, and what each means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from pipeline.ingestion.addresses import is_pattern, is_simulated
from pipeline.ingestion.casting import MAX_FORMAT, format_fault
from pipeline.ingestion.formulas import parse_formula

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
# The name is part of a delivery's id, where `--` ends it.
SourceName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+([._-][A-Za-z0-9]+)*$")]
ANY_COLUMN = "*"
"""In `ignore`: all columns that are not mapped."""
WEEKDAYS: tuple[str, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _existing_currency(code: str) -> str:
    from babel.numbers import is_currency

    if not is_currency(code, "en"):
        raise ValueError(f"{code!r} is not a currency of ISO 4217 (GBP, EUR, USD, …)")
    return code


Currency = Annotated[str, AfterValidator(_existing_currency)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Format(_Model):
    """The file format of a delivery, after it was unpacked if its name ends in `.gz` or `.zip`."""

    type: Literal["csv", "xlsx", "parquet"] = "csv"
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    encoding: str = "utf-8"
    decimal: Literal[".", ","] = "."
    sheet: str | None = None
    final_newline: Literal["required", "optional"] = "required"

    @field_validator("delimiter")
    @classmethod
    def _check_delimiter(cls, value: str) -> str:
        if not value.isascii() or value in '"\r\n\0':
            raise ValueError(
                f"{value!r} cannot separate cells; allowed is one ASCII character other than a quote or line end"
            )
        return value

    @field_validator("encoding")
    @classmethod
    def _check_encoding(cls, value: str) -> str:
        try:
            "".encode(value)
        except (LookupError, ValueError) as error:
            raise ValueError(f"{value!r} is not an encoding that Python knows (utf-8, cp1252, …)") from error
        return value

    @model_validator(mode="after")
    def _check_keys_fit_type(self) -> Self:
        type_of_key = {"sheet": "xlsx"} | dict.fromkeys(("delimiter", "encoding", "decimal", "final_newline"), "csv")
        misplaced = [key for key in sorted(self.model_fields_set) if type_of_key.get(key, self.type) != self.type]
        if misplaced:
            raise ValueError(f"{', '.join(misplaced)}: not a key of the type {self.type}")
        return self


class MappedColumn(_Model):
    """How a contract's column is made: from the source's columns, by a formula, or as a constant.

    Attributes:
        sources: the source's column, or several whose cells are joined with a blank between them.
        formula: arithmetic on the source's columns, in place of `sources`.
        value: the text of every cell, in place of `sources`.
        values: replacements of cells; `""` stands for an empty cell, None for a missing value.
        format: strptime format of a timestamp or date; ISO 8601 when None.
        time_zone: the zone of the clock that wrote the timestamps; the shop's when None.
        day_one: the date of day number 1, where days are numbers.
    """

    sources: tuple[str, ...] = Field(default=(), alias="from", min_length=1)
    formula: str | None = None
    value: str | None = None
    values: dict[str, str | None] = Field(default_factory=dict)
    format: str | None = None
    time_zone: str | None = None
    day_one: date | None = None

    @property
    def source_columns(self) -> tuple[str, ...]:
        """The source's columns that are read, by their names or as a pattern."""
        return parse_formula(self.formula).columns if self.formula else self.sources

    def expand_pattern(self, per: str, names: Sequence[str]) -> dict[str, str]:
        """The columns that match a pattern such as `Price_{brand}`, by the part that matched `{brand}`.

        Args:
            per: the name in braces.
            names: the source's columns.
        """
        prefix, _, suffix = self.sources[0].partition(f"{{{per}}}")
        keys = {name: name[len(prefix) : len(name) - len(suffix)] for name in names}
        return {key: name for name, key in keys.items() if key and name == f"{prefix}{key}{suffix}"}

    @model_validator(mode="before")
    @classmethod
    def _expand_short_form(cls, value: Any) -> Any:
        return {"from": value} if isinstance(value, str | list) else value

    @field_validator("sources", mode="before")
    @classmethod
    def _accept_single_column(cls, value: Any) -> Any:
        return _as_tuple(value)

    @field_validator("value", mode="before")
    @classmethod
    def _convert_value_to_text(cls, value: Any) -> Any:
        """YAML reads 1 as a number and 2025-01-31 as a date; a cell is text."""
        return str(value) if isinstance(value, bool | int | float | date) else value

    @field_validator("formula")
    @classmethod
    def _check_formula(cls, value: str | None) -> str | None:
        return None if value is None else parse_formula(value).text

    @model_validator(mode="after")
    def _check_one_origin(self) -> Self:
        origins = self.model_fields_set & {"sources", "formula", "value"}
        if len(origins) != 1:
            raise ValueError("exactly one of from, formula and value says where the column comes from")
        if origins != {"sources"} and self.model_fields_set != origins:
            others = ", ".join(sorted(self.model_fields_set - origins))
            raise ValueError(f"{others}: only together with from")
        return self

    @field_validator("values", mode="before")
    @classmethod
    def _convert_values_to_text(cls, value: Any) -> Any:
        """YAML reads 0 as a number and yes as a truth value; a cell is text."""
        if not isinstance(value, dict):
            return value
        return {key: str(word) if isinstance(word, bool | int | float) else word for key, word in value.items()}

    @field_validator("time_zone")
    @classmethod
    def _check_time_zone(cls, value: str | None) -> str | None:
        return None if value is None else _existing_zone(value)

    @field_validator("format")
    @classmethod
    def _check_format(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if re.search("%[zZ]", value):
            raise ValueError("offsets (%z, %Z) are not read; name the clock's zone as time_zone")
        if fault := format_fault(value):
            raise ValueError(f"{value[:MAX_FORMAT]!r} is no strptime format: {fault}")
        return value


class Join(_Model):
    """A second file whose columns are left-joined to every delivery on the column `by`, which is unique in the file."""

    address: str = Field(alias="from")
    format: Format = Format()
    by: str

    @field_validator("address")
    @classmethod
    def _check_single_file(cls, value: str) -> str:
        if is_simulated(value) or is_pattern(value):
            raise ValueError(f"{value!r} must name one file, without globs or {{day}}")
        return value


class Source(_Model):
    """Where a table's deliveries are, and how their columns map onto the table's contract.

    Attributes:
        address: path, bucket address or simulator address, perhaps with globs and `{day}`.
        ignore: columns of the source that are not wanted; `*` stands for all that are not mapped.
        repeats: whether rows that are equal in every column to an earlier row of the delivery are kept.
        options: settings of the table's contract.
        closed_on: weekdays and dates without trade, on which no delivery is expected.
        currency: ISO 4217 code of the amounts; that of the file when None.
    """

    address: str = Field(alias="from")
    format: Format = Format()
    join: Join | None = None
    columns: dict[str, MappedColumn]
    ignore: tuple[str, ...] = ()
    repeats: Literal["drop", "keep"] = "keep"
    options: dict[str, str] = Field(default_factory=dict)
    closed_on: tuple[Weekday | date, ...] = ()
    currency: Currency | None = None

    @property
    def known_columns(self) -> tuple[str, ...]:
        """The source's columns that are named here, mapped or ignored."""
        mapped = (name for column in self.columns.values() for name in column.source_columns)
        return tuple(dict.fromkeys(name for name in (*mapped, *self.ignore) if name != ANY_COLUMN))

    @field_validator("ignore", mode="before")
    @classmethod
    def _accept_single_column(cls, value: Any) -> Any:
        return _as_tuple(value)


class SourceFile(_Model):
    """The whole of `sources.yaml`.

    Attributes:
        time_zone: the shop's.
        home_country: decides which customers count as domestic.
        tables: table -> name of a source -> the source.
        currency: ISO 4217 code of the amounts of all sources that name none; None where it is not known.
        locale: of CLDR, for the numbers on pages: `en` writes 1,234.5, `de` 1.234,5.
    """

    time_zone: str
    home_country: str
    tables: dict[str, dict[SourceName, Source]]
    currency: Currency | None = None
    locale: str = "en"

    @property
    def currencies(self) -> dict[str, str]:
        """Table -> the ISO 4217 code of its amounts, where one is named."""
        named = {
            table: source.currency or self.currency
            for table, sources in self.tables.items()
            for source in sources.values()
        }
        return {table: code for table, code in named.items() if code}

    @field_validator("locale")
    @classmethod
    def _check_locale(cls, value: str) -> str:
        from babel import Locale, UnknownLocaleError

        try:
            Locale.parse(value)
        except (UnknownLocaleError, ValueError) as error:
            raise ValueError(f"{value!r} is not a locale that CLDR knows (en, de, fr_CH, …)") from error
        return value

    @field_validator("time_zone")
    @classmethod
    def _check_time_zone(cls, value: str) -> str:
        return _existing_zone(value)


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _existing_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not a time zone (Europe/London, UTC, …)") from error
    return name
