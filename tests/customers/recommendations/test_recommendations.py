"""Recommenders on a small simulated shop: what they know, what they find, and what stops them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, cast

import ibis.expr.types as ir
import lightgbm
import numpy as np
import pytest
import scipy.sparse as sp

from pipeline.customers.features import customer_features
from pipeline.customers.recommendations import blend as blends
from pipeline.customers.recommendations import model as recommendations
from pipeline.customers.recommendations.evaluation import HORIZON, K, measure, metrics_of, truth_of
from pipeline.customers.recommendations.methods import (
    NOTHING,
    Scorer,
    best_of_group,
    frequency,
    linear_autoencoder,
    popular,
    popular_lately,
    recommend,
    similar,
)
from pipeline.customers.recommendations.nightly import goes_with
from pipeline.customers.recommendations.nightly import popular as popular_rows
from pipeline.customers.recommendations.past import Past, bought_since, past_of
from pipeline.customers.recommendations.specs import SPEC
from pipeline.errors import RefusedError
from pipeline.lake import engine
from pipeline.settings import Settings
from pipeline.simulate.shop import Shop
from pipeline.training.gate import Scores, Window, decide
from pipeline.training.spec import Run
from tests.customers.shop import clean, line, table, until

OPENED, CUT = date(2024, 1, 1), date(2024, 7, 1)
SHOP = Shop(customers=300, opened=OPENED, affinities=0.5)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=str(tmp_path_factory.mktemp("home")), threads=1)


@pytest.fixture(scope="module")
def con(settings: Settings) -> Any:
    return engine.connect(settings)


@pytest.fixture(scope="module")
def transactions() -> ir.Table:
    """Seven months of the simulated shop as the clean table, in which customers have tastes."""
    return clean(with_tastes(SHOP.lines(OPENED, CUT + HORIZON)))


def with_tastes(sold: Any) -> Any:
    """Three quarters of the lines of a customer are of 25 products that a tenth of them like, one most of all."""
    frame = sold.to_pandas()
    codes = np.array(sorted(frame["StockCode"][frame["StockCode"].str.match(r"^\d{5}")].unique()))
    rng = np.random.default_rng(3)
    known = frame["CustomerID"].notna() & (rng.random(len(frame)) < 0.75) & (frame["Quantity"] > 0)
    number = frame.loc[known, "CustomerID"].astype(int).to_numpy()
    count = len(number)
    liked = np.where(rng.random(count) < 0.4, number // 10 % 25, rng.integers(0, 25, count))
    frame.loc[known, "StockCode"] = codes[(number % 10) * 25 + liked]
    return type(sold).from_pandas(frame, schema=sold.schema, preserve_index=False)


@pytest.fixture(scope="module")
def past(con: Any, transactions: ir.Table) -> Past:
    return past_of(con, transactions, CUT, window_days=365)


@pytest.fixture(scope="module")
def bought(con: Any, transactions: ir.Table, past: Past) -> sp.csr_matrix:
    return bought_since(con, transactions, past, CUT + HORIZON)


def same(one: Past, other: Past) -> bool:
    arrays = ("customers", "products", "customer", "product", "invoices", "last_days", "first_days")
    return (
        all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays)
        and all(np.array_equal(one.pairs[name], other.pairs[name]) for name in one.pairs)
        and (one.baskets != other.baskets).nnz == 0
    )


def test_nothing_after_the_day_is_known(con: Any, transactions: ir.Table, past: Past) -> None:
    assert same(past, past_of(con, until(transactions, CUT), CUT, window_days=365))


def test_what_is_known_of_a_small_history(con: Any) -> None:
    day = date(2024, 3, 1)
    lines = table(
        [
            line("a", "1", day - timedelta(days=40), product="x"),
            line("a", "1", day - timedelta(days=40), product="x"),
            line("a", "2", day - timedelta(days=1), product="x"),
            line("a", "2", day - timedelta(days=1), product="y"),
            line("b", "3", day - timedelta(days=7), product="y"),
            line(None, "4", day - timedelta(days=1), product="x"),
            line("b", "5", day, product="z"),
        ]
    )
    known = past_of(con, lines, day, window_days=365)
    assert known.customers.tolist() == ["a", "b"]
    assert known.products.tolist() == ["x", "y"]
    assert known.pairs["purchases"].tolist() == [2, 1, 1]
    assert known.pairs["last_days"].tolist() == [1, 1, 7]
    assert known.pairs["first_days"].tolist() == [40, 1, 7]
    assert known.pairs["recent_7"].tolist() == [1, 1, 1]
    assert known.pairs["recent_60"].tolist() == [2, 1, 1]
    assert known.pairs["price"].tolist() == [2, 2, 2]
    yesterday = np.exp(-1 / 60)
    assert known.pairs["decayed"] == pytest.approx([yesterday + np.exp(-40 / 60), yesterday, np.exp(-7 / 60)])
    assert known.invoices.tolist() == [2, 1]
    assert bought_since(con, lines, known, day + HORIZON).nnz == 0, "z was not known before the day"
    assert past_of(con, lines, day, window_days=30).pairs["purchases"].tolist() == [1, 1, 1]
    with pytest.raises(RefusedError, match="No known customer"):
        past_of(con, lines, date(2023, 1, 1), window_days=365)


def test_the_inputs_of_the_chance_are_the_columns_of_customer_features(
    con: Any, transactions: ir.Table, past: Past
) -> None:
    features = con.to_pandas(customer_features(transactions, CUT, home_country="United Kingdom"))
    features = features.set_index("customer_id").loc[past.customers.tolist()]
    for name, values in zip(blends.CUSTOMER_FEATURES, (past.last_days, past.invoices, past.by_customer()), strict=True):
        assert features[name].to_numpy() == pytest.approx(values), name


def test_ease_is_the_closed_form(past: Past) -> None:
    from pipeline.customers.recommendations.neighbours import ease

    x = past.matrix()
    found = ease(x, ridge=30.0, max_products=50)
    dense = x[:, found.products].toarray().astype(float)
    inverse = np.linalg.inv(dense.T @ dense + 30 * np.eye(50))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    assert found.weights == pytest.approx(expected, abs=1e-4)
    assert set(np.argsort(-past.buyers, kind="stable")[:50]) == set(found.products)


def test_metrics_by_hand() -> None:
    lists = np.array([[0, 1], [2, NOTHING], [1, 0]])
    truth = sp.csr_matrix(np.array([[0, 1, 1], [0, 0, 1], [0, 0, 0]]))
    found = measure(lists, truth)
    assert found["customers"] == 2
    assert found["hit_rate"] == 1
    assert found["recall"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["ndcg"] == pytest.approx((1 / np.log2(3) / (1 + 1 / np.log2(3)) + 1) / 2)
    assert found["coverage"] == 1
    assert np.isnan(measure(lists, sp.csr_matrix((3, 3)))["ndcg"])


RECOMMENDERS = {
    "popular": popular,
    "popular_lately": popular_lately,
    "frequency": frequency,
    "similar": similar,
    "ease": linear_autoencoder,
    "segment": lambda past: best_of_group(past, np.arange(len(past.customers)) % 3),
}


@pytest.mark.parametrize("name", RECOMMENDERS)
def test_a_list_holds_what_it_says(past: Past, name: str) -> None:
    scorer: Scorer = RECOMMENDERS[name](past)
    lists = recommend(past, scorer, ("all", "again", "new"), K)
    own = past.matrix().toarray() > 0
    for kind, expected in (("again", True), ("new", False)):
        found = lists[cast(Any, kind)]
        row, rank = np.nonzero(found != NOTHING)
        assert (own[row, found[row, rank]] == expected).all()
    for row in lists["all"]:
        kept = row[row != NOTHING]
        assert len(set(kept)) == len(kept)
    assert (lists["new"] != NOTHING).any()


def test_batches_do_not_change_the_lists(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = recommend(past, linear_autoencoder(past), ("all",), K)["all"]
    monkeypatch.setattr("pipeline.customers.recommendations.methods.BATCH_CELLS", 2_500 * 37)
    assert np.array_equal(whole, recommend(past, linear_autoencoder(past), ("all",), K)["all"])


def test_planted_affinities_go_together(con: Any) -> None:
    sold = clean(SHOP.lines(CUT - timedelta(days=90), CUT))
    past, partner = past_of(con, sold, CUT, window_days=365), SHOP.partners()
    rows = goes_with(past).to_pylist()
    often = set(past.products[np.argsort(-np.asarray(past.baskets.sum(axis=0)).ravel())[:100]])
    first = [partner[row["subject"]] == row["products"][0] for row in rows if row["subject"] in often]
    assert np.mean(first) > 0.7, "of 2,000 products one is the partner"
    assert all(len(row["products"]) <= K and row["subject"] not in row["products"] for row in rows)


def test_without_planted_affinities_nothing_goes_together() -> None:
    sold = Shop(customers=300, opened=OPENED).lines(OPENED, OPENED + timedelta(days=30))
    same_days = Shop(customers=300, opened=OPENED, affinities=0.5).lines(OPENED, OPENED + timedelta(days=30))
    assert sold.num_rows == same_days.num_rows, "planting changes products, and nothing else of how much is drawn"
    assert sold["InvoiceNo"].equals(same_days["InvoiceNo"])
    assert not sold["StockCode"].equals(same_days["StockCode"])


def test_guests_get_what_is_popular_lately(past: Past) -> None:
    (row,) = popular_rows(past).to_pylist()
    assert row["subject"] == ""
    assert row["products"] == past.products[np.argsort(-past.popular_lately, kind="stable")[:K]].tolist()
    assert row["scores"] == sorted(row["scores"], reverse=True)


@dataclass
class Contestant:
    model: Any


@pytest.fixture(scope="module")
def data(con: Any, transactions: ir.Table) -> recommendations.Windows:
    return recommendations.read_windows(con, transactions, CUT, 365)


@pytest.fixture(scope="module")
def run(settings: Settings) -> Run:
    return Run(settings, CUT + HORIZON, {})


def decision(metrics: Mapping[str, float], data: recommendations.Windows) -> Any:
    scores = Scores(metrics, None, recommendations.baseline(data))
    return decide(scores, SPEC.rules, window=Window("transactions", 1, CUT))


def test_the_blend_passes_the_gate_and_one_that_ignores_history_is_stopped(
    data: recommendations.Windows, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [past.as_of for past, _ in data.earlier] == [CUT - HORIZON * number for number in (1, 2, 3)]
    fitted = recommendations.fit(data, run, None)
    metrics = recommendations.evaluate(cast(Any, Contestant(fitted.model)), data, run)
    assert metrics == pytest.approx(dict(fitted.metrics), nan_ok=True)
    assert decision(metrics, data).accepted
    chance = fitted.model.predict(fitted.example)
    assert ((chance > 0) & (chance < 1)).all()

    of_products = ("popular_7", "popular_30", "popular_90", "popular", "trend")
    candidates = blends.Known.candidates

    def without_history(self: blends.Known, customers: Any) -> Any:
        customer, product, features = candidates(self, customers)
        blind = np.zeros_like(features)
        for name in of_products:
            at = blends.COLUMNS.index(name)
            blind[:, at] = features[:, at]
        return customer, product, blind

    monkeypatch.setattr(blends.Known, "candidates", without_history)
    blind = recommendations.fit(data, run, None)
    refused = decision(recommendations.evaluate(cast(Any, Contestant(blind.model)), data, run), data)
    assert not refused.accepted
    assert any("hits near the top" in reason for reason in refused.reasons)


def test_the_same_data_give_the_same_model(data: recommendations.Windows, settings: Settings) -> None:
    boosters = [blends.fit_booster(data.earlier[:1], seed=7, threads=threads) for threads in (1, 1)]
    one, two = (booster.model_to_string().split("parameters:")[0] for booster in boosters)
    assert one == two
    assert isinstance(boosters[0], lightgbm.Booster)


def test_a_short_history_is_refused_with_what_is_needed(con: Any, transactions: ir.Table) -> None:
    with pytest.raises(RefusedError, match="at least 92 days"):
        recommendations.read_windows(con, transactions, OPENED + timedelta(days=60), 365)
    shortest = recommendations.read_windows(con, transactions, OPENED + timedelta(days=64), 365)
    assert len(shortest.earlier) == 1


def test_new_purchases_are_those_of_products_not_bought_before(past: Past, bought: sp.csr_matrix) -> None:
    again, new = (truth_of(past, bought, cast(Any, kind)) for kind in ("again", "new"))
    assert again.nnz + new.nnz == bought.nnz
    assert new.multiply(past.matrix()).nnz == 0
    metrics = metrics_of(past, recommend(past, frequency(past), ("all", "new"), K), bought)
    assert metrics["customers"] >= metrics["new_customers"] > 0
