"""The steps of store sales on a simulated chain: trial, challenger, gate, forecasts that stay."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.domains import spec_of
from pipeline.errors import RefusedError, UsageError
from pipeline.lake.tables import Lake
from pipeline.registry.client import Registry
from pipeline.registry.model_files import FLAVOURS
from pipeline.settings import Settings
from pipeline.simulate.store_days import Chain, Effects
from pipeline.stores.domain import DOMAIN
from pipeline.stores.intervals import Intervals
from pipeline.stores.specs import DIFFERENCE_HIGH, STORE_SALES
from pipeline.training import lifecycle, scoring
from tests.stores.simulated import AS_OF, CHAIN, HORIZON, LATER, MODEL, UNDATED, write_chain


def forecasts(settings: Settings, made_on: dt.date) -> pd.DataFrame:
    return Lake(settings).read("store_forecasts", where={"as_of": [made_on]}).to_pandas()


def test_each_planned_day_has_a_forecast_within_its_intervals(trained: Settings) -> None:
    rows = forecasts(trained, AS_OF)
    assert len(rows) == CHAIN.count * HORIZON.days
    closed = rows[~rows["open"]]
    assert len(closed)
    assert (closed[["mean", "low_80", "high_80", "low_95", "high_95"]] == 0).all(axis=None)
    of_open = rows[rows["open"]]
    ends = of_open[["low_95", "low_80", "mean", "high_80", "high_95"]].to_numpy()
    assert (np.diff(ends, axis=1) > 0).all()
    assert set(rows["model_version"]) == {1}


def test_what_came_lies_in_the_interval_as_often_as_it_says(trained: Settings) -> None:
    truth = CHAIN.days(AS_OF, LATER).to_pandas()
    both = forecasts(trained, AS_OF).merge(truth[truth["open"]], on=["store", "day"])
    inside = both["sales"].between(both["low_80"], both["high_80"]).mean()
    assert 0.7 < inside < 0.9
    assert np.sqrt(((both["mean"] / both["sales"] - 1) ** 2).mean()) < 0.08  # noise alone is 0.06


def test_a_forecast_reads_nothing_from_its_day_on(trained: Settings, chain: Settings) -> None:
    before = forecasts(trained, AS_OF)
    lifecycle.build_features(chain, DOMAIN, AS_OF)
    scoring.score(chain, DOMAIN, AS_OF)
    pd.testing.assert_frame_equal(forecasts(chain, AS_OF), before)


def test_earlier_forecasts_stay(chain: Settings) -> None:
    lifecycle.build_features(chain, DOMAIN, LATER)
    scoring.score(chain, DOMAIN, LATER)
    assert Lake(chain).days("store_forecasts") == [AS_OF, LATER]


def test_days_that_came_unplanned_are_forecast_from_their_calendar(chain: Settings) -> None:
    whole = forecasts(chain, AS_OF)
    lake = Lake(chain)
    lake.replace("store_plans", {"day": [AS_OF + dt.timedelta(days=n) for n in range(42)]}, _no_rows(lake))
    lifecycle.build_features(chain, DOMAIN, AS_OF)
    scoring.score(chain, DOMAIN, AS_OF)
    pd.testing.assert_frame_equal(forecasts(chain, AS_OF), whole)


def test_without_a_plan_nothing_is_forecast(chain: Settings) -> None:
    lake = Lake(chain)
    lake.replace("store_plans", {"day": [AS_OF + dt.timedelta(days=n) for n in range(84)]}, _no_rows(lake))
    lifecycle.build_features(chain, DOMAIN, LATER)
    with pytest.raises(RefusedError, match="Nothing is planned"):
        scoring.score(chain, DOMAIN, LATER)


def _no_rows(lake: Lake) -> pa.Table:
    return lake.read("store_plans").slice(0, 0)


def test_a_store_that_nothing_is_known_of_is_forecast_all_the_same(chain: Settings) -> None:
    lake = Lake(chain)
    about = lake.read("stores")
    lake.replace("stores", {"day": [UNDATED]}, about.filter(pc.not_equal(about["store"], 3)))
    lifecycle.build_features(chain, DOMAIN, LATER)
    scoring.score(chain, DOMAIN, LATER)
    assert 3 in set(forecasts(chain, LATER)["store"])


def test_two_trainings_give_the_same_forecasts(trained: Settings, tmp_path: Path, empty_mlflow: Path) -> None:
    shutil.copytree(Path(trained.home) / "lake", tmp_path / "home" / "lake")
    shutil.copy(empty_mlflow, tmp_path / "home" / "mlflow.db")
    other = trained.model_copy(update={"home": str(tmp_path / "home")})
    version = lifecycle.train(other, spec_of(MODEL), AS_OF).version
    lifecycle.gate(other, spec_of(MODEL), version)
    lifecycle.promote(other, MODEL, version, by="test")
    scoring.score(other, DOMAIN, AS_OF)
    pd.testing.assert_frame_equal(forecasts(other, AS_OF), forecasts(trained, AS_OF))


def test_a_retraining_of_the_same_kind_replaces_an_old_champion_only_if_surely_better(chain: Settings) -> None:
    lifecycle.build_features(chain, DOMAIN, LATER)
    version = lifecycle.train(chain, spec_of(MODEL), LATER).version
    decision = lifecycle.gate(chain, spec_of(MODEL), version)
    # The champion's own history ends where the newest fold begins: both knew the same sales, so none is surely better.
    assert not decision.accepted
    refused = {verdict.metric for verdict in decision.verdicts if not verdict.passed}
    assert refused & {"rmspe", DIFFERENCE_HIGH}, refused
    assert DIFFERENCE_HIGH in decision.scores.challenger


def test_a_champion_that_has_seen_the_days_is_represented_by_its_kind(chain: Settings) -> None:
    day = AS_OF + dt.timedelta(days=14)
    lifecycle.build_features(chain, DOMAIN, day)
    decision = lifecycle.gate(chain, spec_of(MODEL), lifecycle.train(chain, spec_of(MODEL), day).version)
    assert decision.scores.champion is not None
    assert decision.scores.champion["rmspe"] == decision.scores.challenger["rmspe"]
    assert not decision.accepted


def test_the_best_of_those_tried_is_trained(chain: Settings) -> None:
    tried = {
        name: lifecycle.evaluate_candidate(chain, spec_of(MODEL), LATER, name)
        for name in ("linear_store", "gradient_boosting")
    }
    best = min(tried, key=lambda name: tried[name]["rmspe"])
    lifecycle.build_features(chain, DOMAIN, LATER)
    trained = lifecycle.train(chain, spec_of(MODEL), LATER)
    evidence = Registry(chain).artefacts(MODEL, trained.version)["evidence.json"]
    assert evidence["candidate"] == best
    assert set(evidence["backtest"]) == {"seasonal_median", "last_season", "linear_store", "gradient_boosting"}
    assert trained.metrics["rmspe"] == pytest.approx(tried[best]["rmspe"])


def test_there_is_no_such_candidate(chain: Settings) -> None:
    with pytest.raises(UsageError, match="no such candidate"):
        lifecycle.evaluate_candidate(chain, spec_of(MODEL), LATER, "crystal_ball")


def test_the_gate_refuses_what_hardly_beats_the_baseline_or_lies_about_its_intervals(
    tmp_path: Path, empty_mlflow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir()
    shutil.copy(empty_mlflow, tmp_path / "home" / "mlflow.db")
    settings = Settings(home=str(tmp_path / "home"), code_version="abc123")
    write_chain(settings, AS_OF, Chain(seed=7, count=8, effects=Effects(season=0, trend=0, advent=0)))
    narrow = Intervals({0.8: (-0.1,) * 3, 0.95: (-0.2,) * 3}, {0.8: (0.1,) * 3, 0.95: (0.2,) * 3})
    monkeypatch.setattr("pipeline.stores.backtest.calibrate", lambda past: narrow)
    lifecycle.evaluate_candidate(settings, spec_of(MODEL), AS_OF, "linear_store")
    lifecycle.build_features(settings, DOMAIN, AS_OF)
    version = lifecycle.train(settings, spec_of(MODEL), AS_OF).version
    decision = lifecycle.gate(settings, spec_of(MODEL), version)
    assert [verdict.metric for verdict in decision.verdicts if not verdict.passed] == [
        "rmspe",
        "coverage_80",
        "coverage_95",
    ]
    assert Registry(settings).history(MODEL)[-1].action == "refuse"


def test_the_command_line_sets_models_side_by_side_and_exports_the_champion(
    chain: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("home", "artifacts"):
        monkeypatch.setenv(f"AISLE_{name.upper()}", str(getattr(chain, name)))
    run = CliRunner().invoke
    found = json.loads(run(app.app, ["backtest", MODEL, "--candidate", "linear_store", "--json"]).stdout)
    assert list(found["models"]) == ["linear_store", "seasonal_median", "last_season"]
    assert [fold["to"] for fold in found["folds"]][-1] == str(LATER - dt.timedelta(days=1))

    done = json.loads(run(app.app, ["export", MODEL, "--folder", str(tmp_path / "out"), "--json"]).stdout)
    assert re.fullmatch(r"store_sales-\d{4}(-\d\d){5}-\d{3}\.skops", Path(done["file"]).name)
    (tmp_path / "out" / "model.skops").write_bytes(Path(done["file"]).read_bytes())
    features = Lake(chain).read("store_features", where={"as_of": [AS_OF]}).to_pandas()
    said = FLAVOURS["sklearn"].load(tmp_path / "out", STORE_SALES.trusted_types).predict(features)
    both = features[["store", "day"]].assign(said=said).merge(forecasts(chain, AS_OF), on=["store", "day"])
    np.testing.assert_allclose(both["said"], both["mean"])


def test_only_models_of_several_kinds_have_candidates() -> None:
    with pytest.raises(UsageError, match="no candidates"):
        CliRunner().invoke(app.app, ["train", "footfall_buyers", "--candidate", "x"], catch_exceptions=False)


def test_partial_effects_are_those_that_were_planted(trained: Settings) -> None:
    partial = Registry(trained).artefacts(MODEL)["evidence.json"]["partial"]
    ratio = {name: {point["value"]: point["ratio"] for point in points} for name, points in partial.items()}
    assert np.log(ratio["promo"][1.0] / ratio["promo"][0.0]) == pytest.approx(CHAIN.effects.promotion, abs=0.05)
    planted = np.array(CHAIN.effects.weekday)
    found = np.log([ratio["weekday"][float(day)] for day in range(6)])
    np.testing.assert_allclose(found - found.mean(), planted[:6] - planted[:6].mean(), atol=0.04)
