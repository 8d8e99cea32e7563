"""A model that wins in summer and fails at Christmas is stopped: the gate also looks at last year's coming season."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import ibis
import numpy as np
import pandas as pd
import pytest

from pipeline.stores import evaluation, evaluation_store, linear_store, specs
from pipeline.stores.evaluation import CandidateEvaluation, evaluate_candidate
from pipeline.stores.folds import HORIZON
from pipeline.stores.snapshot import Snapshot
from pipeline.stores.specs import EVIDENCE_FILE, SEASON, SEASON_MAPE, STORE_SALES
from pipeline.training.gate import Decision, Window, decide
from pipeline.training.spec import Contest
from tests.stores.helpers import plain_days, plain_stores, tables

if TYPE_CHECKING:
    from numpy.typing import NDArray

COUNT = 8
AS_OF = dt.date(2025, 11, 25)  # a year before it, on 26 November 2024, the season that comes was last forecast
GROWTH = 0.3  # of log sales in a year, which the seasonal median does not know


@dataclass(frozen=True)
class Summery:
    """Knows the truth but for December, of which it forecasts twice as much."""

    def predict(self, features: pd.DataFrame) -> NDArray[np.float64]:
        twice = 1 + (pd.to_datetime(features["day"]).dt.month == 12)
        return np.asarray(np.exp(features["linear"].to_numpy(float)) * twice)


@pytest.fixture(scope="module")
def evaluated() -> dict[str, CandidateEvaluation]:
    """The evaluations of the linear model and of one that fails at Christmas, as of a day before Christmas."""
    con = ibis.duckdb.connect(threads=2)
    plain = plain_days(COUNT, until=AS_OF)
    growing = plain.assign(sales=plain["sales"] * np.exp(GROWTH * (plain["day"] - plain["day"].min()).dt.days / 365))
    days, stores = tables(con, growing, plain_stores(COUNT))
    snapshot = Snapshot(days, days.limit(0), stores)
    real = evaluation.load_fit
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            evaluation, "load_fit", lambda name: (lambda *_: Summery()) if name == "summery" else real(name)
        )
        patched.setattr(evaluation, "permutation_importance", lambda *_, **__: pd.Series(dtype=float))
        patched.setattr(evaluation, "_partial_effects", lambda *_: {})
        return {name: evaluate_candidate(con, snapshot, name, 7) for name in ("linear_store", "summery")}


def decision(
    evaluated: dict[str, CandidateEvaluation], monkeypatch: pytest.MonkeyPatch, name: str, champion: str | None = None
) -> Decision:
    """The gate's decision on a challenger of a kind, against a champion that was trained on the same days."""

    def version(kind: str) -> Any:
        made = SimpleNamespace(provenance=SimpleNamespace(as_of=AS_OF))
        return SimpleNamespace(artefacts={EVIDENCE_FILE: evaluated[kind].evidence | {"made_from": {}}}, version=made)

    monkeypatch.setattr(evaluation_store, "find_or_make", lambda _run, kind, _inputs=None: evaluated[kind])
    run: Any = SimpleNamespace(settings=SimpleNamespace(seed=7), as_of=AS_OF)
    contest: Contest[Any] = Contest(version(name), version(champion) if champion else None, None, run)
    return decide(specs.compare(contest), STORE_SALES.rules, window=Window("store_days", 1, AS_OF))


def failed(found: Decision) -> list[str]:
    return [verdict.metric for verdict in found.verdicts if not verdict.passed]


def test_the_season_fold_begins_a_year_before_the_coming_weeks(evaluated: dict[str, CandidateEvaluation]) -> None:
    season = evaluated["summery"].evidence["season"]
    assert season["from"] == str(AS_OF - dt.timedelta(days=364))
    assert season["to"] == str(AS_OF - dt.timedelta(days=364 - HORIZON + 1))
    assert set(season["metrics"]) == {"seasonal_median", "last_season", "summery"}
    assert evaluated["summery"].metrics["mape"] < 0.1 < season["metrics"]["summery"]["mape"]


def test_a_model_that_wins_in_summer_and_fails_at_christmas_is_stopped(
    evaluated: dict[str, CandidateEvaluation], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = decision(evaluated, monkeypatch, "summery")
    assert failed(found) == [SEASON_MAPE]
    assert found.reasons[0].endswith(f"on {SEASON}"), "the decision names the fold that decided"
    assert not found.accepted


def test_a_model_that_is_right_at_christmas_too_goes_through(
    evaluated: dict[str, CandidateEvaluation], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = decision(evaluated, monkeypatch, "linear_store")
    assert found.accepted, found.reasons
    assert any(f"on {SEASON}" in reason for reason in found.reasons)


def test_a_challenger_may_not_be_worse_than_the_champion_in_the_coming_season(
    evaluated: dict[str, CandidateEvaluation], monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = decision(evaluated, monkeypatch, "summery", champion="linear_store").verdicts
    (season,) = [verdict for verdict in verdicts if verdict.metric == SEASON_MAPE and verdict.rule == "NotWorse"]
    assert not season.passed


def test_where_history_is_too_short_the_newest_weeks_decide_alone(
    evaluated: dict[str, CandidateEvaluation], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = {name: replace(one, evidence=one.evidence | {"season": None}) for name, one in evaluated.items()}
    found = decision(short, monkeypatch, "summery")
    assert found.accepted, found.reasons
    assert SEASON_MAPE not in found.scores.challenger


def test_history_that_is_too_short_has_no_season_fold() -> None:
    con = ibis.duckdb.connect(threads=1)
    until = dt.date(2024, 7, 2)
    days, stores = tables(con, plain_days(4, until=until), plain_stores(4))
    snapshot = Snapshot(days, days.limit(0), stores)
    fits: Any = {"linear_store": linear_store.fit}
    assert evaluation._season_fold(con, snapshot, fits, 7) is None
