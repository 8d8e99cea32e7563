"""Customer features against a plain, slow reference, at the edges of their definitions, and as of a day."""

from __future__ import annotations

import datetime as dt
import statistics
from collections import Counter
from functools import cache
from itertools import pairwise
from typing import Any

import duckdb
import ibis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.customers.features import FEATURE_COLUMNS, customer_features, guest_revenue, product_lines
from pipeline.errors import UsageError

AS_OF = dt.date(2024, 3, 15)  # a Friday
MIDNIGHT = dt.datetime.combine(AS_OF, dt.time.min)
HOME = "United Kingdom"
SCHEMA = pa.schema(
    {
        "invoice": pa.string(),
        "stock_code": pa.string(),
        "quantity": pa.int64(),
        "unit_price": pa.float64(),
        "invoiced_at": pa.timestamp("us"),
        "customer_id": pa.string(),
        "country": pa.string(),
        "kind": pa.string(),
        "is_product": pa.bool_(),
    }
)

Line = dict[str, Any]
Row = dict[str, Any]


def line(days_ago: float = 10, invoice: str = "1", quantity: int = 1, unit_price: float = 2.0, **other: Any) -> Line:
    """One invoice line, noon-based: `days_ago=1` is yesterday at noon."""
    values = {
        "invoice": invoice,
        "stock_code": "85123A",
        "quantity": quantity,
        "unit_price": unit_price,
        "invoiced_at": MIDNIGHT - dt.timedelta(days=days_ago) + dt.timedelta(hours=12),
        "customer_id": "17850",
        "country": HOME,
        "is_product": True,
    } | other
    adjustment = values["unit_price"] == 0 or str(values["invoice"]).startswith("A")
    return values | {"kind": "adjustment" if adjustment else "return" if values["quantity"] < 0 else "sale"}


@cache
def query(as_of: dt.date, window_days: int) -> str:
    """Compiled once for each day and window, which costs more than running it on few lines."""
    table = ibis.table(ibis.Schema.from_pyarrow(SCHEMA), name="transactions")
    features = customer_features(table, as_of, window_days=window_days, home_country=HOME)
    return str(ibis.to_sql(features, dialect="duckdb", pretty=False))


def features(lines: list[Line], as_of: dt.date = AS_OF, window_days: int = 365) -> dict[str, Row]:
    with duckdb.connect(config={"threads": 1}) as engine:
        engine.register("transactions", pa.Table.from_pylist(lines, schema=SCHEMA))
        rows = engine.sql(query(as_of, window_days)).to_arrow_table().to_pylist()
    by_customer = {row["customer_id"]: row for row in rows}
    assert len(by_customer) == len(rows), "more than one row for a customer"
    return by_customer


def only(lines: list[Line], window_days: int = 365) -> Row:
    (row,) = features(lines, window_days=window_days).values()
    return row


