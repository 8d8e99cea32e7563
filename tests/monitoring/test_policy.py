"""When drift is reason enough to train again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.monitoring.drift import ColumnDrift, DriftOutcome, Performance
from pipeline.monitoring.policy import RetrainPolicy, should_retrain

if TYPE_CHECKING:
    from pipeline.monitoring.drift import DriftStatus, Kind


def found(verdict: DriftStatus, data: list[bool], prediction: bool = False) -> DriftOutcome:
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


@pytest.mark.parametrize(
    ("error", "days", "policy", "retrain"),
    [
        (0.9, 7, RetrainPolicy(), True),
        (0.5, 7, RetrainPolicy(), False),
        (0.9, 6, RetrainPolicy(), False),
        (0.9, 7, RetrainPolicy(performance=False), False),
    ],
    ids=["grown", "as promised", "cooling down", "not asked about"],
)
def test_a_grown_error_is_reason_enough(error: float, days: int, policy: RetrainPolicy, retrain: bool) -> None:
    outcome = found("no drift", [False] * 10).with_performance(Performance("log_loss", error, 0.5, 300, 1.2))
    decision = should_retrain(outcome, policy, days_since_training=days)
    assert decision.retrain is retrain
    assert ("log_loss is 0.900 on the 300 predictions" in decision.reason) == (error > 0.6 and policy.performance)


def test_too_few_rows_are_no_reason() -> None:
    outcome = DriftOutcome("too few rows", (), 10, 10, b"")
    assert not should_retrain(outcome, RetrainPolicy(), days_since_training=99).retrain
