from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.cluster import KMeans

from pipeline.customers.features import FEATURES
from pipeline.drift import (
    AMOUNT,
    FEW,
    NUMBER,
    WATCHED,
    ColumnDrift,
    DriftOutcome,
    Method,
    RetrainPolicy,
    compare,
    should_retrain,
    watch,
)
from pipeline.errors import UsageError
from pipeline.lake import Lake
from pipeline.models import Provenance
from pipeline.registry import Registry

if TYPE_CHECKING:
    from pipeline.drift import Kind, Verdict
    from pipeline.settings import Settings

ROWS = 600
TRAINED, TODAY = date(2011, 12, 1), date(2011, 12, 10)


def look(
    reference: dict[str, Any], current: dict[str, Any], columns: dict[str, Method], **changes: int
) -> DriftOutcome:
    limits = {"seed": 7, "sample": 5_000, "minimum_rows": 500} | changes
    return compare(pd.DataFrame(reference), pd.DataFrame(current), columns, **limits)


def normal(seed: int, mean: float = 0.0, rows: int = ROWS) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(mean, 1.0, rows)


def weekdays(seed: int, weights: list[float], rows: int = ROWS) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).choice(len(weights), rows, p=np.array(weights) / sum(weights)).astype(float)


# Compare


def test_each_kind_of_column_says_yes_and_no() -> None:
    tail = np.random.default_rng(5).lognormal(3.0, 1.5, ROWS)
    even = [1.0] * 7
    outcome = look(
        {"n_same": normal(1), "n_moved": normal(1), "a_same": tail, "a_moved": tail}
        | {"c_same": weekdays(1, even), "c_moved": weekdays(1, even)},
        {"n_same": normal(2), "n_moved": normal(2, 0.4), "a_same": tail[::-1], "a_moved": tail * 1.5}
        | {"c_same": weekdays(2, even), "c_moved": weekdays(2, [3.0, *even[1:]])},
        {"n_same": NUMBER, "n_moved": NUMBER, "a_same": AMOUNT, "a_moved": AMOUNT, "c_same": FEW, "c_moved": FEW},
    )
    assert outcome.verdict == "drift"
    assert outcome.drifted == ("n_moved", "a_moved", "c_moved")
    assert outcome.share() == 0.5
    assert (outcome.reference_rows, outcome.current_rows) == (ROWS, ROWS)
    moved = next(column for column in outcome.columns if column.column == "n_moved")
    assert moved.score == pytest.approx(0.4, abs=0.1)


def test_a_heavy_tail_hides_a_shift_unless_compared_on_a_log_scale() -> None:
    tail = np.random.default_rng(5).lognormal(3.0, 3.0, ROWS)
    outcome = look({"a": tail, "b": tail}, {"a": tail * 2, "b": tail * 2}, {"a": NUMBER, "b": AMOUNT})
    assert outcome.drifted == ("b",)


@pytest.mark.parametrize(("then", "now"), [(499, 600), (600, 499), (0, 600), (600, 0), (0, 0)])
def test_too_few_rows_are_never_no_drift(then: int, now: int) -> None:
    outcome = look({"n": normal(1, rows=then)}, {"n": normal(2, rows=now)}, {"n": NUMBER})
    assert outcome.verdict == "too few rows"
    assert outcome.columns == ()
    assert b"Too few rows" in outcome.html
    assert not should_retrain(outcome, RetrainPolicy(), days_since_training=99).retrain


def test_constant_columns() -> None:
    zero, one = np.zeros(ROWS), np.ones(ROWS)
    outcome = look(
        {"same": zero, "moved": zero, "c_same": one, "c_moved": one},
        {"same": zero, "moved": one, "c_same": one, "c_moved": zero},
        {"same": NUMBER, "moved": AMOUNT, "c_same": FEW, "c_moved": FEW},
    )
    assert outcome.drifted == ("moved", "c_moved")
    assert [column.score for column in outcome.columns][::2] == [0.0, 0.0]


