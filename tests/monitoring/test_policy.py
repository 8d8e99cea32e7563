"""When drift is reason enough to train again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.monitoring.drift import NOTHING_NEW, DriftOutcome
from pipeline.monitoring.policy import should_retrain
from pipeline.training.monitored import ColumnDrift, Performance, RetrainPolicy

if TYPE_CHECKING:
    from pipeline.monitoring.drift import DriftStatus
    from pipeline.training.monitored import DriftKind


def found(verdict: DriftStatus, data: list[bool], prediction: bool = False) -> DriftOutcome:
    def column(name: str, kind: DriftKind, drifted: bool) -> ColumnDrift:
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
        (found("too few rows", [True] * 10), 7, False),
        (found(NOTHING_NEW, [True] * 10), 7, False),
    ],
    ids=[
        *("enough columns", "too few columns", "prediction", "cooling down", "trained later", "none"),
        *("too few rows", "the rows of the training"),
    ],
)
def test_the_decision_to_retrain(outcome: DriftOutcome, days: int, retrain: bool) -> None:
    decision = should_retrain(outcome, RetrainPolicy(), earlier=[True], days_since_training=days)
    assert decision.retrain is retrain
    assert decision.reason


def test_a_policy_may_ignore_predictions() -> None:
    outcome = found("drift", [False] * 10, prediction=True)
    assert not should_retrain(outcome, RetrainPolicy(prediction=False), earlier=[True], days_since_training=9).retrain


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
    decision = should_retrain(outcome, policy, earlier=[True], days_since_training=days)
    assert decision.retrain is retrain
    assert ("log-loss is 0.900 on 300 predictions" in decision.reason) == (error > 0.6 and policy.performance)


def test_too_few_rows_are_no_reason() -> None:
    outcome = DriftOutcome("too few rows", (), 10, 10, b"")
    assert not should_retrain(outcome, RetrainPolicy(), earlier=[True], days_since_training=99).retrain


@pytest.mark.parametrize(
    ("earlier", "retrain"),
    [
        ([], False),
        ([False, False, False, False], False),
        ([False, False, False, True], True),
        ([False] * 4 + [True], False),
    ],
    ids=["first check", "only the newest", "two of five", "too long ago"],
)
def test_drift_must_hold_for_two_of_the_newest_five_checks(earlier: list[bool], retrain: bool) -> None:
    outcome = found("drift", [True] * 10)
    assert should_retrain(outcome, RetrainPolicy(), earlier=earlier, days_since_training=9).retrain is retrain


def test_rows_of_the_training_are_no_reason() -> None:
    outcome = DriftOutcome("nothing to compare yet", (), 600, 600, b"")
    decision = should_retrain(outcome, RetrainPolicy(), earlier=[True] * 4, days_since_training=99)
    assert (decision.retrain, decision.reason) == (False, "the champion was trained on these rows")
