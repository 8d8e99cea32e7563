"""Mapping: the same rows from every file format, and each fault with its row and column."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from pipeline.contracts import CONTRACTS
from pipeline.errors import RefusedError
from pipeline.ingestion.mapping import MAX_QUOTED, MappedRows, map_rows
from pipeline.ingestion.readers import read_rows
from pipeline.ingestion.repeats import exact_repeats
from pipeline.ingestion.rows import Rows
from pipeline.ingestion.source_schema import Source
from pipeline.ingestion.sources import NamedSource, load_sources
from pipeline.settings import Settings
from pipeline.simulate.defects import Defect, plant
from pipeline.simulate.deliveries import csv_bytes
from pipeline.simulate.shop import Shop

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = CONTRACTS["transactions"]
COLUMNS = {
    "invoice": "InvoiceNo",
    "stock_code": "StockCode",
    "description": "Description",
    "quantity": "Quantity",
    "unit_price": "UnitPrice",
    "invoiced_at": "InvoiceDate",
    "customer_id": "CustomerID",
    "country": "Country",
}
LINE: dict[str, str | None] = {
    "InvoiceNo": "536365",
    "StockCode": "85123A",
    "Description": "WHITE HANGING HEART",
    "Quantity": "6",
    "UnitPrice": "2.55",
    "InvoiceDate": "2010-12-01 08:26:00",
    "CustomerID": "17850",
    "Country": "United Kingdom",
}


def source(zone: str = "Europe/London", **spec: Any) -> NamedSource:
    checked = Source.model_validate({"from": "x", "columns": COLUMNS, **spec})
    lines = {column: n for n, column in enumerate(checked.columns, 10)}
    return NamedSource("transactions", "till", checked, zone, "sources.yaml, line 7", lines)


def lines(*changes: dict[str, str | None]) -> Rows:
    records = [{**LINE, **change} for change in changes]
    columns = {name: pa.array([r[name] for r in records], pa.string()) for name in dict.fromkeys(records[0])}
    return Rows(pa.table(columns), pa.array(range(1, len(records) + 1), pa.int64()))


def typed(column: str, cell: str | None, **spec: Any) -> tuple[Any, str | None]:
    """The value of a cell in a column, and the reason against it."""
    done = map_rows(lines({COLUMNS[column]: cell}), source(**spec), CONTRACT)
    return done.rows[column][0].as_py(), done.faults.get(1, {}).get(column)


# The same rows give the same table, whatever the file format.

ALPHABET = "aZ09 é£€\"',;|\t\n.ß-"
TEXT = st.text(ALPHABET, max_size=12).map(str.strip)
CODE = st.text("ABC0189", min_size=1, max_size=6)
RECORD = st.fixed_dictionaries(
    {
        "InvoiceNo": CODE,
        "StockCode": CODE,
        "Description": st.none() | TEXT,
        "Quantity": st.integers(-80995, 80995),
        "UnitPrice": st.decimals(Decimal(0), Decimal(38970), places=3).map(float),
        "InvoiceDate": st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2030, 1, 1)).map(
            lambda at: at.replace(microsecond=0)
        ),
        "CustomerID": st.none() | st.integers(1, 10**12),
        "Country": st.sampled_from(["EIRE", "Österreich", None]),
    }
)


def csv_form(records: list[dict[str, Any]], form: dict[str, str], end: str, quoting: Any) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=form["delimiter"], lineterminator=end, quoting=quoting)
    writer.writerow(records[0])
    for record in records:
        price = str(record["UnitPrice"]).replace(".", form["decimal"])
        # As pandas writes a column of whole numbers with gaps.
        customer = "" if record["CustomerID"] is None else f"{record['CustomerID']}.0"
        cells = {**record, "UnitPrice": price, "CustomerID": customer}
        writer.writerow(cells[name] for name in records[0])
    return out.getvalue().encode(form["encoding"])


def xlsx_form(records: list[dict[str, Any]]) -> bytes:
    book, out = Workbook(write_only=True), io.BytesIO()
    sheet = book.create_sheet("lines")
    sheet.append(list(records[0]))
    for record in records:
        sheet.append([record[name] for name in records[0]])
    book.save(out)
    return out.getvalue()


def parquet_form(records: list[dict[str, Any]]) -> bytes:
    fields = {"Quantity": pa.int32(), "UnitPrice": pa.float64(), "InvoiceDate": pa.timestamp("ns")}
    # As pandas types whole numbers with gaps.
    fields["CustomerID"] = pa.float64()
    schema = pa.schema([(name, fields.get(name, pa.string())) for name in records[0]])
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records, schema), out)
    return out.getvalue()


def conformed(data: bytes, name: str, form: dict[str, str]) -> MappedRows:
    of = source(format=form)
    return map_rows(read_rows(data, name, of.spec.format), of, CONTRACT)


@given(
    st.lists(RECORD, min_size=1, max_size=8),
    st.sampled_from([",", ";", "|", "\t"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    st.sampled_from([".", ","]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
@settings(deadline=None, max_examples=40, report_multiple_bugs=False)
def test_the_same_rows_give_the_same_table(
    records: list[dict[str, Any]], delimiter: str, encoding: str, decimal: str, end: str, quoting: int
) -> None:
    form = {"type": "csv", "delimiter": delimiter, "encoding": encoding, "decimal": decimal}
    text = csv_form(records, form, end, quoting)
    from_csv = conformed(text, "x.csv", form)
    assert from_csv.faults == {}
    assert from_csv.rows["quantity"].to_pylist() == [r["Quantity"] for r in records]
    assert from_csv.rows["unit_price"].to_pylist() == [r["UnitPrice"] for r in records]
    assert from_csv.rows["invoiced_at"].to_pylist() == [r["InvoiceDate"] for r in records]
    assert from_csv.rows["description"].to_pylist() == [r["Description"] or None for r in records]
    ids = [None if r["CustomerID"] is None else str(r["CustomerID"]) for r in records]
    assert from_csv.rows["customer_id"].to_pylist() == ids
    for data, name, other in (
        (gzip.compress(text), "x.csv.gz", form),
        (xlsx_form(records), "x.xlsx", {"type": "xlsx"}),
        (parquet_form(records), "x.parquet", {"type": "parquet"}),
    ):
        done = conformed(data, name, other)
        assert done.faults == {}
        assert done.rows.equals(from_csv.rows), name


# Cells of each type.


@pytest.mark.parametrize(
    ("cell", "value"), [("17850.0", "17850"), ("0017.00", "0017"), ("C17850.0", "C17850.0"), ("17.5", "17.5")]
)
def test_identifiers_lose_the_fraction_that_a_spreadsheet_gave_them(cell: str, value: str) -> None:
    assert typed("customer_id", cell) == (value, None)
    assert typed("invoice", f"  {cell}\t") == (value, None)


@pytest.mark.parametrize(("cell", "value"), [("6", 6), ("-6", -6), ("6.0", 6), ("+6", 6), ("1e3", 1000), (" 6 ", 6)])
def test_whole_numbers(cell: str, value: int) -> None:
    assert typed("quantity", cell) == (value, None)


@pytest.mark.parametrize("cell", ["3.5", "1e300", "a dozen", "NaN", "inf", "1,000", "1_0", "9007199254740992", "0x1F"])
def test_other_cells_than_whole_numbers_are_faults(cell: str) -> None:
    assert typed("quantity", cell) == (None, f"{cell!r} is not a whole number")


@pytest.mark.parametrize(("cell", "value"), [("2.55", 2.55), (".5", 0.5), ("-2", -2.0), ("1e300", 1e300), ("0", 0.0)])
def test_numbers(cell: str, value: float) -> None:
    assert typed("unit_price", cell) == (value, None)


@pytest.mark.parametrize(
    "cell", ["NaN", "nan", "inf", "-Infinity", "1e400", "£2.55", "2,55", "1,234.56", "2_55", "--1", "9" * 400]
)
def test_other_cells_than_finite_numbers_are_faults(cell: str) -> None:
    assert typed("unit_price", cell) == (None, f"{cell[:MAX_QUOTED]!r} is not a finite number")


def test_a_decimal_point_is_a_fault_where_the_mark_is_a_comma() -> None:
    form = {"type": "csv", "decimal": ","}
    assert typed("unit_price", "2,55", format=form) == (2.55, None)
    for cell in ("2.55", "1.234,50", "1.234"):
        assert typed("unit_price", cell, format=form) == (None, f"{cell!r} is not a finite number")


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(deadline=None, max_examples=50)
def test_any_finite_number_survives_as_text(number: float) -> None:
    assert typed("unit_price", repr(number)) == (number, None)


@given(st.text(max_size=20))
@settings(deadline=None, max_examples=100)
def test_any_text_is_a_value_missing_or_a_fault(cell: str) -> None:
    text = cell.strip() or None
    for column in ("quantity", "unit_price", "invoiced_at"):
        value, fault = typed(column, cell)
        assert (value is None and fault is None) == (text is None)
        assert value is None or fault is None


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("2010-12-01 08:26:00", dt.datetime(2010, 12, 1, 8, 26)),
        ("2010-12-01T08:26", dt.datetime(2010, 12, 1, 8, 26)),
        ("2010-12-01", dt.datetime(2010, 12, 1)),
        ("2010-12-01 08:26:00.5", dt.datetime(2010, 12, 1, 8, 26, 0, 500000)),
        ("0001-01-01", dt.datetime(1, 1, 1)),
        ("2999-12-31", dt.datetime(2999, 12, 31)),
        ("9999-12-31 23:59:59", dt.datetime(9999, 12, 31, 23, 59, 59)),
    ],
)
def test_timestamps_of_iso_8601(cell: str, value: dt.datetime) -> None:
    assert typed("invoiced_at", cell) == (value, None)


@pytest.mark.parametrize(
    "cell",
    [
        "01/12/2010 08:26",
        "2010-02-30",
        "2010-12-01 25:00",
        "0000-01-01",
        "infinity",
        "epoch",
        "20101201",
        # An offset that was skipped would be another hour.
        "2010-12-01T08:26:00Z",
        "2010-12-01 08:26:00+02:00",
    ],
)
def test_other_cells_than_timestamps_are_faults(cell: str) -> None:
    assert typed("invoiced_at", cell) == (None, f"{cell!r} is not a date and time of the form YYYY-MM-DD HH:MM:SS")


def test_timestamps_of_a_given_format() -> None:
    form = "%m/%d/%Y %H:%M"
    columns = {**COLUMNS, "invoiced_at": {"from": "InvoiceDate", "format": form}}
    assert typed("invoiced_at", "12/1/2010 8:26", columns=columns) == (dt.datetime(2010, 12, 1, 8, 26), None)
    for cell in ("13/12/2010 08:26", "2010-12-01 08:26:00"):
        assert typed("invoiced_at", cell, columns=columns) == (
            None,
            f"{cell!r} is not a date and time of the form {form}",
        )


@pytest.mark.parametrize(
    ("utc", "shop"),
    [
        ("2010-12-01 08:26:00", "2010-12-01 08:26:00"),
        ("2011-06-30 23:30:00", "2011-07-01 00:30:00"),  # another day
        ("2011-03-27 01:30:00", "2011-03-27 02:30:00"),  # just after the clocks went forward
    ],
)
def test_timestamps_of_another_zone_are_converted_to_the_shops(utc: str, shop: str) -> None:
    columns = {**COLUMNS, "invoiced_at": {"from": "InvoiceDate", "time_zone": "UTC"}}
    done = map_rows(lines({"InvoiceDate": utc}), source(columns=columns), CONTRACT)
    assert str(done.rows["invoiced_at"][0].as_py()) == shop
    assert str(done.rows["day"][0].as_py()) == shop[:10]


@pytest.mark.parametrize(
    ("london", "utc"),
    [
        ("2011-10-30 01:30:00", "2011-10-30 00:30:00"),  # shown twice: its first showing
        ("2011-03-27 01:30:00", "2011-03-27 01:00:00"),  # never shown: what follows
    ],
)
def test_hours_that_a_clock_shows_twice_or_never(london: str, utc: str) -> None:
    columns = {**COLUMNS, "invoiced_at": {"from": "InvoiceDate", "time_zone": "Europe/London"}}
    done = map_rows(lines({"InvoiceDate": london}), source("UTC", columns=columns), CONTRACT)
    assert str(done.rows["invoiced_at"][0].as_py()) == utc


# Replacements and several columns.


def test_cells_can_be_replaced() -> None:
    values = {"GB": "United Kingdom", "": "unknown", "-": None}
    columns = {**COLUMNS, "country": {"from": "Country", "values": values}}
    for cell, country in (
        ("GB", "United Kingdom"), (" GB ", "United Kingdom"), (None, "unknown"), ("  ", "unknown"), ("-", None),
        ("EIRE", "EIRE"),
    ):  # fmt: skip
        assert typed("country", cell, columns=columns) == (country, None)
    columns = {**COLUMNS, "quantity": {"from": "Quantity", "values": {"a dozen": 12, "none": 0}}}
    assert typed("quantity", "a dozen", columns=columns) == (12, None)
    assert typed("quantity", "two", columns=columns) == (None, "'two' is not a whole number")


@pytest.mark.parametrize(
    ("form", "parts", "value"),
    [
        ("%Y-%m-%d %H:%M", ("2010-12-01", "08:26"), dt.datetime(2010, 12, 1, 8, 26)),
        ("%Y %m", ("2010.0", "9.0"), dt.datetime(2010, 9, 1)),
        ("%G %V", ("2010", "13"), dt.datetime(2010, 3, 29)),
        ("%G %V", ("2010", "01"), dt.datetime(2010, 1, 4)),
        ("%G %V %u", ("2010", "13 7"), dt.datetime(2010, 4, 4)),
        ("%Y %m", (None, None), None),
    ],
)
def test_several_columns_are_joined_to_one_date(
    form: str, parts: tuple[str | None, str | None], value: dt.datetime | None
) -> None:
    columns = {**COLUMNS, "invoiced_at": {"from": ["InvoiceDate", "InvoiceTime"], "format": form}}
    done = map_rows(lines({"InvoiceDate": parts[0], "InvoiceTime": parts[1]}), source(columns=columns), CONTRACT)
    assert (done.rows["invoiced_at"][0].as_py(), done.faults) == (value, {})


@pytest.mark.parametrize(
    ("form", "parts", "cell"),
    [
        ("%Y %m", ("2010", None), "2010"),
        ("%Y %m", (None, "9"), "9"),
        ("%G %V", ("2014", "53"), "2014 53"),
        ("%G %V", ("2014", "0"), "2014 0"),
        ("%G %V", ("2014", "60"), "2014 60"),
    ],
)
def test_parts_that_make_no_date_are_faults(form: str, parts: tuple[str | None, str | None], cell: str) -> None:
    columns = {**COLUMNS, "invoiced_at": {"from": ["InvoiceDate", "InvoiceTime"], "format": form}}
    done = map_rows(lines({"InvoiceDate": parts[0], "InvoiceTime": parts[1]}), source(columns=columns), CONTRACT)
    assert done.faults == {1: {"invoiced_at": f"{cell!r} is not a date and time of the form {form}"}}


def test_one_of_several_columns_may_not_be_missing() -> None:
    columns = {**COLUMNS, "invoiced_at": ["InvoiceDate", "InvoiceTime"]}
    with pytest.raises(RefusedError, match=r"missing 'InvoiceTime' \(mapped to invoiced_at, line 15\);"):
        map_rows(lines({}), source(columns=columns), CONTRACT)


def test_a_fault_keeps_its_row_and_quotes_little() -> None:
    done = map_rows(lines({}, {"Quantity": "x" * 500, "UnitPrice": "?"}, {}), source(), CONTRACT)
    assert list(done.faults) == [2]
    assert done.faults[2] == {
        "quantity": f"{'x' * MAX_QUOTED!r} is not a whole number",
        "unit_price": "'?' is not a finite number",
    }
    assert done.rows["row"].to_pylist() == [1, 2, 3]


def test_a_missing_cell_is_not_a_typing_fault() -> None:
    done = map_rows(lines(dict.fromkeys(LINE, None)), source(), CONTRACT)
    assert done.faults == {}
    assert done.rows["is_product"].to_pylist() == [None]


def test_an_optional_column_may_be_missing() -> None:
    columns = {name: of for name, of in COLUMNS.items() if name not in ("customer_id", "description", "country")}
    rows = lines({})
    rows = Rows(rows.table.select(list(columns.values())), rows.numbers)
    done = map_rows(rows, source(columns=columns), CONTRACT)
    assert done.rows["customer_id"].to_pylist() == [None]
    assert done.rows.schema.names == [name for name in CONTRACT.schema.names if name != "delivery"]


def test_types_are_the_contracts() -> None:
    done = map_rows(lines({}), source(), CONTRACT)
    assert all(done.rows.schema.field(name).type == CONTRACT.schema.field(name).type for name in done.rows.column_names)


# Columns.


def test_all_missing_and_unexpected_columns_are_reported_at_once() -> None:
    rows = lines({})
    renamed = rows.table.rename_columns({"Quantity": "Qty", "UnitPrice": "Price"})
    with pytest.raises(RefusedError) as refusal:
        map_rows(Rows(renamed, rows.numbers), source(), CONTRACT)
    text = str(refusal.value)
    for part in ("'Quantity' (mapped to quantity, line 13)", "'UnitPrice'", "unexpected 'Price', 'Qty'", "line 7"):
        assert part in text


def test_unwanted_columns_can_be_ignored() -> None:
    rows = lines({"Till": "1", "_row": "7"})
    assert map_rows(rows, source(ignore=["Till", "_row"]), CONTRACT).rows["row"].to_pylist() == [1]
    with pytest.raises(RefusedError, match="unexpected '_row'"):
        map_rows(rows, source(ignore=["Till"]), CONTRACT)


def test_all_other_columns_can_be_ignored_at_once() -> None:
    rows = lines({"Till": "1", "Cashier": "Ann"})
    assert map_rows(rows, source(ignore="*"), CONTRACT).faults == {}
    assert map_rows(rows, source(ignore=["*"]), CONTRACT).faults == {}
    renamed = rows.table.rename_columns({"Quantity": "Qty"})
    with pytest.raises(RefusedError, match=r"missing 'Quantity' \(mapped to quantity, line 13\); the header"):
        map_rows(Rows(renamed, rows.numbers), source(ignore="*"), CONTRACT)


def test_one_column_can_be_ignored_without_a_list() -> None:
    assert map_rows(lines({"Till": "1"}), source(ignore="Till"), CONTRACT).faults == {}


# Formulas and constants.

PER_UNIT = {**COLUMNS, "unit_price": {"formula": "Sales / Quantity"}}


def computed(changes: dict[str, str | None], **columns: Any) -> MappedRows:
    """One line with `Sales` in place of `UnitPrice`."""
    line = lines({"Sales": "10.5", **changes})
    return map_rows(line, source(columns={**PER_UNIT, **columns}, ignore="*"), CONTRACT)


@pytest.mark.parametrize(
    ("formula", "price"),
    [
        ("Sales / Quantity", 1.75),
        ("(Sales - 1.5) / Quantity", 1.5),
        ("-Sales + 12", 1.5),
        ("12 - -Sales", 22.5),
        ("'Sales' + .5", 11.0),
        ("+Sales", 10.5),
        ("1e1 * Sales", 105.0),
    ],
)
def test_a_price_can_be_computed_from_other_columns(formula: str, price: float) -> None:
    done = computed({}, unit_price={"formula": formula})
    assert (done.rows["unit_price"].to_pylist(), done.faults) == ([price], {})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"Quantity": "0"}, "Sales / Quantity divides by zero"),
        ({"Sales": " "}, "Sales / Quantity cannot be computed without Sales"),
        ({"Sales": None, "Quantity": None}, "Sales / Quantity cannot be computed without Sales, Quantity"),
        ({"Sales": "ten"}, "'ten' is not a finite number (Sales)"),
        ({"Sales": "inf", "Quantity": None}, "'inf' is not a finite number (Sales)"),
        ({"Sales": "1e308", "Quantity": "1e-308"}, "Sales / Quantity is not a finite number (inf)"),
    ],
)
def test_a_row_without_a_result_has_a_reason(changes: dict[str, str | None], reason: str) -> None:
    done = computed(changes)
    assert done.rows["unit_price"].to_pylist() == [None]
    assert done.faults[1]["unit_price"] == reason


def test_a_divisor_of_zero_inside_a_formula_is_a_fault_even_if_the_result_is_a_number() -> None:
    done = computed({"Quantity": "0"}, unit_price={"formula": "1 / (1 / Quantity)"})
    assert done.faults[1]["unit_price"] == "1 / (1 / Quantity) divides by zero"


def test_only_the_rows_without_a_result_have_a_fault() -> None:
    rows = lines({"Sales": "10"}, {"Sales": "x"}, {"Sales": "5", "Quantity": "0"}, {"Sales": "6"})
    done = map_rows(rows, source(columns=PER_UNIT, ignore="UnitPrice"), CONTRACT)
    assert done.rows["unit_price"].to_pylist() == [10 / 6, None, None, 1.0]
    assert list(done.faults) == [2, 3]


def test_a_computed_whole_number_may_have_a_rounding_error_and_no_fraction() -> None:
    quantity = {"quantity": {"formula": "Sales / UnitPrice"}, "unit_price": "UnitPrice"}
    columns = {**COLUMNS, **quantity}
    done = map_rows(lines({"Sales": "15.3"}), source(columns=columns, ignore="Quantity"), CONTRACT)
    assert 15.3 / 2.55 != 6
    assert (done.rows["quantity"].to_pylist(), done.faults) == ([6], {})
    done = map_rows(lines({"Sales": "15.31"}), source(columns=columns, ignore="Quantity"), CONTRACT)
    assert done.faults[1]["quantity"].startswith("Sales / UnitPrice is not a whole number (6.00")


def test_numbers_in_a_formula_have_the_decimal_mark_of_the_delivery() -> None:
    form = {"decimal": ",", "delimiter": ";"}
    line = lines({"Sales": "10,5"})
    done = map_rows(line, source(columns=PER_UNIT, ignore="UnitPrice", format=form), CONTRACT)
    assert done.rows["unit_price"].to_pylist() == [1.75]


def test_an_optional_column_is_missing_where_every_operand_is() -> None:
    contract = CONTRACTS["stores"]
    columns = {name: name for name in ("store", "store_type", "assortment", "promo2")}
    spec = Source.model_validate(
        {"from": "x", "columns": {**columns, "competition_distance": {"formula": "Kilometres * 1000"}}}
    )
    of = NamedSource("stores", "list", spec, "UTC", "sources.yaml, line 7", dict.fromkeys(spec.columns, 8))
    table = pa.table({**{name: ["1", "1"] for name in columns}, "Kilometres": pa.array(["1.5", None])})
    done = map_rows(Rows(table, pa.array([1, 2])), of, contract)
    assert (done.rows["competition_distance"].to_pylist(), done.faults) == ([1500.0, None], {})


def test_a_column_of_a_formula_that_is_missing_refuses_the_delivery() -> None:
    with pytest.raises(RefusedError, match=r"missing 'Sales' \(mapped to unit_price, line 14\)"):
        map_rows(lines({}), source(columns=PER_UNIT, ignore="*"), CONTRACT)


def test_a_constant_fills_its_column() -> None:
    columns = {**COLUMNS, "country": {"value": "United Kingdom"}, "quantity": {"value": 1}}
    rows = lines({}, {"Country": "EIRE"})
    done = map_rows(rows, source(columns=columns, ignore=["Country", "Quantity"]), CONTRACT)
    assert done.rows["country"].to_pylist() == ["United Kingdom"] * 2
    assert done.rows["quantity"].to_pylist() == [1, 1]


def test_columns_are_joined_with_a_blank_whatever_their_type() -> None:
    columns = {**COLUMNS, "invoice": ["CustomerID", "InvoiceDate"]}
    done = map_rows(lines({"CustomerID": " 17850.0 "}), source(columns=columns, ignore="InvoiceNo"), CONTRACT)
    assert done.rows["invoice"].to_pylist() == ["17850 2010-12-01 08:26:00"]


# Exact repeats.


def test_exact_repeats_are_the_later_ones() -> None:
    rows = lines({}, {"Quantity": "7"}, {}, {"CustomerID": None}, {}, {"CustomerID": None})
    assert exact_repeats(rows).tolist() == [3, 5, 6]
    assert exact_repeats(lines({}, {"Quantity": "6.0"})).tolist() == []


def test_repeats_are_compared_in_ignored_columns_too() -> None:
    assert exact_repeats(lines({"_row": "1"}, {"_row": "2"}, {"_row": "1"})).tolist() == [3]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["1", None])), min_size=1, max_size=30))
@settings(deadline=None, max_examples=50)
def test_repeats_are_rows_less_distinct_rows(cells: list[tuple[str, str | None]]) -> None:
    table = pa.table({"a": [a for a, _ in cells], "b": pa.array([b for _, b in cells], pa.string())})
    repeats = exact_repeats(Rows(table, pa.array(range(1, len(cells) + 1), pa.int64())))
    assert len(repeats) == len(cells) - len(set(cells))
    assert {cell for n, cell in enumerate(cells, 1) if n not in repeats} == set(cells)


# Defects of the simulated shop.

TYPING = {
    Defect.TEXT_QUANTITY: "quantity",
    Defect.FRACTIONAL_QUANTITY: "quantity",
    Defect.TEXT_PRICE: "unit_price",
    Defect.NAN_PRICE: "unit_price",
    Defect.INFINITE_PRICE: "unit_price",
    Defect.OTHER_DATE_FORMAT: "invoiced_at",
}


@pytest.fixture(scope="module")
def delivery() -> bytes:
    shop = Shop.from_uri("simulate://shop?seed=7&customers=300")
    return csv_bytes(shop.lines(dt.date(2025, 3, 3), dt.date(2025, 3, 5)))


def test_each_planted_fault_is_found_in_its_row_and_no_other(delivery: bytes) -> None:
    data, planted = plant(delivery, {**dict.fromkeys(TYPING, 3), Defect.SHORT_ROW: 2, Defect.REPEATED_HEADER: 1})
    rows = read_rows(data, "x.csv", source().spec.format)
    done = map_rows(rows, source(), CONTRACT)
    assert {m.row for m in rows.malformed} == {p.row for p in planted if p.defect is Defect.SHORT_ROW}
    by_row = {p.row: p.defect for p in planted if p.defect is not Defect.SHORT_ROW}
    assert set(done.faults) == set(by_row)
    for row, defect in by_row.items():
        assert row is not None
        wanted = {"quantity", "unit_price", "invoiced_at"} if defect is Defect.REPEATED_HEADER else {TYPING[defect]}
        assert set(done.faults[row]) == wanted
    assert rows.total_rows == delivery.count(b"\n") - 1


@pytest.mark.parametrize(
    ("defect", "what"),
    [
        (Defect.EMPTY_FILE, "is empty"),
        (Defect.HEADER_ONLY, "a header and no rows"),
        (Defect.TRUNCATED, "The delivery ends inside a quoted field"),
        (Defect.WRONG_DELIMITER, "another delimiter"),
        (Defect.WRONG_ENCODING, "encoding"),
        (Defect.DUPLICATE_COLUMN, "more than once"),
        (Defect.MISSING_COLUMN, "missing 'UnitPrice'"),
        (Defect.EXTRA_COLUMN, "unexpected 'Till'"),
    ],
)
def test_each_planted_fault_of_the_file_refuses_it(delivery: bytes, defect: Defect, what: str) -> None:
    data, _ = plant(delivery, {defect: 1})
    with pytest.raises(RefusedError, match=what):
        map_rows(read_rows(data, "x.csv", source().spec.format), source(), CONTRACT)


# Identifiers that are none


@pytest.mark.parametrize("cell", ["nan", "NaN", "None", "NULL", " null ", "<NA>", "NaT"])
def test_what_programs_write_for_a_missing_identifier_is_missing(cell: str) -> None:
    assert typed("customer_id", cell) == (None, None)
    assert typed("description", cell) == (cell.strip(), None), "a text may be any word"


@pytest.mark.parametrize("cell", ["Nancy", "nan1", "NONE-1", "0", "null null"])
def test_what_only_resembles_it_is_an_identifier(cell: str) -> None:
    assert typed("customer_id", cell) == (cell, None)


@pytest.mark.parametrize(
    "character",
    ["\x00", "\x1b", "\x7f", "\x9b", "\t", "\n", "\u00ad", "\u200b", "\u200f", "\u2028", "\u202e", "\u2066", "\ufeff"],
    ids=ascii,
)
def test_an_identifier_with_a_character_that_cannot_be_seen_is_quarantined(character: str) -> None:
    value, reason = typed("customer_id", f"12{character}34")
    assert value is None
    assert reason == f"{f'12{character}34'!r} has a character that cannot be seen"
    assert typed("description", f"12{character}34")[1] is None


@pytest.mark.parametrize("cell", ["é", "日本", "A\u200cB", "🙂", "A B", "12\u00a034"])
def test_letters_of_any_script_are_identifiers(cell: str) -> None:
    assert typed("customer_id", cell) == (cell, None)


def test_a_word_that_is_replaced_is_no_missing_value() -> None:
    columns = {**COLUMNS, "customer_id": {"from": "CustomerID", "values": {"None": "guest"}}}
    done = map_rows(lines({"CustomerID": "None"}, {"CustomerID": "nan"}), source(columns=columns), CONTRACT)
    assert done.rows["customer_id"].to_pylist() == ["guest", None]
    assert done.faults == {}


def test_a_missing_part_of_a_joined_identifier_is_left_out() -> None:
    columns = {**COLUMNS, "invoice": ["CustomerID", "StockCode"], "description": ["CustomerID", "StockCode"]}
    done = map_rows(
        lines({"CustomerID": "nan", "StockCode": "1"}),
        source(columns=columns, ignore=["InvoiceNo", "Description"]),
        CONTRACT,
    )
    assert done.rows["invoice"].to_pylist() == ["1"]
    assert done.rows["description"].to_pylist() == ["nan 1"]


@pytest.mark.parametrize("brand", ["\u202eA", "a\x1b", "nan", "None"], ids=ascii)
def test_a_brand_that_is_no_identifier_refuses_the_delivery(brand: str) -> None:
    columns = {"person": "ID", "day": "Day", "bought": "B", "brand": "Brand", "quantity": "Q", "price": "Price_{brand}"}
    visits = NamedSource(
        "visits",
        "shelf",
        Source.model_validate({"from": "x", "columns": columns}),
        "UTC",
        "here",
        dict.fromkeys(columns, 1),
    )
    table = pa.table({name: ["1"] for name in ("ID", "Day", "B", "Brand", "Q", "Price_1", f"Price_{brand}")})
    with pytest.raises(RefusedError, match="characters that cannot be seen, or for a missing value"):
        map_rows(Rows(table, pa.array([1])), visits, CONTRACTS["visits"])


# A delivery of which no line could be split


@pytest.mark.parametrize("table", list(CONTRACTS))
@pytest.mark.parametrize("chunks", [0, 1])
def test_no_row_is_mapped_to_no_row(table: str, chunks: int) -> None:
    named = load_sources(Settings(sources=ROOT / "sources.yaml")).get(table)
    names = [name.replace("{brand}", "1") for name in named.spec.known_columns]
    column = pa.chunked_array([pa.array([], pa.string())] * chunks, pa.string())
    empty = pa.table(dict.fromkeys(names, column))
    done = map_rows(Rows(empty, pa.array([], pa.int64())), named, CONTRACTS[table])
    assert done.rows.num_rows == 0
    assert done.faults == {}


CELL = st.text(max_size=12) | st.sampled_from(["", "nan", "1", "-1.5", "2025-01-31", "\x00"])


@given(st.lists(st.lists(CELL, min_size=8, max_size=8), max_size=4))
@settings(max_examples=80, deadline=None)
def test_any_cells_are_typed_missing_or_faulty(cells: list[list[str]]) -> None:
    table = pa.table(
        {name: pa.array([row[n] or None for row in cells], pa.string()) for n, name in enumerate(COLUMNS.values())}
    )
    done = map_rows(Rows(table, pa.array(range(1, len(cells) + 1), pa.int64())), source(), CONTRACT)
    assert done.rows.num_rows == len(cells)
    assert set(done.faults) <= set(range(1, len(cells) + 1))
    done.rows.validate(full=True)