def test_missing_values() -> None:
    gaps = normal(2)
    gaps[: ROWS // 8] = np.nan
    lost = np.full(ROWS, np.nan)
    infinite = np.full(ROWS, np.inf)
    outcome = look(
        {"gaps": normal(1), "lost": normal(1), "never": lost, "infinite": normal(1), "c_gaps": np.ones(ROWS)},
        {"gaps": gaps, "lost": lost, "never": lost, "infinite": infinite, "c_gaps": np.where(gaps > -9, 1.0, np.nan)},
        {"gaps": NUMBER, "lost": NUMBER, "never": NUMBER, "infinite": AMOUNT, "c_gaps": FEW},
    )
    assert outcome.drifted == ("gaps", "lost", "infinite", "c_gaps")
    by_name = {column.column: column for column in outcome.columns}
    assert by_name["gaps"].score is not None
    assert by_name["gaps"].score < NUMBER.threshold
    assert by_name["gaps"].current_missing == pytest.approx(0.125)
    assert [by_name[name].score for name in ("lost", "never", "infinite")] == [None] * 3


def test_only_missing_values_are_too_few() -> None:
    lost = np.full(ROWS, np.nan)
    assert look({"n": lost}, {"n": lost}, {"n": NUMBER}).verdict == "too few rows"


def test_the_sample_is_seeded_and_bounded() -> None:
    then, now = {"n": normal(1, rows=5_000)}, {"n": normal(2, rows=5_000)}
    outcomes = [look(then, now, {"n": NUMBER}, sample=600, seed=seed) for seed in (1, 1, 2)]
    scores = [outcome.columns[0].score for outcome in outcomes]
    assert scores[0] == scores[1] != scores[2]
    assert outcomes[0].reference_rows == 5_000


def test_the_page_needs_no_network_and_the_json_is_small() -> None:
    outcome = look({"n": normal(1)}, {"n": normal(2)}, {"n": NUMBER})
    page = outcome.html.decode()
    assert "<script src" not in page
    assert 'rel="stylesheet" href="http' not in page
    assert json.loads(json.dumps(outcome.as_dict(), allow_nan=False))["verdict"] == "no drift"


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match=r"current rows[^$]*\['b'\]"):
        look({"a": normal(1), "b": normal(1)}, {"a": normal(1)}, {"a": NUMBER, "b": NUMBER})


def test_a_method_that_gives_a_p_value_is_refused() -> None:
    with pytest.raises(UsageError, match="distance"):
        Method("ks", 0.05)


# Retrain


def found(verdict: Verdict, data: list[bool], prediction: bool = False) -> DriftOutcome:
    def column(name: str, kind: Kind, drifted: bool) -> ColumnDrift:
        return ColumnDrift(name, kind, "wasserstein", 0.2, 0.0, drifted, 0.0, 0.0)

    columns = [column(f"c{i}", "data", drifted) for i, drifted in enumerate(data)]
    return DriftOutcome(verdict, (*columns, column("prediction", "prediction", prediction)), 600, 600, b"")


@pytest.mark.parametrize(
    ("outcome", "days", "retrain"),
    [
        (found("drift", [True] * 3 + [False] * 7), 7, True),
        (found("drift", [True] * 2 + [False] * 8), 7, False),
        (found("drift", [False] * 10, prediction=True), 7, True),
        (found("drift", [True] * 10, prediction=True), 6, False),
        (found("drift", [True] * 10, prediction=True), -3, False),
        (found("no drift", [False] * 10), 99, False),
    ],
    ids=["enough columns", "too few columns", "prediction", "cooling down", "trained later", "none"],
)
def test_the_decision_to_retrain(outcome: DriftOutcome, days: int, retrain: bool) -> None:
    decision = should_retrain(outcome, RetrainPolicy(), days_since_training=days)
    assert decision.retrain is retrain
    assert decision.reason


def test_a_policy_may_ignore_predictions() -> None:
    outcome = found("drift", [False] * 10, prediction=True)
    assert not should_retrain(outcome, RetrainPolicy(prediction=False), days_since_training=9).retrain


# Watch


def test_every_feature_has_its_method() -> None:
    (segments,) = (watched for watched in WATCHED if watched.name == "customer_segments")
    assert tuple(segments.columns) == FEATURES


def customers(as_of: date, seed: int, rows: int = ROWS, factor: float = 1.0) -> pa.Table:
    draw = np.random.default_rng(seed)
    return pa.table(
        {
            "customer_id": [f"{i:05d}" for i in range(rows)],
            "as_of": pa.array([as_of] * rows, pa.date32()),
            **{name: draw.gamma(2.0, 10.0, rows) * factor for name in FEATURES if name not in CODES},
            **{name: draw.integers(0, 2, rows).astype(float) for name in CODES},
        }
    )


CODES = ("favourite_weekday", "favourite_hour", "is_home_country")
USED = ("revenue", "recency_days")


@pytest.fixture
def trained(home: Settings) -> Settings:
    """A home with a champion, and with features of its training day that were made again, differently, since."""
    lake, registry = Lake(home), Registry(home)
    made = lake.replace("customer_features", {"as_of": [TRAINED]}, customers(TRAINED, 1))
    rows = lake.read("customer_features").to_pandas()[list(USED)]
    champion = registry.log_challenger(
        "customer_segments",
        KMeans(3, n_init=1, random_state=7).fit(rows),
        provenance=Provenance(TRAINED, {"customer_features": made.version}, USED, 7, "abc"),
        example=rows,
        metrics={"silhouette": 0.4},
        artefacts={"segments.json": {"segments": [{"name": name} for name in ("insiders", "regulars", "once")]}},
    )
    registry.promote("customer_segments", champion.version, by="test", reason="first")
    lake.replace("customer_features", {"as_of": [TRAINED]}, customers(TRAINED, 1, factor=9.0))
    return home


