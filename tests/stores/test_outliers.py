"""Outliers: planted ones are marked, no day is dropped, and nothing from as_of on is read."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from pipeline.stores.outliers import MIN_DAYS, SCORE_THRESHOLD, mark_outliers
from tests.stores.helpers import AS_OF, plain_days, plain_stores, tables

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

STORES = 4
PLANTED = {(1, dt.date(2024, 2, 6)): 4.0, (2, dt.date(2023, 5, 12)): 0.1, (4, dt.date(2024, 6, 29)): 3.0}


@pytest.fixture
def days() -> pd.DataFrame:
    return plain_days(STORES)


def marked(con: Backend, days: pd.DataFrame, as_of: dt.date = AS_OF) -> pd.DataFrame:
    table, _ = tables(con, days, plain_stores(STORES))
    found = con.to_pandas(mark_outliers(table, as_of))
    return found.assign(day=pd.to_datetime(found["day"]).dt.date).sort_values(["store", "day"], ignore_index=True)


def planted(days: pd.DataFrame) -> pd.DataFrame:
    factor = [PLANTED.get((store, day.date()), 1.0) for store, day in zip(days["store"], days["day"], strict=True)]
    return days.assign(sales=days["sales"] * factor)


def test_planted_outliers_are_marked_and_hardly_any_other_day(con: Backend, days: pd.DataFrame) -> None:
    found = marked(con, planted(days))
    keys = list(zip(found["store"], found["day"], strict=True))
    odd = found[found["outlier"]]
    assert set(PLANTED) <= set(zip(odd["store"], odd["day"], strict=True))
    # Of normal noise 1 in 2,000 is beyond 3.5; the medians are themselves estimates.
    assert len(odd) - len(PLANTED) <= 0.01 * len(found)
    for key, factor in PLANTED.items():
        row = found.iloc[keys.index(key)]
        assert row["sales"] / row["usual"] == pytest.approx(factor, rel=0.25)
        assert (row["score"] > 0) == (factor > 1)


def test_nothing_is_dropped_but_days_without_sales(con: Backend, days: pd.DataFrame) -> None:
    found = marked(con, planted(days))
    past = days[(days["day"] < pd.Timestamp(AS_OF)) & days["open"]]
    assert len(found) == len(past)
    assert list(found.columns) == ["store", "day", "sales", "usual", "score", "outlier"]
    np.testing.assert_allclose(found["sales"].sum(), planted(past)["sales"].sum())


def test_nothing_from_as_of_on_is_read(con: Backend, days: pd.DataFrame) -> None:
    later = days["day"] >= pd.Timestamp(AS_OF)
    changed = days.assign(sales=days["sales"].mask(later, 1e6))
    pd.testing.assert_frame_equal(marked(con, days), marked(con, changed))
    pd.testing.assert_frame_equal(marked(con, days), marked(con, days[~later]))


def test_usual_sales_are_those_of_the_weekday_with_or_without_promotion(con: Backend, days: pd.DataFrame) -> None:
    # A promotion is no outlier however much it brings, nor is a weekday.
    rows = days.assign(
        sales=days["sales"] * np.where(days["promo"], 5, 1) * np.where(days["day"].dt.weekday == 2, 4, 1)
    )
    assert marked(con, rows)["outlier"].equals(marked(con, days)["outlier"])


def test_groups_of_too_few_days_have_no_usual_sales(con: Backend, days: pd.DataFrame) -> None:
    first = pd.Timestamp(days["day"].min())
    few = days[days["day"] < first + pd.Timedelta(weeks=2 * (MIN_DAYS - 1))]
    found = marked(con, planted(few))
    assert found.loc[found["day"].map(lambda day: day.weekday() < 5), "score"].isna().all()
    assert not found.loc[found["score"].isna(), "outlier"].any()
    assert found["score"].notna().any(), "of Saturdays there are enough: they have no promotion"


def test_a_store_with_constant_sales_has_outliers_only_beyond_the_minimal_mad(con: Backend, days: pd.DataFrame) -> None:
    same = days.assign(sales=np.where(days["open"], 100.0, 0.0))
    assert not marked(con, same)["outlier"].any()
    for factor, odd in ((1.04, False), (1.06, True)):
        row = (same["store"] == 1) & (same["day"] == pd.Timestamp("2024-02-06"))
        found = marked(con, same.assign(sales=same["sales"] * np.where(row, factor, 1)))
        assert found["outlier"].sum() == odd
        assert (found["score"].max() > SCORE_THRESHOLD) == odd
