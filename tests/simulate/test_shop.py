"""The simulated shop: reproducible lines, the statistics of a real shop, and the true attributes of customers."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.simulate.drift import Drift
from pipeline.simulate.invoices import LOOK_BACK
from pipeline.simulate.people import HOME, Segment
from pipeline.simulate.shop import SCHEMA, Shop

YEAR = (date(2025, 1, 1), date(2026, 1, 1))


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop()


@pytest.fixture(scope="module")
def table(shop: Shop) -> pa.Table:
    return shop.lines(*YEAR)


@pytest.fixture(scope="module")
def lines(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    return frame.assign(
        cancelled=frame["InvoiceNo"].str.startswith("C"),
        product=frame["StockCode"].str.match(r"^\d{5}[A-E]?$"),
        day=frame["InvoiceDate"].dt.date,
    )


@pytest.fixture(scope="module")
def sales(lines: pd.DataFrame) -> pd.DataFrame:
    return lines[lines["product"] & ~lines["cancelled"] & (lines["UnitPrice"] > 0)]


def test_the_same_shop_gives_the_same_lines(table: pa.Table) -> None:
    assert Shop().lines(*YEAR).equals(table)
    assert not Shop(seed=8).lines(*YEAR).equals(table)
    assert table.schema == SCHEMA


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 50),
    start=st.dates(date(2023, 12, 1), date(2026, 6, 1)),
    length=st.integers(0, 40),
    cut=st.integers(0, 40),
    drift_day=st.dates(date(2024, 1, 1), date(2026, 6, 1)),
    closed=st.sampled_from([(), (5,), (5, 6), (0, 1, 2, 3, 4, 5)]),
)
def test_any_slice_is_the_concatenation_of_its_parts(
    seed: int, start: date, length: int, cut: int, drift_day: date, closed: tuple[int, ...]
) -> None:
    drift = Drift(since=drift_day, prices=1.6, stops=Segment.REGULAR)
    shop = Shop(seed=seed, customers=150, closed=closed, drift=drift)
    end, middle = start + timedelta(days=length), start + timedelta(days=min(cut, length))
    parts = [shop.lines(start, middle), shop.lines(middle, end)]
    assert pa.concat_tables(parts).equals(shop.lines(start, end))


def test_returns_after_a_long_closure_do_not_depend_on_the_slice() -> None:
    # Open on Sundays only, and 2033-12-25 and 2034-01-01 are Sundays.
    shop = Shop(customers=5_000, closed=(0, 1, 2, 3, 4, 5), opened=date(2033, 1, 1))
    day = date(2034, 1, 8)
    whole = shop.lines(date(2033, 11, 1), day + timedelta(days=1)).to_pandas()
    alone = shop.lines(day, day + timedelta(days=1)).to_pandas()
    of_day = whole[whole["InvoiceDate"] >= f"{day}"].reset_index(drop=True)
    assert alone["InvoiceNo"].str.startswith("C").any()
    pd.testing.assert_frame_equal(alone, of_day)


def test_a_day_alone_is_the_day_within_its_year(shop: Shop, table: pa.Table, lines: pd.DataFrame) -> None:
    for day in (date(2025, 1, 2), date(2025, 7, 9), date(2025, 11, 30)):
        alone = shop.lines(day, day + timedelta(days=1))
        assert alone.equals(table.filter(pa.array(lines["day"] == day)))
        assert alone.num_rows > 0


def test_a_year_of_the_default_shop_is_small_and_lines_grow_with_its_customers(table: pa.Table) -> None:
    assert 40_000 <= table.num_rows <= 62_000
    months = (date(2025, 3, 1), date(2025, 6, 1))
    ratio = Shop(customers=9_000).lines(*months).num_rows / Shop().lines(*months).num_rows
    assert 7 < ratio < 13


def test_there_is_nothing_before_the_opening_nor_on_closed_days(lines: pd.DataFrame) -> None:
    assert Shop().lines(date(2023, 1, 1), date(2024, 1, 1)).num_rows == 0
    assert set(lines["InvoiceDate"].dt.weekday) == {0, 1, 2, 3, 4, 6}
    assert not {date(2025, 1, 1), date(2025, 12, 25)} & set(lines["day"])
    always = Shop(closed=()).lines(date(2025, 5, 1), date(2025, 6, 1)).to_pandas()
    assert set(always["InvoiceDate"].dt.weekday) == set(range(7))


def test_invoices_are_numbered_in_the_order_of_their_time_and_belong_to_one_customer(lines: pd.DataFrame) -> None:
    number = lines["InvoiceNo"].str.lstrip("CA").astype(int)
    assert number.is_monotonic_increasing
    assert lines["InvoiceDate"].is_monotonic_increasing
    by_invoice = lines.groupby("InvoiceNo")
    for column in ("InvoiceDate", "CustomerID", "Country"):
        assert (by_invoice[column].nunique() <= 1).all(), column


def test_the_lines_keep_the_contract_unless_asked_otherwise(lines: pd.DataFrame) -> None:
    assert (lines["Quantity"] != 0).all()
    assert (lines["UnitPrice"] >= 0).all()
    assert np.isfinite(lines["UnitPrice"]).all()
    assert (lines["UnitPrice"].round(2) == lines["UnitPrice"]).all()
    needed = ["InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "Country"]
    assert lines[needed].notna().all(axis=None)
    assert (lines.loc[lines["cancelled"], "Quantity"] < 0).all()
    assert (lines.loc[(lines["Quantity"] < 0) & ~lines["cancelled"], "UnitPrice"] == 0).all()


# The value of UCI Online Retail, after each line, is the middle of the range for a shop of this size.
@pytest.mark.parametrize(
    ("mark", "low", "high"),
    [
        ("guest lines", 0.18, 0.32),  # 0.249
        ("guest invoices", 0.09, 0.20),  # 0.143
        ("cancelled lines", 0.012, 0.025),  # 0.017
        ("lines at price 0", 0.003, 0.007),  # 0.0046
        ("lines without a description", 0.001, 0.005),  # 0.0027
        ("lines with blanks around the description", 0.15, 0.30),  # 0.212
        ("lines of the home country", 0.85, 0.96),  # 0.914
        ("exact repeats", 0.003, 0.02),  # 0.0097
        ("median quantity", 2, 5),  # 3
        ("99 % quantity", 60, 150),  # 100
        ("median price", 1.5, 3.0),  # 2.08
        ("99 % price", 12, 40),  # 17
        ("invoices a customer", 3, 6),  # 4.3
        ("revenue of the top fifth of customers", 0.65, 0.90),  # 0.746
        ("November over February, invoices", 1.8, 3.2),  # 2.5
        ("Sunday over Tuesday, invoices", 0.4, 0.9),  # 0.66
    ],
)
def test_statistics_of_a_real_shop(
    lines: pd.DataFrame, sales: pd.DataFrame, mark: str, low: float, high: float
) -> None:
    known = sales[sales["CustomerID"].notna()]
    revenue = (known["Quantity"] * known["UnitPrice"]).groupby(known["CustomerID"]).sum()
    by_month = sales.groupby(sales["InvoiceDate"].dt.month)["InvoiceNo"].nunique()
    by_weekday = sales.groupby(sales["InvoiceDate"].dt.weekday)["InvoiceNo"].nunique()
    source = lines[SCHEMA.names]
    description = source["Description"]
    observed = {
        "guest lines": source["CustomerID"].isna().mean(),
        "guest invoices": source.groupby("InvoiceNo")["CustomerID"].first().isna().mean(),
        "cancelled lines": lines["cancelled"].mean(),
        "lines at price 0": (source["UnitPrice"] == 0).mean(),
        "lines without a description": description.isna().mean(),
        "lines with blanks around the description": (description.dropna() != description.dropna().str.strip()).mean(),
        "lines of the home country": (source["Country"] == HOME).mean(),
        "exact repeats": source.duplicated().mean(),
        "median quantity": sales["Quantity"].median(),
        "99 % quantity": sales["Quantity"].quantile(0.99),
        "median price": sales["UnitPrice"].median(),
        "99 % price": sales["UnitPrice"].quantile(0.99),
        "invoices a customer": known.groupby("CustomerID")["InvoiceNo"].nunique().mean(),
        "revenue of the top fifth of customers": revenue.nlargest(len(revenue) // 5).sum() / revenue.sum(),
        "November over February, invoices": by_month[11] / by_month[2],
        "Sunday over Tuesday, invoices": by_weekday[6] / by_weekday[1],
    }
    assert low <= observed[mark] <= high


def test_special_codes_and_dirty_descriptions_occur(lines: pd.DataFrame) -> None:
    codes = set(lines.loc[~lines["product"], "StockCode"])
    assert {"POST", "DOT", "C2", "M", "D", "S", "BANK CHARGES", "AMAZONFEE"} <= codes
    texts = set(lines["Description"].dropna())
    assert {"?", "damaged", "check"} <= texts
    assert any(text.istitle() for text in texts)
    assert any('"' in text for text in texts)
    assert any("," in text for text in texts)
    assert any(not text.isascii() for text in texts)
    assert lines["Country"].nunique() >= 8


def test_cancelled_lines_were_bought_before_by_the_same_customer_at_the_same_price(lines: pd.DataFrame) -> None:
    key = ["CustomerID", "StockCode", "UnitPrice"]
    product = lines[lines["product"] & lines["CustomerID"].notna()]
    cancelled = product[product["cancelled"] & (product["InvoiceDate"] >= f"{YEAR[0] + timedelta(days=LOOK_BACK)}")]
    assert len(cancelled) > 300
    pairs = cancelled.reset_index().merge(product[~product["cancelled"]], on=key, suffixes=("", "_bought"))
    gap = (pairs["InvoiceDate"].dt.normalize() - pairs["InvoiceDate_bought"].dt.normalize()).dt.days
    fits = gap.between(1, LOOK_BACK) & (-pairs["Quantity"] <= pairs["Quantity_bought"])
    assert set(pairs.loc[fits, "index"]) == set(cancelled.index)


def test_the_truth_has_every_customer_who_buys(shop: Shop, lines: pd.DataFrame) -> None:
    truth = shop.truth(YEAR[1])
    assert truth["customer_id"].is_unique
    assert set(lines["CustomerID"].dropna()) <= set(truth["customer_id"])
    assert set(truth["segment"]) == set(Segment)
    assert (truth["joined"] < "2026-01-01").all()
    assert truth["left"].notna().equals(truth["segment"].isin([Segment.LAPSED, Segment.ONE_OFF]))
    assert len(shop.truth()) > len(truth)
    assert shop.truth(shop.opened).empty


def test_customers_buy_only_between_joining_and_leaving(shop: Shop, sales: pd.DataFrame) -> None:
    truth = shop.truth(YEAR[1]).set_index("customer_id")
    span = sales[sales["CustomerID"].notna()].groupby("CustomerID")["InvoiceDate"].agg(["min", "max"]).join(truth)
    assert (span["min"] >= span["joined"]).all()
    gone = span[span["left"].notna()]
    assert (gone["max"] < gone["left"]).all()
    newcomers = span["joined"] >= "2025-01-01"
    assert 0.2 < newcomers.mean() < 0.7


def test_one_offs_buy_once_on_the_day_they_join(shop: Shop, sales: pd.DataFrame) -> None:
    truth = shop.truth(YEAR[1])
    once = truth[(truth["segment"] == Segment.ONE_OFF) & (truth["joined"] >= "2025-01-01")]
    bought = sales[sales["CustomerID"].isin(once["customer_id"])].groupby("CustomerID")
    assert (bought["InvoiceNo"].nunique() == 1).all()
    assert len(bought) >= 0.98 * len(once)


@pytest.mark.parametrize("seed", [7, 1, 2])
def test_simple_statistics_separate_the_segments(seed: int) -> None:
    shop = Shop(seed=seed)
    frame = shop.lines(*YEAR).to_pandas()
    frame = frame[frame["CustomerID"].notna() & ~frame["InvoiceNo"].str.startswith("C")]
    frame["revenue"] = frame["Quantity"] * frame["UnitPrice"]
    figures = (
        frame.groupby("CustomerID")
        .agg(
            invoices=("InvoiceNo", "nunique"),
            pack=("Quantity", "median"),
            last=("InvoiceDate", "max"),
            revenue=("revenue", "sum"),
        )
        .join(shop.truth(YEAR[1]).set_index("customer_id"))
    )
    mean = figures.groupby("segment")["revenue"].mean()
    assert mean.idxmax() == Segment.INSIDER
    assert mean.idxmin() == Segment.ONE_OFF
    assert mean[Segment.INSIDER] > 1.5 * mean.drop(Segment.INSIDER).max()
    rules = {
        Segment.INSIDER: (figures["invoices"] >= 18) & (figures["pack"] < 18),
        Segment.RESELLER: figures["pack"] >= 18,
        Segment.ONE_OFF: figures["invoices"] == 1,
    }
    for segment, rule in rules.items():
        planted = figures["segment"] == segment
        assert (rule & planted).sum() >= 0.8 * planted.sum(), segment
    gone = (figures["segment"] == Segment.LAPSED) & (figures["left"] < "2025-10-01")
    recency = (pd.Timestamp(YEAR[1]) - figures["last"]).dt.days
    assert recency[gone].min() > 90
    assert recency[figures["segment"] == Segment.REGULAR].median() < 40


def test_the_shop_of_an_address() -> None:
    assert Shop.from_uri("simulate://shop") == Shop()
    assert Shop.from_uri(
        "simulate://shop?seed=3&customers=100&opened=2023-05-01&closed=5,6&drift_from=2026-01-01&drift_prices=1.6"
        "&drift_baskets=2&drift_stops=insider&drift_countries=0.2"
    ) == Shop(
        seed=3,
        customers=100,
        opened=date(2023, 5, 1),
        closed=(5, 6),
        drift=Drift(since=date(2026, 1, 1), prices=1.6, baskets=2.0, stops=Segment.INSIDER, countries=0.2),
    )
    assert Shop.from_uri("simulate://shop?closed=").closed == ()


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("simulate://shop?seeds=7&colour=red", ["seeds: unknown", "colour: unknown", "customers", "drift_from"]),
        (
            "simulate://shop?seed=seven&customers=&colour=red",
            ["seed: cannot read 'seven'", "customers: cannot read", "colour"],
        ),
        ("simulate://shop?seed=1&seed=2", ["seed: given twice"]),
        ("simulate://shop?drift_prices=2", ["drift_from: missing"]),
        ("simulate://shop?drift_from=2025-01-01&drift_stops=nobody", ["drift_stops: cannot read", "insider"]),
        ("simulate://shop?drift_from=2025-01-01&drift_prices=nan", ["prices", "above 0"]),
        ("simulate://shop?drift_from=2025-01-01&drift_countries=2", ["countries", "from 0 to 1"]),
        ("simulate://store", ["simulate://shop"]),
        ("files://shop", ["simulate://shop"]),
        ("simulate://shop?customers=3", ["customers", "50 to"]),
        ("simulate://shop?seed=-1", ["seed"]),
        ("simulate://shop?opened=1900-01-01", ["opened"]),
        ("simulate://shop?closed=0,1,2,3,4,5,6", ["closed", "not all"]),
        ("simulate://shop?closed=9", ["closed"]),
    ],
)
def test_a_wrong_address_is_refused_with_every_fault(uri: str, parts: list[str]) -> None:
    with pytest.raises(UsageError) as refusal:
        Shop.from_uri(uri)
    for part in parts:
        assert part in str(refusal.value)
