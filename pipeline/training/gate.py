"""The gate: whether a challenger may become champion, by explicit rules whose results are stored.

Pure arithmetic on metrics that the caller measured, for challenger, champion and naive baseline, on one frozen window.
A rule passes only on a finite number: a metric that is missing, NaN or infinite fails.
A tie keeps the champion, because replacing a model costs something (people relearn segments, forecasts jump)
and noise alone would otherwise do it every night; `Better.by` is the smallest improvement that is worth it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.dates import format_day
from pipeline.reports.labels import exact, exact_difference, metric_of
from pipeline.reports.phrasing import percent

if TYPE_CHECKING:
    from datetime import date

Metrics = Mapping[str, float]

NO_CHAMPION = "a number"
"""What a comparison requires while there is no champion."""

TIE = 1e-9
"""Relative difference below which two scores are the same score: the rounding of sums in another order."""


@dataclass(frozen=True)
class Window:
    """The frozen rows on which challenger, champion and baseline were measured: a table's version, up to a day."""

    table: str
    version: int
    as_of: date


@dataclass(frozen=True)
class RuleResult:
    """The result of one rule: whether it passed, the challenger's value, and the values that pass."""

    rule: str
    metric: str
    passed: bool
    observed: float | str | None
    allowed: str

    def sentence(self) -> str:
        """The result in words."""
        seen = "not measured" if self.observed is None else self.observed
        seen = exact(self.metric, seen) if isinstance(seen, float) else seen
        name = metric_of(self.metric).text
        return f"{name} {seen} ({self.allowed})" if self.passed else f"{name} {seen}, but wanted: {self.allowed}"


@dataclass(frozen=True)
class Scores:
    """What a rule may look at. `champion` is None before there is one; `baseline` when none was scored.

    `challenger_as_of` and `champion_as_of` are the days up to which each of the two was trained.
    """

    challenger: Metrics
    champion: Metrics | None = None
    baseline: Metrics | None = None
    challenger_as_of: date | None = None
    champion_as_of: date | None = None


class Rule(Protocol):
    """One condition on a challenger."""

    @property
    def metric(self) -> str:
        """The metric that is checked."""

    def check(self, scores: Scores) -> RuleResult:
        """Check the metrics against the condition."""


@dataclass(frozen=True)
class Floor:
    """An absolute minimum, which does not depend on the champion."""

    metric: str
    at_least: float

    def check(self, scores: Scores) -> RuleResult:
        """Pass from `at_least` upwards."""
        value = _measured(scores.challenger, self.metric)
        passed = value is not None and value >= self.at_least
        return _result(self, value, passed, f"at least {exact(self.metric, self.at_least)}")


@dataclass(frozen=True)
class Ceiling:
    """An absolute maximum. With `against_champion`, any value passes while there is no champion."""

    metric: str
    at_most: float
    against_champion: bool = False

    def check(self, scores: Scores) -> RuleResult:
        """Pass up to `at_most`."""
        value = _measured(scores.challenger, self.metric)
        if self.against_champion and scores.champion is None:
            return _result(self, value, True, NO_CHAMPION)
        passed = value is not None and value <= self.at_most
        return _result(self, value, passed, f"at most {exact(self.metric, self.at_most)}")


@dataclass(frozen=True)
class Within:
    """Neither too little nor too much, as for the coverage of an interval."""

    metric: str
    low: float
    high: float

    def check(self, scores: Scores) -> RuleResult:
        """Pass from `low` to `high`, both included."""
        value = _measured(scores.challenger, self.metric)
        passed = value is not None and self.low <= value <= self.high
        return _result(self, value, passed, f"{exact(self.metric, self.low)} to {exact(self.metric, self.high)}")


@dataclass(frozen=True)
class NotWorse:
    """Not worse than the champion by more than a tolerance (in the metric's own unit)."""

    metric: str
    tolerance: float
    higher_is_better: bool = True

    def check(self, scores: Scores) -> RuleResult:
        """Pass without a champion; otherwise within the tolerance."""
        value = _measured(scores.challenger, self.metric)
        if scores.champion is None:
            return _result(self, value, value is not None, NO_CHAMPION)
        other = _measured(scores.champion, self.metric)
        if other is None:
            return _result(self, value, False, "a champion's value to compare with; there is none")
        limit = other - self.tolerance if self.higher_is_better else other + self.tolerance
        passed = value is not None and (value >= limit if self.higher_is_better else value <= limit)
        side = "at least" if self.higher_is_better else "at most"
        compared = f"champion {exact(self.metric, other)}, tolerance {exact_difference(self.metric, self.tolerance)}"
        return _result(self, value, passed, f"{side} {exact(self.metric, limit)} ({compared})")


@dataclass(frozen=True)
class Better:
    """Better than the champion by more than `by` (in the metric's own unit); a tie keeps the champion."""

    metric: str
    by: float = 0.0
    higher_is_better: bool = True

    def check(self, scores: Scores) -> RuleResult:
        """Pass without a champion; otherwise when strictly better by more than `by`."""
        value = _measured(scores.challenger, self.metric)
        if scores.champion is None:
            return _result(self, value, value is not None, NO_CHAMPION)
        other = _measured(scores.champion, self.metric)
        if other is None:
            return _result(self, value, False, "a champion's value to compare with; there is none")
        limit = other + self.by if self.higher_is_better else other - self.by
        passed = value is not None and _beyond(value, limit, higher=self.higher_is_better)
        side = "more than" if self.higher_is_better else "less than"
        by = f", by {exact_difference(self.metric, self.by)}" if self.by else ""
        compared = f"champion {exact(self.metric, other)}{by}"
        return _result(self, value, passed, f"{side} {exact(self.metric, limit)} ({compared})")


