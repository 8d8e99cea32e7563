"""Expected value: the baseline on customers it describes, the model on a simulated shop, and what stops it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, cast

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pytest

from pipeline.customers.value.bgnbd import Baseline, Visits, fit_baseline
from pipeline.customers.value.history import HORIZON, ValueData, read_windows, season_on, visits_of
from pipeline.customers.value.model import CustomerValue, deciles, fit_value, measure, season_effect, season_factor
from pipeline.customers.value.specs import SPEC, evaluate, same_for_all
from pipeline.customers.value.totals import earlier_folds, total_interval
from pipeline.errors import RefusedError
from pipeline.lake import engine
from pipeline.settings import Settings
from pipeline.simulate.shop import Shop
from pipeline.training.gate import Scores, Window, decide
from pipeline.training.spec import Run
from tests.customers.shop import clean, line, table, until

ROOT = Path(__file__).resolve().parents[3]
OPENED, CUT = date(2024, 1, 1), date(2024, 10, 1)
SHOP = Shop(customers=400, opened=OPENED)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=str(tmp_path_factory.mktemp("home")), sources=ROOT / "sources.yaml", threads=1)


@pytest.fixture(scope="module")
def con(settings: Settings) -> Any:
    return engine.connect(settings)


@pytest.fixture(scope="module")
def transactions() -> ir.Table:
    return clean(SHOP.lines(OPENED, CUT + HORIZON))


@pytest.fixture(scope="module")
def data(con: Any, transactions: ir.Table, settings: Settings) -> ValueData:
    return read_windows(con, transactions, CUT, settings)


@pytest.fixture(scope="module")
def model(data: ValueData) -> CustomerValue:
    return fit_value(data.earlier, seed=7)


def drawn(customers: int, days: float, seed: int = 5) -> tuple[Visits, np.ndarray[Any, Any], Baseline]:
    """Customers of BG/NBD, what is known of them after 300 days, their purchases since, and the true parameters."""
    truth = Baseline(r=0.8, alpha=40.0, a=0.8, b=2.5, p=6.0, q=4.0, v=60.0)
    rng = np.random.default_rng(seed)
    repeats, last, value, later = (np.zeros(customers) for _ in range(4))
    for at in range(customers):
        rate, leaves = rng.gamma(truth.r, 1 / truth.alpha), rng.beta(truth.a, truth.b)
        mean = rng.gamma(truth.q, 1 / truth.v)
        spent, time = [], 0.0
        while (time := time + rng.exponential(1 / rate)) < 300 + days:
            if time < 300:
                repeats[at], last[at] = repeats[at] + 1, time
                spent.append(rng.gamma(truth.p, 1 / mean))
            else:
                later[at] += 1
            if rng.random() < leaves:
                break
        value[at] = np.mean(spent) if spent else 0.0
    return Visits(repeats, last, np.full(customers, 300.0), value), later, truth


def test_the_baseline_finds_the_customers_it_describes() -> None:
    visits, later, truth = drawn(3_000, 90)
    fitted = fit_baseline(visits)
    assert (fitted.r, fitted.alpha) == pytest.approx((truth.r, truth.alpha), rel=0.25)
    assert fitted.a / (fitted.a + fitted.b) == pytest.approx(truth.a / (truth.a + truth.b), rel=0.25)
    assert fitted.purchases(visits, 90).sum() == pytest.approx(later.sum(), rel=0.1)
    alive = fitted.alive(visits)
    assert ((alive > 0) & (alive <= 1)).all()
    # Of customers with many purchases long ago the model believes that they have left.
    gone = Visits(np.array([12.0]), np.array([60.0]), np.array([300.0]), np.array([50.0]))
    still = replace(gone, last=np.array([295.0]))
    assert fitted.alive(gone)[0] < 0.1 < 0.7 < fitted.alive(still)[0]
    mean = fitted.revenue(still, 90)[0] / fitted.purchases(still, 90)[0]
    assert mean == pytest.approx(50, rel=0.2)


def test_nothing_after_the_day_is_known(con: Any, transactions: ir.Table, settings: Settings, data: ValueData) -> None:
    cut = read_windows(con, until(transactions, CUT), CUT, settings)
    pd.testing.assert_frame_equal(cut.newest.features, data.newest.features)
    assert cut.newest.season == data.newest.season
    assert cut.newest.revenue.sum() == 0 < data.newest.revenue.sum()
    for one, other in zip(cut.earlier, data.earlier, strict=True):
        assert np.array_equal(one.revenue, other.revenue)
        assert one.as_of + HORIZON <= CUT
    for name in ("repeats", "last", "age", "value"):
        assert np.array_equal(getattr(cut.visits, name), getattr(data.visits, name))


def test_outcomes_are_net_of_returns_and_count_invoices(con: Any, settings: Settings) -> None:
    day = date(2024, 3, 1)

    def sold(invoice: str, quantity: int, on: date) -> dict[str, Any]:
        return line("a", invoice, on, quantity, unit_price=2.5)

    lines = [sold(str(n), 4, day - timedelta(days=300 - n)) for n in range(0, 200, 10)]
    lines += [sold("s1", 4, day), sold("s2", 2, day + timedelta(days=91)), sold("late", 9, day + timedelta(days=92))]
    lines += [sold("C1", -1, day + timedelta(days=1))]
    window = read_windows(con, table(lines), day, settings).newest
    assert window.revenue.tolist() == [12.5]
    assert window.purchases.tolist() == [2]
    visits = visits_of(con, table(lines), day, window.features["customer_id"], 365)
    assert (visits.repeats[0], visits.last[0], visits.age[0], visits.value[0]) == (19, 190, 300, 10)


def test_the_season_is_the_level_beside_the_trend() -> None:
    days = [date(2024, 1, 1) + timedelta(days=number) for number in range(300)]
    level = np.array([1000 * (1 + number / 1000) * (1.4 if day.month >= 9 else 1) for number, day in enumerate(days)])
    assert season_effect(days, level) == pytest.approx(1.4, rel=0.05)
    assert season_effect(days[:200], level[:200]) == 1.0, "no day of the season is known"
    assert season_factor(1.4, date(2024, 1, 1)) == 1.0
    assert season_factor(1.4, date(2024, 9, 1)) == pytest.approx(1.4)
    assert 1.0 < season_factor(1.4, date(2024, 7, 1)) < 1.4


def test_the_season_multiplies_what_is_expected(model: CustomerValue, data: ValueData) -> None:
    out, within = (model.expect(data.newest.features, season) for season in (1.0, 1.5))
    assert within["revenue"].to_numpy() == pytest.approx(1.5 * out["revenue"].to_numpy())
    assert within["purchases"].to_numpy() == pytest.approx(1.5 * out["purchases"].to_numpy())
    assert (within["purchase_chance"] > out["purchase_chance"]).all()
    assert (within["purchase_chance"] < 1).all()
    assert (out["revenue_low"] <= out["revenue_high"]).all()


@dataclass
class Contestant:
    model: Any


def decision(contestant: CustomerValue, data: ValueData, settings: Settings) -> Any:
    metrics = evaluate(cast(Any, Contestant(contestant)), data, Run(settings, CUT + HORIZON, {}))
    return decide(Scores(metrics, None, same_for_all(data)), SPEC.rules, window=Window("transactions", 1, CUT))


def test_the_model_passes_the_gate_and_one_of_shuffled_truth_is_stopped(
    model: CustomerValue, data: ValueData, settings: Settings
) -> None:
    assert decision(model, data, settings).accepted
    rng = np.random.default_rng(1)

    def shuffled(window: Any) -> Any:
        order = rng.permutation(len(window.revenue))
        return replace(window, revenue=window.revenue[order], purchases=window.purchases[order])

    refused = decision(fit_value([shuffled(window) for window in data.earlier], seed=7), data, settings)
    assert not refused.accepted
    assert any("rank correlation" in reason for reason in refused.reasons)


def test_planted_value_orders_the_expected_value(model: CustomerValue, data: ValueData) -> None:
    expected = model.expect(data.newest.features, 1.0)["revenue"]
    truth = SHOP.truth(CUT).set_index("customer_id").loc[data.newest.features["customer_id"]]
    by_segment = expected.groupby(truth["segment"].to_numpy()).mean()
    assert by_segment["insider"] > by_segment["regular"] > by_segment["occasional"] > by_segment["one_off"]
    left = (truth["left"] < pd.Timestamp(CUT)).to_numpy()
    assert expected[left].mean() < expected[~left].mean() / 2


def test_metrics_and_deciles_by_hand(data: ValueData) -> None:
    window = replace(data.newest, revenue=np.array([0.0, 10.0, 30.0, 40.0]), purchases=np.array([0.0, 1.0, 1.0, 2.0]))
    expected = pd.DataFrame(
        {
            "revenue": [5.0, 5.0, 20.0, 40.0],
            "purchases": [0.0, 1.0, 1.0, 1.0],
            "revenue_low": [0.0, 0.0, 0.0, 0.0],
            "revenue_high": [0.0, 9.0, 30.0, 40.0],
        }
    )
    found = measure(expected, window)
    assert found["mae"] == 5
    assert found["bias"] == pytest.approx(-1 / 8)
    assert found["coverage_80"] == 0.75
    assert found["top_decile_lift"] == 2
    assert found["purchases_bias"] == pytest.approx(-0.25)
    tenths = deciles(np.arange(20.0), np.arange(20.0) * 2)
    assert [tenth["expected"] for tenth in tenths] == [18.5 - 2 * n for n in range(10)]
    assert all(tenth["actual"] == 2 * tenth["expected"] for tenth in tenths)


def test_a_short_history_is_refused_with_what_is_needed(con: Any, transactions: ir.Table, settings: Settings) -> None:
    with pytest.raises(RefusedError, match="at least 274 days"):
        read_windows(con, transactions, OPENED + timedelta(days=180), settings)


def test_without_days_there_is_no_season(con: Any, transactions: ir.Table) -> None:
    assert season_on(con, transactions, OPENED + timedelta(days=30)) == 1.0


def test_the_interval_of_a_total_holds_four_of_five_whatever_the_number_of_earlier_errors() -> None:
    rng = np.random.default_rng(3)
    for number in (1, 4):
        errors = rng.normal(0, 0.2, size=(4000, number + 1))
        held = 0
        for *known, next_one in errors:
            low, high = total_interval(100.0, [float(np.expm1(error)) for error in known]) or (0.0, 0.0)
            # A bias is expected / actual - 1.
            held += low <= 100.0 / np.exp(next_one) <= high
        assert held / len(errors) == pytest.approx(0.8, abs=0.02)
    assert total_interval(100.0, [float("nan"), None]) is None


def test_earlier_windows_are_expected_from_the_window_before_them_alone(data: ValueData) -> None:
    first, second = data.earlier[0], data.newest
    folds = earlier_folds(replace(data, earlier=(second,), before=(first,)), seed=7)
    expected = fit_value([first], 7).expect(second.features, second.season)
    assert {day: fold["bias"] for day, fold in folds.items()} == {second.as_of: measure(expected, second)["bias"]}
    assert earlier_folds(data, seed=7) == {}
