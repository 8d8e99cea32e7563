from __future__ import annotations

import json
import math
from datetime import date

import pytest

from pipeline.training.gate import (
    BeatsBaseline,
    Better,
    Ceiling,
    Decision,
    Floor,
    NotOlder,
    NotWorse,
    Rule,
    Scores,
    Window,
    Within,
    decide,
    segmentation_rules,
)

WINDOW = Window("customer_features", 4, date(2011, 12, 10))

SEGMENTS = segmentation_rules(silhouette=0.15, stability=0.8)
GOOD = {"silhouette": 0.30, "stability": 0.95, "smallest_share": 0.10}


def accepts(rule: Rule, challenger: dict[str, float], champion: dict[str, float] | None = None, **more: float) -> bool:
    return decide(Scores(challenger, champion, more or None), [rule], window=WINDOW).accepted


@pytest.mark.parametrize(
    ("rule", "yes", "no"),
    [
        (Floor("m", 0.5), 0.5, 0.499),
        (Ceiling("m", 0.5), 0.5, 0.501),
        (Within("m", 0.77, 0.83), 0.83, 0.84),
        (Within("m", 0.77, 0.83), 0.77, 0.76),
    ],
)
def test_absolute_rules_say_yes_and_no(rule: Rule, yes: float, no: float) -> None:
    assert accepts(rule, {"m": yes})
    assert not accepts(rule, {"m": no})


@pytest.mark.parametrize(
    ("rule", "yes", "no"),
    [
        (NotWorse("m", 0.02), 0.48, 0.47),
        (NotWorse("m", 0.02, higher_is_better=False), 0.52, 0.53),
        (Better("m"), 0.51, 0.49),
        (Better("m", higher_is_better=False), 0.49, 0.51),
        (Better("m", by=0.05), 0.56, 0.54),
        (Better("m", by=0.05, higher_is_better=False), 0.44, 0.46),
    ],
)
def test_rules_against_the_champion_say_yes_and_no(rule: Rule, yes: float, no: float) -> None:
    assert accepts(rule, {"m": yes}, {"m": 0.5})
    assert not accepts(rule, {"m": no}, {"m": 0.5})


@pytest.mark.parametrize(
    ("rule", "yes", "no", "baseline"),
    [
        (BeatsBaseline("m", 0.2), 0.61, 0.59, 0.5),
        (BeatsBaseline("m", 0.2, higher_is_better=False), 0.39, 0.41, 0.5),
        (BeatsBaseline("m", 0.2), -0.39, -0.41, -0.5),
    ],
)
def test_the_baseline_must_be_beaten_by_a_share(rule: Rule, yes: float, no: float, baseline: float) -> None:
    assert accepts(rule, {"m": yes}, m=baseline)
    assert not accepts(rule, {"m": no}, m=baseline)
    assert not accepts(rule, {"m": baseline * 1.2 if baseline > 0 and yes > baseline else no}, m=baseline)


def test_a_baseline_that_was_not_scored_was_not_beaten() -> None:
    assert not accepts(BeatsBaseline("m", 0.2), {"m": 9.0})
    assert not accepts(BeatsBaseline("m", 0.2), {"m": 9.0}, m=math.nan)


EVERY_RULE = [
    Floor("m", -9e9),
    Ceiling("m", 9e9),
    Within("m", -9e9, 9e9),
    NotWorse("m", 9e9),
    Better("m", by=-9e9),
    BeatsBaseline("m", 0.0, higher_is_better=False),
]


