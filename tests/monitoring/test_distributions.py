"""Distributions then and now: every figure is counted again another way, and no row is kept."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from pipeline.monitoring.distributions import MAX_CATEGORIES, OTHERS, describe, distributions
from pipeline.training.monitored import AMOUNT, FEW, NUMBER


def test_numbers_have_their_mean_their_median_and_the_share_of_each_bin() -> None:
    random = np.random.default_rng(1)
    then, now = pd.Series(random.normal(10, 2, 500)), pd.Series(random.normal(14, 2, 400))
    found = describe("x", NUMBER, then, now)
    assert (found.training.rows, found.day.rows, found.requests) == (500, 400, None)
    assert found.training.mean == pytest.approx(sum(then) / 500)
    assert found.day.median == pytest.approx(sorted(now)[199] / 2 + sorted(now)[200] / 2)
    for values, shares in ((then, found.training.shares), (now, found.day.shares)):
        assert sum(shares) == pytest.approx(1)
        low, high = found.edges[7], found.edges[8]
        assert shares[7] == pytest.approx(sum(low <= value < high for value in values) / len(values))
        assert shares[0] == pytest.approx(sum(value < found.edges[1] for value in values) / len(values))


def test_amounts_have_bins_of_equal_width_on_the_logarithm_and_edges_in_their_unit() -> None:
    random = np.random.default_rng(2)
    then, now = pd.Series(random.lognormal(4, 1, 500)), pd.Series(random.lognormal(7, 1, 500))
    found = describe("revenue", AMOUNT, then, now)
    assert found.log
    widths = np.diff(np.log1p(found.edges))
    assert widths == pytest.approx(np.full(len(widths), widths[0]))
    assert found.edges[-1] < now.max(), "the largest value is nobody's business"
    inside = [sum(found.edges[12] <= value < found.edges[13] for value in side) / 500 for side in (then, now)]
    assert inside == pytest.approx([found.training.shares[12], found.day.shares[12]])


def test_missing_and_infinite_values_are_in_no_mean_and_no_bin() -> None:
    then, now = pd.Series([1.0, 2.0, np.nan, np.inf]), pd.Series([np.nan, np.nan])
    found = describe("x", NUMBER, then, now)
    assert (found.training.rows, found.training.mean, sum(found.training.shares)) == (4, 1.5, 1.0)
    assert (found.day.rows, found.day.mean, found.day.median, sum(found.day.shares)) == (2, None, None, 0.0)


def test_a_value_that_never_varies_has_one_bin_and_no_values_have_empty_ones() -> None:
    constant = describe("x", NUMBER, pd.Series([3.0, 3.0]), pd.Series([3.0]))
    assert (constant.edges, constant.training.shares) == ((2.5, 3.5), (1.0,))
    empty = describe("x", NUMBER, pd.Series([], dtype=float), pd.Series([], dtype=float))
    assert empty.day.shares == (0.0,)


def test_categories_have_shares_and_numbers_among_them_keep_their_order() -> None:
    then, now = pd.Series([10.0, 2.0, 2.0, np.nan]), pd.Series([1.0, 1.0])
    found = describe("hour", FEW, then, now)
    assert set(found.categories) == {"1.0", "2.0", "10.0", "(missing)"}
    shares = dict(zip(found.categories, found.training.shares, strict=True))
    assert shares == {"1.0": 0.0, "2.0": 0.5, "10.0": 0.25, "(missing)": 0.25}
    codes = describe("hour", FEW, pd.Series([10.0, 2.0]), pd.Series([1.0]))
    assert codes.categories == ("1.0", "2.0", "10.0")


def test_small_categories_are_shown_together() -> None:
    names = pd.Series([f"brand {n}" for n in range(MAX_CATEGORIES + 5)] * 2 + ["brand 0"])
    found = describe("brand", FEW, names, names)
    assert (len(found.categories), found.categories[0], found.categories[-1]) == (MAX_CATEGORIES + 1, "brand 0", OTHERS)
    assert sum(found.day.shares) == pytest.approx(1)
    assert found.day.shares[-1] == pytest.approx(10 / len(names))


def test_requests_are_a_third_side_where_they_have_the_column() -> None:
    rows = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0]})
    asked = pd.DataFrame({"a": [2.0, 2.0]})
    of_a, of_b = distributions(rows, rows, asked, {"a": NUMBER, "b": NUMBER})
    assert of_a.requests is not None
    assert (of_a.requests.rows, of_a.requests.mean) == (2, 2.0)
    assert of_b.requests is None


def test_what_is_kept_does_not_grow_with_the_rows() -> None:
    values = pd.Series(np.random.default_rng(3).normal(size=20_000))
    assert len(json.dumps(asdict(describe("x", NUMBER, values, values)))) < 3_000