def reference(lines: list[Line], as_of: dt.date, window_days: int) -> dict[str, Row]:
    """The same definitions, written for reading: a customer at a time, a feature at a time."""
    until = dt.datetime.combine(as_of, dt.time.min)
    since = until - dt.timedelta(days=window_days)
    months = max(1, round(window_days / 30))
    known = [
        x
        for x in lines
        if since <= x["invoiced_at"] < until
        and x["is_product"]
        and x["kind"] in ("sale", "return")
        and x["customer_id"] is not None
    ]
    result = {}
    for customer in {x["customer_id"] for x in known if x["kind"] == "sale"}:
        own = [x for x in known if x["customer_id"] == customer]
        sales = [x for x in own if x["kind"] == "sale"]
        returns = [x for x in own if x["kind"] == "return"]
        bought = sorted({x["invoice"] for x in sales})
        cancelled = {x["invoice"] for x in own} - set(bought)
        at = {i: min(x["invoiced_at"] for x in own if x["invoice"] == i) for i in {x["invoice"] for x in own}}
        days = {i: (as_of - at[i].date()).days for i in at}
        month = {i: (days[i] - 1) * months // window_days for i in at}
        sold = sum(x["quantity"] * x["unit_price"] for x in sales)
        oldest = max(month[i] for i in bought)
        spend = [
            sum(x["quantity"] * x["unit_price"] for x in own if month[x["invoice"]] == k) for k in range(oldest, -1, -1)
        ]
        gaps = [(b - a).total_seconds() / 86_400 for a, b in pairwise(sorted(at[i] for i in bought))]
        countries = {i: {x["country"] for x in own if x["invoice"] == i} - {None} for i in bought}
        home = [HOME in named for named in countries.values() if named]

        def commonest(values: list[int]) -> int:
            counts = Counter(values)
            return min(v for v, count in counts.items() if count == max(counts.values()))

        result[customer] = {
            "recency_days": min(days[i] for i in bought),
            "invoices": len(bought),
            "units": sum(x["quantity"] for x in sales),
            "revenue": sum(x["quantity"] * x["unit_price"] for x in own),
            "average_ticket": sold / len(bought),
            "distinct_products": len({x["stock_code"] for x in sales}),
            "days_between_invoices": statistics.fmean(gaps) if gaps else window_days,
            "favourite_weekday": commonest([at[i].weekday() for i in bought]),
            "favourite_hour": commonest([at[i].hour for i in bought]),
            "is_home_country": float(sum(home) * 2 >= len(home)) if home else None,
            "cancellations": len(cancelled),
            "cancellation_rate": len(cancelled) / (len(cancelled) + len(bought)),
            "monthly_spend_mean": statistics.fmean(spend),
            "monthly_spend_std": statistics.pstdev(spend),
            "monthly_spend_trend": (
                statistics.linear_regression(range(len(spend)), spend).slope if len(spend) > 1 else 0.0
            ),
            "return_units": -sum(x["quantity"] for x in returns),
            "purchase_frequency": len(bought) / max(30, max(days[i] for i in bought)) * 30,
            "median_basket_units": statistics.median(
                sum(x["quantity"] for x in sales if x["invoice"] == i) for i in bought
            ),
        }
    return result


def known(row: Row) -> Row:
    """The features that are not missing."""
    return {name: row[name] for name in FEATURE_COLUMNS if row[name] is not None}


# Few values of each, so that ties, shared invoices, exchanges and bounds come up in small examples.
lines_of_a_shop = st.lists(
    st.builds(
        line,
        days_ago=st.one_of(st.integers(-3, 50), st.sampled_from([0.5, 1.5, 7.5, 45.5, 364.5, 365.5, 366.5, 100, 400])),
        invoice=st.sampled_from(["1", "2", "3", "4", "5", "C6", "A7"]),
        quantity=st.integers(-6, 12).filter(bool),
        unit_price=st.sampled_from([0.0, 0.05, 0.1, 2.55, 3.0, 649.5]),
        customer_id=st.sampled_from([None, "a", "b"]),
        stock_code=st.sampled_from(["20000", "20001", "20002"]),
        country=st.sampled_from([None, HOME, "France"]),
        is_product=st.sampled_from([True, True, True, False]),
    ),
    max_size=40,
)
property_test = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@property_test
@given(lines=lines_of_a_shop, window_days=st.sampled_from([1, 7, 45, 365]))
def test_agrees_with_the_reference(lines: list[Line], window_days: int) -> None:
    ours, expected = features(lines, window_days=window_days), reference(lines, AS_OF, window_days)
    assert ours.keys() == expected.keys()
    for customer, row in expected.items():
        assert known(ours[customer]) == pytest.approx(known(row), rel=1e-9, abs=1e-9)


@property_test
@given(lines=lines_of_a_shop, seed=st.randoms())
def test_knows_nothing_after_as_of_and_nothing_of_the_order_of_rows(lines: list[Line], seed: Any) -> None:
    cut = [x for x in lines if x["invoiced_at"] < MIDNIGHT]
    seed.shuffle(cut)
    assert features(lines) == features(cut)


def sample(seed: int, size: int) -> list[Line]:
    """A year and a half of a shop with heavy repeat buyers, guests and returns."""
    rng = np.random.default_rng(seed)
    drawn = zip(
        rng.integers(-60, 480, size),
        rng.integers(0, 86_400, size),
        rng.integers(0, size // 3, size),
        rng.geometric(0.2, size) * rng.choice([1, -1], size, p=[0.9, 0.1]),
        rng.gamma(2.0, 2.0, size).round(2) + 0.01,
        (size / 10 * rng.random(size) ** 2).astype(int),
        rng.integers(0, 200, size),
        strict=True,
    )
    return [
        line(
            invoice=str(invoice),
            quantity=int(quantity),
            unit_price=float(price),
            customer_id=str(customer) if customer % 7 else None,
            stock_code=str(code),
            invoiced_at=MIDNIGHT - dt.timedelta(days=int(days)) + dt.timedelta(seconds=int(seconds)),
        )
        for days, seconds, invoice, quantity, price, customer, code in drawn
    ]


@pytest.mark.parametrize("days_earlier", [0, 1, 45, 200])
def test_a_larger_sample_as_of_several_days(days_earlier: int) -> None:
    as_of, lines = AS_OF - dt.timedelta(days=days_earlier), sample(seed=7, size=3_000)
    until = dt.datetime.combine(as_of, dt.time.min)
    ours = features(lines, as_of)
    assert ours == features([x for x in lines if x["invoiced_at"] < until], as_of)
    expected = reference(lines, as_of, 365)
    assert len(expected) > 100
    assert ours.keys() == expected.keys()
    for customer, row in expected.items():
        assert known(ours[customer]) == pytest.approx(known(row), rel=1e-9, abs=1e-9)


def test_shape() -> None:
    table = ibis.memtable(pa.Table.from_pylist(sample(seed=3, size=500), schema=SCHEMA))
    rows = customer_features(table, AS_OF, home_country=HOME).to_pyarrow()
    assert rows.column_names == ["customer_id", "as_of", *FEATURE_COLUMNS]
    assert rows.schema.field("as_of").type == pa.date32()
    assert set(rows["as_of"].to_pylist()) == {AS_OF}
    for name in FEATURE_COLUMNS:
        assert rows.schema.field(name).type == pa.float64(), name
        assert rows[name].null_count == 0, name
        assert np.isfinite(rows[name].to_numpy()).all(), name


def test_a_single_invoice_has_documented_values_where_the_definition_has_none() -> None:
    row = only([line(days_ago=1, quantity=3, unit_price=2.5)])
    assert row["recency_days"] == 1
    assert row["invoices"] == 1
    assert row["average_ticket"] == row["revenue"] == row["monthly_spend_mean"] == 7.5
    assert row["days_between_invoices"] == 365
    assert row["monthly_spend_std"] == row["monthly_spend_trend"] == 0
    assert row["purchase_frequency"] == 1  # not 30
    assert row["cancellation_rate"] == 0
    assert (row["favourite_weekday"], row["favourite_hour"]) == (3, 12)  # Thursday noon


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="no lines"),
        pytest.param([line(quantity=-2, invoice="C1")], id="only returns"),
        pytest.param([line(customer_id=None)], id="only guests"),
        pytest.param([line(unit_price=0.0)], id="only adjustments: free of charge"),
        pytest.param([line(invoice="A506401", unit_price=11.0)], id="only adjustments: bad debt"),
        pytest.param([line(is_product=False, stock_code="POST")], id="only postage"),
        pytest.param([line(days_ago=0), line(days_ago=366)], id="only outside the window"),
    ],
)
def test_without_a_product_sale_of_a_customer_in_the_window_there_is_no_row(lines: list[Line]) -> None:
    assert features(lines) == {}


