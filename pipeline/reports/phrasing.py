"""How numbers, shares, amounts and dates are written on report pages: one manner for all pages.

The rule for digits: counts are whole; amounts are whole from 100 on and have the currency's decimals below; shares
have one digit after the decimal mark, and two where one would show nothing; other figures have three significant
digits; what is a whole number is written as one. Number formats and currencies are those of CLDR, through Babel.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from babel import Locale
    from babel.numbers import NumberPattern

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
NEGLIGIBLE = 0.05
"""A difference, in per cent, below which two values are called equal."""
MISSING = "–"
"""Shown in place of a missing figure."""
WHOLE_FROM = 100
"""Amounts from here on are written without decimals."""
SIGNIFICANT = 3
"""Significant digits of a figure that is neither a count nor an amount."""


@dataclass(frozen=True)
class NumberStyle:
    """How the numbers of a page are written.

    Attributes:
        locale: of CLDR, such as `en` (1,234.5) or `de` (1.234,5).
        currencies: table -> ISO 4217 code of its amounts; a table without one has plain numbers.
        table: whose currency amounts have when none is named.
    """

    locale: str = "en"
    currencies: Mapping[str, str] = field(default_factory=dict)
    table: str = ""


PLAIN = NumberStyle()
_style: ContextVar[NumberStyle] = ContextVar("number_style", default=PLAIN)


@contextmanager
def written_in(style: NumberStyle) -> Iterator[None]:
    """Write all numbers in a style within this context."""
    token = _style.set(style)
    try:
        yield
    finally:
        _style.reset(token)


def decimal_separators() -> str:
    """Return the decimal mark and the thousands separator, as Plotly's layout names them."""
    from babel.numbers import get_decimal_symbol, get_group_symbol

    locale = _style.get().locale
    return get_decimal_symbol(locale) + get_group_symbol(locale)


def decimal(value: float, digits: int) -> str:
    """Format a number with a fixed number of decimals: 1,234.50; a dash if it is not finite."""
    if not math.isfinite(value):
        return MISSING
    return _decimal(_without_negative_zero(value, digits), digits, _style.get().locale)


@lru_cache(maxsize=10_000)
def _decimal(value: float, digits: int, locale: str) -> str:
    """Babel takes a tenth of a millisecond for a number, and most numbers of an answer or a page are small counts."""
    from babel.numbers import format_decimal

    return format_decimal(value, "#,##0" + ("." + "0" * digits if digits else ""), locale)


def count(number: float) -> str:
    """Format a whole number with thousands separators: 541,909."""
    return decimal(number, 0)


def number(value: float | None) -> str:
    """Format with three significant digits, and whole ones whole: 1,235, 12.3, 0.0123, 7; missing is a dash."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == round(value):
        return count(value)
    digits = SIGNIFICANT - 1 - math.floor(math.log10(abs(value)))
    return decimal(value, min(max(digits, 0), 6))


def signed(value: float, digits: int = 2) -> str:
    """Format a number with its sign: +1.20; a dash if it is not finite."""
    text = decimal(value, digits)
    return f"+{text}" if math.isfinite(value) and not text.startswith("-") else text


def amount(value: float | None, table: str | None = None) -> str:
    """Format an amount of money: £541,909, £12.50; without a currency as a number.

    Args:
        value: the amount; None or NaN is a dash.
        table: whose currency it has; the page's own if missing.
    """
    if value is None or not math.isfinite(value):
        return MISSING
    return _money(value, 0 if value == 0 or abs(value) >= WHOLE_FROM else None, table)


def price(value: float | None, table: str | None = None) -> str:
    """Format the price of a unit, with the currency's decimals at any size: £1,024.99."""
    return MISSING if value is None or not math.isfinite(value) else _money(value, None, table)


def with_unit(text: str, table: str | None = None) -> str:
    """Add the currency to the title of an axis or a column: revenue, £. Without a currency it stays as it is."""
    from babel.numbers import get_currency_symbol

    code = _currency(table)
    return f"{text}, {get_currency_symbol(code, _style.get().locale)}" if code else text


def currency_sentence(table: str | None = None) -> str:
    """Say which currency amounts are in."""
    from babel.numbers import get_currency_name

    code = _currency(table)
    if code is None:
        return "Amounts are in the currency of the data."
    return f"Amounts are in {code} ({get_currency_name(code, locale='en')})."


def number_format(table: str | None = None) -> dict[str, str | None]:
    """Return locale and currency as `Intl.NumberFormat` of a page's script names them."""
    return {"locale": _style.get().locale.replace("_", "-"), "currency": _currency(table)}


def _currency(table: str | None) -> str | None:
    style = _style.get()
    return style.currencies.get(style.table if table is None else table)