@pytest.mark.parametrize("rule", EVERY_RULE, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("metrics", [{"m": math.nan}, {"m": math.inf}, {"m": -math.inf}, {}, {"other": 1.0}])
@pytest.mark.parametrize("champion", [None, {"m": 0.5}])
def test_what_is_no_number_fails_every_rule(
    rule: Rule, metrics: dict[str, float], champion: dict[str, float] | None
) -> None:
    assert accepts(rule, {"m": 0.4}, champion, m=0.5), "the rule must be able to say yes"
    assert not accepts(rule, metrics, champion, m=0.5)


@pytest.mark.parametrize("rule", [NotWorse("m", 9e9), Better("m", by=-9e9)], ids=lambda rule: type(rule).__name__)
def test_a_champion_without_the_metric_cannot_be_compared_with(rule: Rule) -> None:
    assert not accepts(rule, {"m": 1.0}, {"m": math.nan})
    assert not accepts(rule, {"m": 1.0}, {})


@pytest.mark.parametrize("higher", [True, False])
def test_a_tie_keeps_the_champion(higher: bool) -> None:
    rule = Better("m", higher_is_better=higher)
    assert not accepts(rule, {"m": 0.3}, {"m": 0.3})
    assert not accepts(rule, {"m": 0.1 + 0.2}, {"m": 0.3})
    assert not accepts(rule, {"m": 0.3}, {"m": 0.1 + 0.2})


def test_better_by_exactly_the_margin_is_a_tie() -> None:
    assert not accepts(Better("m", by=0.1), {"m": 0.4}, {"m": 0.3})


def test_a_first_model_must_pass_the_floors() -> None:
    assert decide(Scores(GOOD, None), SEGMENTS, window=WINDOW).accepted
    for metric in GOOD:
        assert not decide(Scores(GOOD | {metric: 0.0}, None), SEGMENTS, window=WINDOW).accepted


def test_a_better_segmentation_goes_through_and_a_worse_one_is_stopped() -> None:
    assert decide(Scores(GOOD | {"silhouette": 0.33}, GOOD), SEGMENTS, window=WINDOW).accepted
    assert not decide(Scores(GOOD | {"silhouette": 0.27}, GOOD), SEGMENTS, window=WINDOW).accepted
    assert not decide(Scores(GOOD | {"silhouette": 0.33, "stability": 0.85}, GOOD), SEGMENTS, window=WINDOW).accepted


def test_a_nightly_retraining_of_the_same_quality_keeps_the_champion() -> None:
    decision = decide(Scores(GOOD | {"silhouette": 0.3004}, GOOD), SEGMENTS, window=WINDOW)
    assert not decision.accepted
    assert decision.reasons == ("silhouette 0.3004, but wanted: more than 0.305 (champion 0.3, by 0.005)",)


def test_every_verdict_is_kept_and_the_figures_are_json() -> None:
    decision = decide(Scores({"silhouette": math.nan}, GOOD), SEGMENTS, window=WINDOW)
    figures = json.loads(json.dumps(decision.figures, allow_nan=False))
    assert figures["accepted"] is False
    assert figures["window"] == {"table": "customer_features", "version": 4, "as_of": "2011-12-10"}
    assert [verdict["passed"] for verdict in figures["verdicts"]] == [False] * len(SEGMENTS)
    assert figures["challenger"] == {"silhouette": None}
    assert figures["champion"] == GOOD
    assert len(decision.reasons) == len(SEGMENTS)


def test_a_gate_without_rules_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least one rule"):
        decide(Scores(GOOD, None), [], window=WINDOW)


def test_a_challenger_that_knows_less_than_the_champion_is_stopped() -> None:
    old, new = date(2010, 6, 1), date(2010, 12, 10)

    def decision(challenger: date | None, champion: date | None) -> Decision:
        scores = Scores({"m": 1.0}, {"m": 0.5}, None, challenger, champion)
        return decide(scores, [Better("m"), NotOlder()], window=WINDOW)

    assert decision(new, old).accepted
    assert decision(new, new).accepted
    refused = decision(old, new)
    assert not refused.accepted
    assert refused.reasons == ("as of 2010-06-01, but wanted: not before 2010-12-10, the champion's as-of day",)
    assert not decision(None, new).accepted
    assert decide(Scores({"m": 1.0}, challenger_as_of=old), [Floor("m", 0.5), NotOlder()], window=WINDOW).accepted


def test_a_ceiling_against_the_champion_is_only_asked_where_there_is_one() -> None:
    rule = Ceiling("difference", 0.0, against_champion=True)
    assert accepts(rule, {})
    assert accepts(rule, {"difference": -0.1}, {"m": 1.0})
    assert not accepts(rule, {"difference": 0.1}, {"m": 1.0})
    assert not accepts(rule, {}, {"m": 1.0})


@pytest.mark.parametrize(
    ("metric", "yes", "no"), [("silhouette", 0.15, 0.149), ("stability", 0.8, 0.799), ("smallest_share", 0.02, 0.019)]
)
def test_a_segmentation_must_reach_each_floor(metric: str, yes: float, no: float) -> None:
    for value, accepted in ((yes, True), (no, False)):
        assert decide(Scores(GOOD | {metric: value}, None), SEGMENTS, window=WINDOW).accepted is accepted


@pytest.mark.parametrize(
    ("metric", "yes", "no"), [("silhouette", 0.306, 0.304), ("stability", 0.901, 0.899)], ids=["better", "as stable"]
)
def test_a_segmentation_must_be_better_and_about_as_stable(metric: str, yes: float, no: float) -> None:
    for value, accepted in ((yes, True), (no, False)):
        challenger = GOOD | {"silhouette": 0.4} | {metric: value}
        assert decide(Scores(challenger, GOOD), SEGMENTS, window=WINDOW).accepted is accepted