def test_without_a_champion_there_is_nothing_to_watch(home: Settings) -> None:
    result, *_ = watch(home, TODAY)
    assert (result.verdict, result.retrain, result.page) == ("no champion", False, None)


def test_today_is_compared_with_the_version_the_champion_was_trained_on(trained: Settings) -> None:
    Lake(trained).replace("customer_features", {"as_of": [TODAY]}, customers(TODAY, 2))
    result, *_ = watch(trained, TODAY)
    assert (result.verdict, result.drifted, result.retrain) == ("no drift", (), False)
    assert result.model_version == 1


def test_drift_is_found_told_and_acted_on(trained: Settings) -> None:
    lake = Lake(trained)
    lake.replace("customer_features", {"as_of": [TODAY]}, customers(TODAY, 2, factor=2.0))
    result, *_ = watch(trained, TODAY)
    assert (result.verdict, result.retrain) == ("drift", True)
    assert {"revenue", "prediction"} <= set(result.drifted)
    assert not set(CODES) & set(result.drifted)

    rows = lake.read("drift").to_pandas().set_index("column")
    assert sorted(rows.index) == sorted((*FEATURES, "prediction"))
    assert set(rows.index[rows["drifted"]]) == set(result.drifted)
    assert rows.loc["prediction", "kind"] == "prediction"
    assert set(rows["model_version"]) == {1}

    assert result.page == "reports/drift/customer_segments/2011-12-10.html"
    assert b"revenue (log)" in lake.open_blob(result.page).read()
    assert result.figures is not None
    figures = json.loads(lake.open_blob(result.figures).read())
    assert figures["verdict"] == "drift"
    assert figures["retrain"] is True
    assert figures["reference"] == {"table": "customer_features", "version": 0, "as_of": "2011-12-01"}
    assert json.loads(json.dumps(result.as_dict()))["drifted"] == list(result.drifted)


def test_a_model_and_a_day_replace_only_themselves(trained: Settings) -> None:
    lake = Lake(trained)
    for day in (TODAY, date(2011, 12, 11)):
        lake.replace("customer_features", {"as_of": [day]}, customers(day, 2))
    small = replace(WATCHED[0], columns={"revenue": AMOUNT})
    watch(trained, TODAY, [small])
    watch(trained, date(2011, 12, 11), [small])
    rows = lake.read("drift", where={"checked_on": [TODAY]})
    other = rows.set_column(rows.column_names.index("model"), "model", pa.array(["other"] * rows.num_rows))
    lake.replace("drift", {"checked_on": [TODAY], "model": ["other"]}, other)
    watch(trained, TODAY, [small])
    counts = lake.read("drift").to_pandas().groupby(["checked_on", "model"]).size()
    assert counts.to_dict() == {
        (TODAY, "customer_segments"): 2,
        (TODAY, "other"): 2,
        (date(2011, 12, 11), "customer_segments"): 2,
    }


def test_a_day_without_features_is_too_few_rows(trained: Settings) -> None:
    result, *_ = watch(trained, TODAY)
    assert (result.verdict, result.retrain) == ("too few rows", False)
    assert Lake(trained).read("drift").num_rows == 0
    assert result.page is not None
    assert b"Too few rows" in Lake(trained).open_blob(result.page).read()


def test_a_reference_that_is_gone_is_said(trained: Settings) -> None:
    for file in Lake(trained).files("customer_features", 0):
        trained.home_path.joinpath(file).unlink()
    result, *_ = watch(trained, TODAY)
    assert (result.verdict, result.retrain) == ("no reference", False)
    assert "can no longer be read" in result.reason


def test_a_training_that_was_refused_starts_the_cool_down_too(trained: Settings) -> None:
    lake, registry = Lake(trained), Registry(trained)
    lake.replace("customer_features", {"as_of": [TODAY]}, customers(TODAY, 2, factor=2.0))
    champion = registry.load("customer_segments")
    made_from = replace(champion.version.provenance, as_of=date(2011, 12, 8))
    example = lake.read("customer_features", 0).to_pandas()[list(USED)]
    registry.log_challenger("customer_segments", champion.model, provenance=made_from, example=example, metrics={})
    result, *_ = watch(trained, TODAY)
    assert (result.verdict, result.retrain) == ("drift", False)
    assert "2 days old" in result.reason