def test_what_does_not_count_changes_nothing() -> None:
    counted = [line(days_ago=40), line(days_ago=3, invoice="2", quantity=4)]
    ignored = [
        line(days_ago=2, invoice="3", customer_id=None),
        line(days_ago=2, invoice="4", unit_price=0.0, stock_code="22139"),
        line(days_ago=2, invoice="2", unit_price=18.0, stock_code="POST", is_product=False),
        line(days_ago=400, invoice="5"),
        line(days_ago=0, invoice="6"),
    ]
    assert features(counted + ignored) == features(counted)


def test_the_window_holds_its_first_midnight_and_not_its_last() -> None:
    first, last = MIDNIGHT - dt.timedelta(days=365), MIDNIGHT
    inside = [line(invoiced_at=first), line(invoice="2", invoiced_at=last - dt.timedelta(microseconds=1))]
    outside = [
        line(invoice="3", invoiced_at=first - dt.timedelta(microseconds=1)),
        line(invoice="4", invoiced_at=last),
    ]
    row = only(inside + outside)
    assert row["invoices"] == 2
    assert row["recency_days"] == 1
    assert row["days_between_invoices"] == pytest.approx(365, abs=1e-4)


def test_returns_of_purchases_before_the_window() -> None:
    row = only([line(days_ago=200, invoice="C1", quantity=-10, unit_price=9.0), line(days_ago=5, invoice="2")])
    assert row["revenue"] == -88
    assert (row["units"], row["return_units"], row["average_ticket"]) == (1, 10, 2)
    assert (row["cancellations"], row["cancellation_rate"]) == (1, 0.5)
    # The months start with the first purchase, so the return of an earlier one weighs on none of them.
    assert (row["monthly_spend_mean"], row["monthly_spend_std"]) == (2, 0)


def test_an_exchange_on_one_invoice_is_a_purchase() -> None:
    row = only([line(quantity=5), line(quantity=-2, stock_code="22423", unit_price=1.0)])
    assert (row["invoices"], row["cancellations"], row["distinct_products"]) == (1, 0, 1)
    assert (row["revenue"], row["average_ticket"], row["median_basket_units"]) == (8, 10, 5)


