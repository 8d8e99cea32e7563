"""Each defect is planted exactly where it is reported, and nowhere else."""

from __future__ import annotations

import csv
import io
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.simulate.defects import FILE_DEFECTS, HUGE_FIELD, ROW_DEFECTS, Defect, Planted, parse_defects, plant
from pipeline.simulate.deliveries import csv_bytes
from pipeline.simulate.shop import SCHEMA, Shop

CLEAN = csv_bytes(Shop(customers=300).lines(date(2025, 5, 5), date(2025, 5, 6)))
HEADER = SCHEMA.names


def rows(data: bytes, encoding: str = "utf-8", delimiter: str = ",") -> list[list[str]]:
    csv.field_size_limit(2 * HUGE_FIELD)
    return list(csv.reader(io.StringIO(data.decode(encoding), newline=""), delimiter=delimiter))


def test_every_defect_spoils_a_row_or_the_file() -> None:
    assert sorted((*ROW_DEFECTS, *FILE_DEFECTS)) == sorted(Defect)


@pytest.mark.parametrize("defect", ROW_DEFECTS)
def test_a_row_defect_is_in_its_reported_row_only(defect: Defect) -> None:
    data, planted = plant(CLEAN, {defect: 2})
    clean, spoilt = CLEAN.splitlines(), data.splitlines()
    assert len(planted) == 2
    assert [p.defect for p in planted] == [defect] * 2
    changed = [number for number, pair in enumerate(zip(clean, spoilt, strict=True)) if pair[0] != pair[1]]
    assert changed == [p.row for p in planted]
    before, after = rows(CLEAN), rows(data)
    for p in planted:
        assert p.row is not None
        if p.column:
            at = HEADER.index(p.column)
            assert after[p.row][at] == p.value
            assert [*before[p.row][:at], *before[p.row][at + 1 :]] == [*after[p.row][:at], *after[p.row][at + 1 :]]


@pytest.mark.parametrize(
    ("defect", "column", "value"),
    [
        (Defect.TEXT_QUANTITY, "Quantity", "a dozen"),
        (Defect.FRACTIONAL_QUANTITY, "Quantity", "1.5"),
        (Defect.ZERO_QUANTITY, "Quantity", "0"),
        (Defect.MISSING_QUANTITY, "Quantity", ""),
        (Defect.TEXT_PRICE, "UnitPrice", "£2.55 each"),
        (Defect.NAN_PRICE, "UnitPrice", "NaN"),
        (Defect.INFINITE_PRICE, "UnitPrice", "inf"),
        (Defect.NEGATIVE_PRICE, "UnitPrice", "-2.55"),
        (Defect.MISSING_PRICE, "UnitPrice", ""),
        (Defect.MISSING_INVOICE, "InvoiceNo", ""),
        (Defect.MISSING_STOCK_CODE, "StockCode", ""),
        (Defect.MISSING_DATE, "InvoiceDate", ""),
        (Defect.DATE_1900, "InvoiceDate", "1900-01-01 00:00:00"),
        (Defect.DATE_2999, "InvoiceDate", "2999-12-31 00:00:00"),
    ],
)
def test_the_value_of_a_defect(defect: Defect, column: str, value: str) -> None:
    _, planted = plant(CLEAN, {defect: 1})
    assert (planted[0].column, planted[0].value) == (column, value)


def test_a_huge_field_is_a_description_of_ten_megabytes() -> None:
    data, [planted] = plant(CLEAN, {Defect.HUGE_DESCRIPTION: 1})
    assert (planted.column, planted.value) == ("Description", "X" * HUGE_FIELD)
    assert len(data) > len(CLEAN) + HUGE_FIELD - 100


def test_the_other_date_format_is_the_same_time_day_first() -> None:
    data, [planted] = plant(CLEAN, {Defect.OTHER_DATE_FORMAT: 1})
    assert planted.row is not None
    stamp = rows(CLEAN)[planted.row][HEADER.index("InvoiceDate")]
    assert rows(data)[planted.row][HEADER.index("InvoiceDate")] == f"05/05/2025 {stamp[11:16]}"


def test_a_short_row_ends_early_and_a_repeated_header_is_the_header() -> None:
    data, [short, repeated] = plant(CLEAN, {Defect.SHORT_ROW: 1, Defect.REPEATED_HEADER: 1})
    if short.defect is Defect.REPEATED_HEADER:
        short, repeated = repeated, short
    assert short.row is not None
    assert repeated.row is not None
    assert rows(data)[short.row] == rows(CLEAN)[short.row][:4]
    assert rows(data)[repeated.row] == HEADER


