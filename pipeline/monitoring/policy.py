"""Whether drift is reason enough to train again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.monitoring.drift import NOTHING_NEW
from pipeline.reports.labels import metric_of
from pipeline.reports.phrasing import count, percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.monitoring.drift import DriftOutcome
    from pipeline.training.monitored import DriftKind, RetrainPolicy


@dataclass(frozen=True)
class RetrainDecision:
    """Whether to train again, and why in a sentence."""

    retrain: bool
    reason: str


def shows_drift(columns: Iterable[tuple[DriftKind, bool]], policy: RetrainPolicy) -> bool:
    """Whether a check shows drift that counts towards a training.

    Args:
        columns: the kind of each compared column, and whether it drifted.
        policy: what counts.
    """
    flags: dict[DriftKind, list[bool]] = {}
    for kind, drifted in columns:
        flags.setdefault(kind, []).append(drifted)
    data = flags.get("data", [])
    return bool(
        (policy.performance and any(flags.get("performance", [])))
        or (policy.prediction and any(flags.get("prediction", [])))
        or (data and sum(data) / len(data) >= policy.share)
    )


def should_retrain(
    outcome: DriftOutcome, policy: RetrainPolicy, *, earlier: Sequence[bool], days_since_training: int
) -> RetrainDecision:
    """Decide whether drift calls for a training.

    Args:
        outcome: of the newest check.
        policy: when to train again.
        earlier: whether the same version's earlier checks showed such drift, newest first.
        days_since_training: from the as-of day of the newest version, promoted or not, to the day that was checked.
    """
    if outcome.verdict == NOTHING_NEW:
        return RetrainDecision(False, "the champion was trained on these rows")
    if outcome.verdict == "too few rows":
        return RetrainDecision(False, "too few rows to judge by")
    share = percent(outcome.share("data"), 0) if outcome.share("data") else "none"
    if not shows_drift(((column.kind, column.drifted) for column in outcome.columns), policy):
        return RetrainDecision(False, f"{share} of the columns have drifted (it takes {percent(policy.share, 0)})")
    why = " and ".join(_reasons(outcome, policy))
    found = 1 + sum(earlier[: policy.windows - 1])
    if found < policy.needed:
        return RetrainDecision(
            False, f"{why}, but in {found} of the newest {policy.windows} checks (it takes {policy.needed})"
        )
    if days_since_training < policy.cooldown_days:
        waits = f"the last training is {days_since_training} days old (waits for {policy.cooldown_days})"
        return RetrainDecision(False, f"{why}, but {waits}")
    return RetrainDecision(True, why)


def _reasons(outcome: DriftOutcome, policy: RetrainPolicy) -> list[str]:
    """What counts towards a training, a clause each."""
    reasons = []
    error = outcome.performance
    if policy.performance and error and error.column.drifted:
        metric = metric_of(error.metric)
        reasons.append(
            f"{metric.text} is {metric.value(error.observed)} on {count(error.rows)} predictions with known outcomes, "
            f"against {metric.value(error.expected)} at training (too much from {error.factor:g} times that on)"
        )
    if policy.prediction and outcome.share("prediction") > 0:
        reasons.append("the predictions have drifted")
    if outcome.share("data") >= policy.share:
        reasons.append(
            f"{percent(outcome.share('data'), 0)} of the columns have drifted (it takes {percent(policy.share, 0)})"
        )
    return reasons
