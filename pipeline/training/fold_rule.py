"""A rule of the gate on a fold of its own, which the decision names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.training.gate import NO_CHAMPION, RuleResult

if TYPE_CHECKING:
    from pipeline.training.gate import Rule, Scores


@dataclass(frozen=True)
class OnFold:
    """Another rule, on a metric that was measured on a fold of its own, which the decision names.

    Attributes:
        rule: the rule.
        fold: the fold in words, such as "the six weeks after the same date a year ago".
        optional: whether the rule passes where the fold was not measured for challenger and baseline at all, because
            history is too short for it. A metric that was measured and is not a finite number fails as ever.
    """

    rule: Rule
    fold: str
    optional: bool = False

    @property
    def metric(self) -> str:
        """The metric of the rule."""
        return self.rule.metric

    def check(self, scores: Scores) -> RuleResult:
        """Check the rule, and name the fold."""
        if self.optional and self.metric not in scores.challenger and self.metric not in (scores.baseline or {}):
            allowed = f"a number on {self.fold}, where history is long enough"
            return RuleResult(type(self.rule).__name__, self.metric, True, None, allowed)
        result = self.rule.check(scores)
        allowed = result.allowed if result.allowed == NO_CHAMPION else f"{result.allowed}, on {self.fold}"
        return replace(result, allowed=allowed)