@dataclass(frozen=True)
class BeatsBaseline:
    """Better than the naive baseline by a share of the baseline's score: 0.2 means 20 %.

    A baseline that was not scored fails the rule: what was not measured was not beaten.
    """

    metric: str
    share: float
    higher_is_better: bool = True

    def check(self, scores: Scores) -> RuleResult:
        """Pass when strictly better than the baseline moved by `share` of its size."""
        value = _measured(scores.challenger, self.metric)
        other = _measured(scores.baseline or {}, self.metric)
        if other is None:
            return _result(self, value, False, "a naive baseline's value to compare with; there is none")
        step = self.share * abs(other)
        limit = other + step if self.higher_is_better else other - step
        passed = value is not None and _beyond(value, limit, higher=self.higher_is_better)
        side = "more than" if self.higher_is_better else "less than"
        by = f", by {percent(self.share, 0)}" if self.share else ""
        compared = f"baseline {exact(self.metric, other)}{by}"
        return _result(self, value, passed, f"{side} {exact(self.metric, limit)} ({compared})")


@dataclass(frozen=True)
class NotOlder:
    """The challenger's as-of day is not before the champion's, so a model on older data never replaces a newer one."""

    metric: str = "as_of"

    def check(self, scores: Scores) -> RuleResult:
        """Pass without a champion, or when both days are known and the challenger's is not the earlier."""
        if scores.champion is None:
            return RuleResult("NotOlder", self.metric, True, None, NO_CHAMPION)
        mine, other = scores.challenger_as_of, scores.champion_as_of
        passed = mine is not None and other is not None and mine >= other
        allowed = f"not before {format_day(other) if other else 'the champion'}, the champion's as-of day"
        return RuleResult("NotOlder", self.metric, passed, format_day(mine) if mine else None, allowed)


@dataclass(frozen=True)
class Decision:
    """The gate's decision, with the results of its rules and the metrics and rows that it is based on."""

    accepted: bool
    verdicts: tuple[RuleResult, ...]
    window: Window
    scores: Scores

    @property
    def reasons(self) -> tuple[str, ...]:
        """A sentence for each failed rule; for an accepted challenger, one for each rule that made a comparison."""
        if not self.accepted:
            return tuple(verdict.sentence() for verdict in self.verdicts if not verdict.passed)
        compared = [verdict.sentence() for verdict in self.verdicts if verdict.allowed != NO_CHAMPION]
        return tuple(compared if self.scores.champion else [*compared, "there was no champion to compare with"])

    @property
    def figures(self) -> dict[str, Any]:
        """The decision as JSON can hold it, to be stored with the version. NaN and infinity become null."""
        return {
            "accepted": self.accepted,
            "reasons": list(self.reasons),
            "window": asdict(self.window) | {"as_of": format_day(self.window.as_of)},
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            "challenger": _plain(self.scores.challenger),
            "champion": _plain(self.scores.champion),
            "baseline": _plain(self.scores.baseline),
        }


def decide(scores: Scores, rules: Sequence[Rule], *, window: Window) -> Decision:
    """Check a challenger against the rules.

    Args:
        scores: metrics of challenger, champion and naive baseline on `window`.
        rules: every one must pass.
        window: the rows on which the three were scored, kept with the decision.

    Raises:
        ValueError: without rules, because a gate that checks nothing is a mistake.
    """
    if not rules:
        raise ValueError("A gate needs at least one rule")
    verdicts = tuple(rule.check(scores) for rule in rules)
    return Decision(all(verdict.passed for verdict in verdicts), verdicts, window, scores)


def segmentation_rules(*, silhouette: float, stability: float) -> tuple[Rule, ...]:
    """The gate's rules of a segmentation.

    Args:
        silhouette: the minimum mean silhouette; below it, segments are slices of one cloud.
        stability: the minimum mean adjusted Rand index with refits on bootstrap samples.
    """
    return (
        Floor("silhouette", silhouette),
        Floor("stability", stability),
        Floor("smallest_share", 0.02),
        NotWorse("stability", 0.05),
        # A smaller gain is within the silhouette's sampling error and does not justify new segments.
        Better("silhouette", by=0.005),
    )


def _measured(metrics: Metrics, name: str) -> float | None:
    value = metrics.get(name)
    return None if value is None or not math.isfinite(value) else float(value)


def _beyond(value: float, limit: float, *, higher: bool) -> bool:
    if math.isclose(value, limit, rel_tol=TIE, abs_tol=TIE):
        return False
    return value > limit if higher else value < limit


def _result(rule: Any, observed: float | None, passed: bool, allowed: str) -> RuleResult:
    return RuleResult(type(rule).__name__, rule.metric, passed, observed, allowed)


def _plain(metrics: Metrics | None) -> dict[str, float | None] | None:
    return None if metrics is None else {name: _measured(metrics, name) for name in sorted(metrics)}
