"""Whether drift is reason enough to train again: a policy, and what it says of an outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.monitoring.drift import DriftOutcome


@dataclass(frozen=True)
class RetrainPolicy:
    """When drift is reason enough to train again.

    Args:
        share: of the model's input columns, from which they count as another world. 0.3 is six of eighteen: features of
            one customer move together, so one cause easily moves three or four.
        prediction: whether any drift of what the model says is enough by itself.
        performance: whether an error that has grown is enough by itself.
        cooldown_days: how long after a training drift is reported but not acted on. What a new model has not cured in a
            week needs a person.
    """

    share: float = 0.3
    prediction: bool = True
    performance: bool = True
    cooldown_days: int = 7


@dataclass(frozen=True)
class RetrainDecision:
    """Whether to train again, in a word and a sentence."""

    retrain: bool
    reason: str


def should_retrain(outcome: DriftOutcome, policy: RetrainPolicy, *, days_since_training: int) -> RetrainDecision:
    """Decide whether drift calls for a training.

    Args:
        days_since_training: from the as-of day of the newest version, promoted or not, to the day that was checked.
    """
    if outcome.verdict == "too few rows":
        return RetrainDecision(False, "too few rows to judge by")
    reasons = []
    error = outcome.performance
    if policy.performance and error and error.column.drifted:
        reasons.append(
            f"{error.metric} is {error.observed:.3f} on the {error.rows:,} predictions that came true or not, "
            f"where the training promised {error.expected:.3f} (from {error.factor:g} times that on)"
        )
    if policy.prediction and outcome.share("prediction") > 0:
        reasons.append("the predictions have drifted")
    if outcome.share("data") >= policy.share:
        reasons.append(f"{outcome.share('data'):.0%} of the columns have drifted (it takes {policy.share:.0%})")
    if not reasons:
        share = f"{outcome.share('data'):.0%}" if outcome.share("data") else "none"
        return RetrainDecision(False, f"{share} of the columns have drifted (it takes {policy.share:.0%})")
    why = " and ".join(reasons)
    if days_since_training < policy.cooldown_days:
        waits = f"the last training is {days_since_training} days old (waits for {policy.cooldown_days})"
        return RetrainDecision(False, f"{why}, but {waits}")
    return RetrainDecision(True, why)
