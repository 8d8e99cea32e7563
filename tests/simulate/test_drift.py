"""Planted drift changes only what it names, and nothing before its day."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import UsageError
from pipeline.simulate.drift import Drift
from pipeline.simulate.people import NEW_COUNTRIES, Segment
from pipeline.simulate.shop import Shop

SINCE = date(2025, 6, 2)
AFTER = (SINCE, date(2025, 6, 29))
CALM = Shop(customers=600)


def drifted(**options: object) -> Shop:
    return replace(CALM, drift=Drift(since=SINCE, **options))  # type: ignore[arg-type]


def after(shop: Shop) -> pd.DataFrame:
    frame: pd.DataFrame = shop.lines(*AFTER).to_pandas()
    return frame


def product_sales(frame: pd.DataFrame) -> pd.Series:
    product = frame["StockCode"].str.match(r"^\d{5}") & (frame["UnitPrice"] > 0)
    return product & ~frame["InvoiceNo"].str.startswith("C")


@pytest.mark.parametrize(
    "options", [{"prices": 1.6}, {"baskets": 3.0}, {"stops": Segment.INSIDER}, {"countries": 0.5}], ids=str
)
def test_nothing_changes_before_the_day(options: dict[str, object]) -> None:
    before = (date(2025, 4, 1), SINCE)
    assert drifted(**options).lines(*before).equals(CALM.lines(*before))
    assert not drifted(**options).lines(*AFTER).equals(CALM.lines(*AFTER))


def test_a_drift_that_sets_nothing_changes_nothing() -> None:
    assert drifted().lines(*AFTER).equals(CALM.lines(*AFTER))


def test_only_prices_of_products_change() -> None:
    calm, moved = after(CALM), after(drifted(prices=1.6))
    pd.testing.assert_frame_equal(calm.drop(columns="UnitPrice"), moved.drop(columns="UnitPrice"))
    sold = product_sales(calm)
    np.testing.assert_allclose(moved.loc[sold, "UnitPrice"], 1.6 * calm.loc[sold, "UnitPrice"], atol=0.0051)
    other = ~sold & ~calm["InvoiceNo"].str.startswith("C")
    assert calm.loc[other, "UnitPrice"].equals(moved.loc[other, "UnitPrice"])


def test_returns_of_earlier_sales_have_the_price_paid() -> None:
    calm, moved = after(CALM), after(drifted(prices=1.6))
    first_day = calm["InvoiceNo"].str.startswith("C") & (calm["InvoiceDate"] < f"{AFTER[0]} 23:59:59")
    assert first_day.any()
    assert calm.loc[first_day, "UnitPrice"].equals(moved.loc[first_day, "UnitPrice"])


def test_only_quantities_change() -> None:
    calm, moved = after(CALM), after(drifted(baskets=3.0))
    pd.testing.assert_frame_equal(calm.drop(columns="Quantity"), moved.drop(columns="Quantity"))
    sold = product_sales(calm)
    assert (moved.loc[sold, "Quantity"] == 3 * calm.loc[sold, "Quantity"]).all()


def test_a_segment_stops_and_the_others_are_unchanged() -> None:
    calm, moved = after(CALM), after(drifted(stops=Segment.INSIDER))
    truth = CALM.truth(AFTER[1]).set_index("customer_id")["segment"]
    insiders = set(truth[truth == Segment.INSIDER].index)
    bought = moved[~moved["InvoiceNo"].str.startswith("C")]
    assert not insiders & set(bought["CustomerID"].dropna())
    assert insiders & set(calm["CustomerID"].dropna())
    numberless = [column for column in calm.columns if column != "InvoiceNo"]
    calm_others, moved_others = (
        frame[~frame["CustomerID"].isin(insiders)][numberless].reset_index(drop=True) for frame in (calm, moved)
    )
    pd.testing.assert_frame_equal(calm_others, moved_others)


def test_a_share_of_customers_buys_from_new_countries() -> None:
    calm, moved = after(CALM), after(drifted(countries=0.4))
    assert not set(NEW_COUNTRIES) & set(calm["Country"])
    bought = moved[moved["CustomerID"].notna() & ~moved["InvoiceNo"].str.startswith("C")]
    abroad = bought.groupby("CustomerID")["Country"].first().isin(NEW_COUNTRIES).mean()
    assert 0.3 < abroad < 0.5
    pd.testing.assert_frame_equal(calm.drop(columns="Country"), moved.drop(columns="Country"))


@pytest.mark.parametrize("options", [{"prices": 0.0}, {"baskets": -1.0}, {"countries": 1.1}, {"prices": float("inf")}])
def test_a_drift_out_of_range_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        Drift(since=SINCE, **options)  # type: ignore[arg-type]