@settings(max_examples=25, deadline=None)
@given(
    wanted=st.dictionaries(
        st.sampled_from([d for d in ROW_DEFECTS if d is not Defect.HUGE_DESCRIPTION]), st.integers(1, 4), max_size=6
    ),
    seed=st.integers(0, 100),
)
def test_any_mixture_of_row_defects_takes_a_row_each(wanted: dict[Defect, int], seed: int) -> None:
    data, planted = plant(CLEAN, wanted, seed)
    assert len({p.row for p in planted}) == len(planted) == sum(wanted.values())
    assert {d: sum(p.defect is d for p in planted) for d in wanted} == wanted
    assert (data, planted) == plant(CLEAN, wanted, seed)
    same = sum(a == b for a, b in zip(CLEAN.splitlines(), data.splitlines(), strict=True))
    assert same == len(CLEAN.splitlines()) - len(planted)


def test_an_empty_file_and_one_with_only_a_header() -> None:
    assert plant(CLEAN, {Defect.EMPTY_FILE: 1}) == (b"", [Planted(Defect.EMPTY_FILE)])
    data, _ = plant(CLEAN, {Defect.HEADER_ONLY: 1})
    assert rows(data) == [HEADER]


def test_a_truncated_file_ends_within_the_reported_row() -> None:
    data, [planted] = plant(CLEAN, {Defect.TRUNCATED: 1})
    assert CLEAN.startswith(data)
    assert len(data.splitlines()) == planted.row + 1  # type: ignore[operator]
    assert len(data.splitlines()[-1].split(b",")) == 2


def test_a_wrong_delimiter() -> None:
    data, _ = plant(CLEAN, {Defect.WRONG_DELIMITER: 1})
    assert rows(data, delimiter=";") == rows(CLEAN)
    assert data.splitlines()[0].count(b",") == 0


def test_a_wrong_encoding_is_no_utf8_and_reads_as_a_windows_code_page() -> None:
    data, [planted] = plant(CLEAN, {Defect.WRONG_ENCODING: 1})
    with pytest.raises(UnicodeDecodeError):
        data.decode()
    expected = rows(CLEAN)
    expected[1][HEADER.index("Description")] = str(planted.value)
    assert planted.row == 1
    assert rows(data, encoding="cp1252") == expected


def test_a_column_twice_one_less_and_one_more() -> None:
    clean = rows(CLEAN)
    twice = rows(plant(CLEAN, {Defect.DUPLICATE_COLUMN: 1})[0])
    assert twice == [[*fields, fields[3]] for fields in clean]
    assert twice[0].count("Quantity") == 2
    less = rows(plant(CLEAN, {Defect.MISSING_COLUMN: 1})[0])
    assert less == [[*fields[:5], *fields[6:]] for fields in clean]
    more = rows(plant(CLEAN, {Defect.EXTRA_COLUMN: 1})[0])
    assert more == [[*clean[0], "Till"], *([*fields, "1"] for fields in clean[1:])]


def test_no_defect_is_planted_unless_requested() -> None:
    assert plant(CLEAN, {}) == (CLEAN, [])


def test_impossible_defects_are_refused() -> None:
    with pytest.raises(UsageError, match="cannot be combined"):
        plant(CLEAN, {Defect.TRUNCATED: 1, Defect.NAN_PRICE: 1})
    with pytest.raises(UsageError, match="cannot be combined"):
        plant(CLEAN, {Defect.EMPTY_FILE: 2})
    with pytest.raises(UsageError, match="more defects than rows"):
        plant(CLEAN, {Defect.NAN_PRICE: 1_000_000})
    with pytest.raises(UsageError, match="no row to spoil"):
        plant(CLEAN.splitlines(keepends=True)[0], {Defect.TRUNCATED: 1})


def test_defects_by_name() -> None:
    assert parse_defects("") == {}
    assert parse_defects("nan_price, negative_price:3,nan_price:2") == {Defect.NAN_PRICE: 3, Defect.NEGATIVE_PRICE: 3}
    with pytest.raises(UsageError) as refusal:
        parse_defects("nan_price,rust,zero_quantity:0,truncated:x")
    for part in ("rust, zero_quantity:0, truncated:x", "repeated_header"):
        assert part in str(refusal.value)