def _money(value: float, digits: int | None, table: str | None) -> str:
    from babel.numbers import format_currency, get_currency_precision

    code = _currency(table)
    if digits is None:
        digits = get_currency_precision(code) if code else 2
    if code is None:
        return decimal(value, digits)
    pattern, locale = _money_pattern(_style.get().locale, digits)
    return format_currency(_without_negative_zero(value, digits), code, pattern, locale, currency_digits=False)


@lru_cache
def _money_pattern(name: str, digits: int) -> tuple[NumberPattern, Locale]:
    """The pattern of amounts with so many decimals, and the locale: to parse them takes longer than to use them."""
    from babel import Locale
    from babel.numbers import parse_pattern

    locale, decimals = Locale.parse(name), "." + "0" * digits if digits else ""
    return parse_pattern(re.sub(r"0\.0+", f"0{decimals}", locale.currency_formats["standard"].pattern)), locale


def _without_negative_zero(value: float, digits: int) -> float:
    """The value, but 0 for what would be written as -0."""
    return 0.0 if abs(value) < 0.5 * 10**-digits else float(value)


def counted(number: float, one: str, many: str | None = None) -> str:
    """Format a number with its noun: 1 store, 1,115 stores."""
    return f"{count(number)} {one if round(number) == 1 else many or f'{one}s'}"


def was_or_were(number: float) -> str:
    """Return the verb that agrees with a number of things."""
    return "was" if round(number) == 1 else "were"


def share(part: float, whole: float) -> str:
    """Format a part of a whole as per cent: 12.5 %; a dash if the whole is 0."""
    return percent(part / whole) if whole else MISSING


def percent(fraction: float | None, digits: int = 1) -> str:
    """Format a fraction as per cent: 0.125 is 12.5 %; a dash for None or NaN.

    A small share never looks like none, nor a large one like all: 0.0003 is 0.03 %, 0.00003 is "less than 0.01 %",
    0.9998 is 99.98 %, and 0.99999 is "more than 99.99 %".
    """
    if fraction is None or not math.isfinite(fraction):
        return MISSING
    value = 100 * fraction
    distance = min(abs(value), abs(100 - abs(value)))
    if 0 < distance <= 0.5 * 10**-digits:
        if distance < 0.01:
            return _at_the_end(value)
        digits = 2
    return f"{decimal(value, digits)} %"


def _at_the_end(value: float) -> str:
    """Phrase a per cent value that is within 0.01 of 0, 100 or -100."""
    if 0 < value < 1:
        return f"less than {decimal(0.01, 2)} %"
    return f"more than {decimal(99.99, 2)} %" if 99 < value < 100 else f"{decimal(value, 1)} %"


def signed_percent(value: float, digits: int = 1) -> str:
    """Format a value that is already in per cent with its sign: 35.0 is +35.0 %; a dash if it is not finite."""
    return f"{signed(value, digits)} %" if math.isfinite(value) else MISSING


def percentage_points(fraction: float) -> str:
    """Format a difference of fractions in percentage points: 0.0123 is 1.23 points."""
    return f"{decimal(100 * fraction, 2)} points"


def percent_change(log_ratio: float) -> float:
    """Convert a difference of logarithms into a change in per cent: 0.3 is 35.0."""
    return 100 * math.expm1(log_ratio)


def more_or_less(value: float) -> str:
    """Phrase a change in per cent as a comparison: 35.0 % more, 3.2 % less, as much."""
    if abs(value) < NEGLIGIBLE:
        return "as much"
    return f"{decimal(abs(value), 1)} % {'more' if value > 0 else 'less'}"


def above_or_below(value: float) -> str:
    """Phrase a difference in per cent as a position relative to a level: 35.0 % above, 3.2 % below, at."""
    if abs(value) < NEGLIGIBLE:
        return "at"
    return f"{decimal(abs(value), 1)} % {'above' if value > 0 else 'below'}"


def ranks(values: Sequence[float]) -> list[str]:
    """Rank values, the largest first; equal ones share a rank: 1, 2=, 2=, 4."""
    ordered = sorted(values, reverse=True)
    return [f"{ordered.index(value) + 1}{'=' if ordered.count(value) > 1 else ''}" for value in values]


def listed(words: Iterable[str]) -> str:
    """Join words as a, b and c."""
    *most, last = list(words)
    return f"{', '.join(most)} and {last}" if most else last


def long_date(day: date) -> str:
    """Format a date with the month in words: 24 December 2014."""
    return f"{day:%-d %B %Y}"


def readable(name: str) -> str:
    """Turn the name of a column, metric or model into words: monthly_spend_mean is monthly spend mean."""
    return name.replace("_", " ")
