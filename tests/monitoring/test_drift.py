"""How far rows have moved, column by column."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import UsageError
from pipeline.monitoring.drift import DriftOutcome, compare
from pipeline.training.monitored import AMOUNT, FEW, NUMBER, Method, Performance

ROWS = 600


def look(
    reference: dict[str, Any], current: dict[str, Any], columns: dict[str, Method], **changes: int
) -> DriftOutcome:
    limits = {"seed": 7, "sample": 5_000, "minimum_rows": 500} | changes
    return compare(pd.DataFrame(reference), pd.DataFrame(current), columns, **limits)


def normal(seed: int, mean: float = 0.0, rows: int = ROWS) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(mean, 1.0, rows)


def weekdays(seed: int, weights: list[float], rows: int = ROWS) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).choice(len(weights), rows, p=np.array(weights) / sum(weights)).astype(float)


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
    assert outcome.html == b""


def test_as_many_rows_as_the_minimum_are_enough() -> None:
    assert look({"n": normal(1, rows=500)}, {"n": normal(2, rows=500)}, {"n": NUMBER}).verdict == "no drift"


@pytest.mark.parametrize(("missing", "drifted"), [(64, True), (63, False)])
def test_a_tenth_more_of_missing_values_is_drift(missing: int, drifted: bool) -> None:
    then, now = normal(1, rows=640), normal(1, rows=640)
    now[:missing] = np.nan
    assert look({"n": then}, {"n": now}, {"n": Method("wasserstein", 9.0)}).columns[0].drifted is drifted


def test_a_distance_that_reaches_the_threshold_is_drift() -> None:
    then, now = {"n": normal(1)}, {"n": normal(2, mean=0.4)}
    distance = look(then, now, {"n": NUMBER}).columns[0].score
    assert distance is not None
    for threshold, drifted in ((distance, True), (np.nextafter(distance, 1), False)):
        assert look(then, now, {"n": Method("wasserstein", threshold)}).columns[0].drifted is drifted


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


def quiet() -> DriftOutcome:
    return look({"n": normal(1)}, {"n": normal(2)}, {"n": NUMBER})


@pytest.mark.parametrize(
    ("observed", "expected", "drifted", "score"),
    [
        (0.5, 0.5, False, 1.0),
        (0.5999, 0.5, False, 1.1998),
        (0.6, 0.5, True, 1.2),
        (math.nan, 0.5, True, None),
        (0.5, math.nan, True, None),
        (0.1, 0.0, True, None),
    ],
    ids=["as promised", "a little more", "too much", "no number", "nothing promised", "perfection promised"],
)
def test_an_error_that_has_grown_is_drift(observed: float, expected: float, drifted: bool, score: float | None) -> None:
    outcome = quiet().with_performance(Performance("log_loss", observed, expected, 300, 1.2))
    assert outcome.verdict == ("drift" if drifted else "no drift")
    column = outcome.columns[-1]
    assert (column.column, column.kind, column.threshold, column.drifted) == ("log_loss", "performance", 1.2, drifted)
    assert column.score == (None if score is None else pytest.approx(score))
    assert (outcome.rows_of(column), outcome.rows_of(outcome.columns[0])) == (300, ROWS)
    assert outcome.share("performance") == float(drifted)


def test_few_rows_do_not_hide_a_grown_error_and_a_good_one_does_not_make_up_for_them() -> None:
    few = look({"n": normal(1, rows=10)}, {"n": normal(2, rows=10)}, {"n": NUMBER})
    assert few.with_performance(Performance("rmse", 9.0, 2.0, 20, 1.5)).verdict == "drift"
    assert few.with_performance(Performance("rmse", 2.0, 2.0, 20, 1.5)).verdict == "too few rows"
    assert few.with_performance(None) is few