def test_ties_go_to_the_earlier_weekday_and_hour() -> None:
    monday, thursday = dt.datetime(2024, 3, 11, 17), dt.datetime(2024, 3, 7, 9)
    row = only([line(invoiced_at=thursday), line(invoice="2", invoiced_at=monday)])
    assert (row["favourite_weekday"], row["favourite_hour"]) == (0, 9)
    row = only(
        [line(invoiced_at=thursday), line(invoice="2", invoiced_at=monday), line(invoice="3", invoiced_at=thursday)]
    )
    assert (row["favourite_weekday"], row["favourite_hour"], row["days_between_invoices"]) == (3, 9, 2 + 1 / 6)


def test_favourites_count_invoices_not_lines() -> None:
    monday, tuesday = dt.datetime(2024, 3, 11, 17), dt.datetime(2024, 3, 12, 9)
    one_large = [line(invoiced_at=monday, stock_code=str(k)) for k in range(9)]
    two_small = [line(invoice="2", invoiced_at=tuesday), line(invoice="3", invoiced_at=tuesday)]
    row = only(one_large + two_small)
    assert (row["favourite_weekday"], row["favourite_hour"]) == (1, 9)


def test_months_without_purchases_count_as_zero() -> None:
    # 365 days are twelve months of 30 or 31; the third month back holds the first purchase, the latest holds the last.
    row = only([line(days_ago=80, quantity=3), line(days_ago=2, invoice="2", quantity=6)])
    assert row["monthly_spend_mean"] == pytest.approx((6 + 0 + 12) / 3)
    assert row["monthly_spend_std"] == pytest.approx(statistics.pstdev([6, 0, 12]))
    assert row["monthly_spend_trend"] == pytest.approx(3)


def test_home_country_is_named_by_at_least_half_of_the_purchases_that_name_one() -> None:
    home, abroad, unknown = (line(invoice=str(k), country=country) for k, country in enumerate([HOME, "Norway", None]))
    assert only([home])["is_home_country"] == 1
    assert only([home, abroad])["is_home_country"] == 1
    assert only([home, abroad, unknown])["is_home_country"] == 1
    assert only([abroad, unknown])["is_home_country"] == 0


def test_without_any_country_it_is_not_known_whether_a_customer_is_foreign() -> None:
    unknown = [line(invoice=str(k), country=None) for k in range(3)]
    assert only(unknown)["is_home_country"] is None


def test_money_sums_do_not_depend_on_the_order_of_rows() -> None:
    lines = [line(invoice=str(k % 5), days_ago=k % 300 + 1, unit_price=0.1 + k / 100, quantity=3) for k in range(500)]
    assert features(lines) == features(lines[::-1])
    assert only([line(unit_price=0.1), line(unit_price=0.2)])["revenue"] == 0.3  # 0.1 + 0.2 is not, in floating point


def test_customers_do_not_mix_even_under_one_invoice_number() -> None:
    rows = features([line(customer_id="a", quantity=2), line(customer_id="b", quantity=7)])
    assert {customer: row["units"] for customer, row in rows.items()} == {"a": 2, "b": 7}


@pytest.mark.parametrize("window_days", [0, -1])
def test_an_empty_window_is_refused(window_days: int) -> None:
    table = ibis.memtable(pa.Table.from_pylist([line()], schema=SCHEMA))
    with pytest.raises(UsageError, match="window_days"):
        customer_features(table, AS_OF, window_days=window_days, home_country=HOME)
    with pytest.raises(UsageError, match="window_days"):
        guest_revenue(product_lines(table, AS_OF, window_days))


def guests(lines: list[Line]) -> Row:
    table = ibis.memtable(pa.Table.from_pylist(lines, schema=SCHEMA))
    (row,) = guest_revenue(product_lines(table, AS_OF, 365)).to_pyarrow().to_pylist()
    return row


def test_guest_revenue() -> None:
    lines = [
        line(quantity=6),
        line(quantity=4, customer_id=None),
        line(quantity=-1, customer_id=None, invoice="C2"),
        line(quantity=50, customer_id=None, is_product=False),
        line(quantity=50, customer_id=None, days_ago=0),
        line(quantity=50, customer_id=None, days_ago=366),
    ]
    assert guests(lines) == {"guest_revenue": 6, "known_revenue": 12, "guest_share": pytest.approx(1 / 3)}


@pytest.mark.parametrize("lines", [[], [line(quantity=-1)]])
def test_guest_share_is_zero_where_nothing_was_earned(lines: list[Line]) -> None:
    assert guests(lines)["guest_share"] == 0
