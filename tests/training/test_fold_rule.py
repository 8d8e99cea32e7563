"""A rule on a fold of its own names the fold, and may pass only where the fold was not measured at all."""

from __future__ import annotations

import math

import pytest

from pipeline.training.fold_rule import OnFold
from pipeline.training.gate import NO_CHAMPION, BeatsBaseline, NotWorse, Scores

BEATS = OnFold(BeatsBaseline("mape", 0.0, higher_is_better=False), "the winter", optional=True)


def test_the_result_names_the_fold() -> None:
    result = BEATS.check(Scores({"mape": 0.3}, None, {"mape": 0.2}))
    assert not result.passed
    assert result.rule == "BeatsBaseline"
    assert result.sentence().endswith("on the winter")
    assert BEATS.check(Scores({"mape": 0.1}, None, {"mape": 0.2})).passed


def test_a_fold_that_history_does_not_reach_passes_only_where_it_is_optional() -> None:
    nothing = Scores({}, None, {})
    assert BEATS.check(nothing).passed
    assert "where history is long enough" in BEATS.check(nothing).sentence()
    assert not OnFold(BEATS.rule, "the winter").check(nothing).passed


@pytest.mark.parametrize(
    "scores",
    [
        Scores({"mape": math.nan}, None, {"mape": 0.2}),
        Scores({}, None, {"mape": 0.2}),
        Scores({"mape": 0.1}, None, {}),
    ],
    ids=["not a number", "challenger not measured", "baseline not measured"],
)
def test_a_metric_that_is_missing_for_one_only_fails(scores: Scores) -> None:
    assert not BEATS.check(scores).passed


def test_without_a_champion_a_comparison_with_it_stays_unnamed() -> None:
    rule = OnFold(NotWorse("mape", 0.0, higher_is_better=False), "the winter")
    assert rule.check(Scores({"mape": 0.1})).allowed == NO_CHAMPION
