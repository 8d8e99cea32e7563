"""What is monitored of a model, as its `ModelSpec` declares it; `pipeline.monitoring` does the work.

Importing this module is cheap: it holds declarations only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from datetime import date

    import pandas as pd
    import pyarrow as pa

    from pipeline.registry.records import Loaded
    from pipeline.reports.labels import Label
    from pipeline.settings import Settings

DRIFT_TABLE = "drift"
"""The table with the results of all drift checks: a row for each compared column, model and day."""
DriftKind = Literal["data", "prediction", "performance", "request"]
"""What a compared column is to the model."""
DISTANCES = ("wasserstein", "jensenshannon", "psi", "hellinger")


@dataclass(frozen=True)
class Method:
    """How one column is compared.

    Args:
        name: one of `DISTANCES`; 0 means equal, more means further apart.
        threshold: the score from which the column counts as drifted.
        categorical: compare shares of values, missing ones being one more value.
        log: compare sign(x) * log(1 + |x|).
        kind: what the column is to the model.

    Raises:
        UsageError: if the name is none of `DISTANCES`.
    """

    name: str
    threshold: float
    categorical: bool = False
    log: bool = False
    kind: DriftKind = "data"

    def __post_init__(self) -> None:
        if self.name not in DISTANCES:
            raise UsageError(
                "This method does not give a distance", where="drift method", observed=self.name, allowed=DISTANCES
            )


NUMBER = Method("wasserstein", 0.2)
AMOUNT = Method("wasserstein", 0.2, log=True)
FEW = Method("jensenshannon", 0.1, categorical=True)
MANY = Method("jensenshannon", 0.15, categorical=True)


@dataclass(frozen=True)
class ColumnDrift:
    """One column's comparison. `score` is None where too few values were there to compare."""

    column: str
    kind: DriftKind
    method: str
    threshold: float
    score: float | None
    drifted: bool
    reference_missing: float
    current_missing: float


@dataclass(frozen=True)
class Performance:
    """A champion's error on predictions whose outcomes are known, beside the error measured at its training.

    Args:
        metric: name of the error, less being better: log_loss, rmse.
        observed: on predictions with known outcomes.
        expected: the same figure of the champion's training, on rows it had not seen.
        rows: number of predictions with known outcomes.
        factor: how many times the expected error counts as too much.
    """

    metric: str
    observed: float
    expected: float
    rows: int
    factor: float

    @property
    def column(self) -> ColumnDrift:
        """As a row of the comparison: its score is observed over expected. NaN and infinity count as too much."""
        acceptable = self.observed < self.factor * self.expected
        score = self.observed / self.expected if self.expected > 0 else math.inf
        known = score if math.isfinite(score) else None
        return ColumnDrift(self.metric, "performance", "ratio", self.factor, known, not acceptable, 0.0, 0.0)


@dataclass(frozen=True)
class RetrainPolicy:
    """When drift is reason enough to train again.

    Args:
        share: of the model's input columns that must have drifted. 0.3 is six of eighteen: features of one customer
            move together, so one cause easily moves three or four.
        prediction: whether drift of the predictions is enough by itself.
        performance: whether an error that has grown is enough by itself.
        windows, needed: of the newest `windows` checks of this version, the newest one included, at least `needed` must
            show such drift, the newest one among them: one odd day is no reason.
        cooldown_days: how long after a training drift is reported but not acted on. What a new model has not cured in a
            week needs a person.
    """

    share: float = 0.3
    prediction: bool = True
    performance: bool = True
    windows: int = 5
    needed: int = 2
    cooldown_days: int = 7


def _to_pandas(rows: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = rows.to_pandas()
    return frame


@dataclass(frozen=True)
class MonitoredModel:
    """What is compared for one model.

    Args:
        table: what it is trained on; the champion's tags give the version.
        columns: how each is compared.
        key: a column that is unique within a day: rows are put in its order before they are sampled.
        predict: from a loaded champion and rows to its monitored predictions, one value a row.
        prediction: how those are compared.
        frame: from rows of the table to those that `columns` and `predict` know.
        by_day: whether the table has a part for each as-of day. Otherwise the table's version at training is compared
            with the newest version.
        align: given reference and current rows, the current rows under the reference's circumstances: what is the same
            for all rows of a day is no drift of theirs, but would move every prediction.
        new_rows_since: the column with the day of each row, where the part of an as-of day holds all earlier days: rows
            from the champion's as-of day on are then compared with the rows before it.
        performance: given the settings, the champion and an as-of day, its error on predictions with known outcomes;
            None where there are too few.
        policy: when to train again.
        sample: at most this many rows of each side. The noise of a score is then a quarter of its threshold.
        minimum_rows: fewer on either side give no verdict.
        labels: what the columns are called on pages; `prediction` names the predictions.
    """

    table: str
    columns: Mapping[str, Method]
    key: str
    predict: Callable[[Loaded, pd.DataFrame], Sequence[Any]]
    prediction: Method
    frame: Callable[[pa.Table], pd.DataFrame] = _to_pandas
    by_day: bool = True
    align: Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame] | None = None
    new_rows_since: str | None = None
    performance: Callable[[Settings, Loaded, date], Performance | None] | None = None
    policy: RetrainPolicy = field(default_factory=RetrainPolicy)
    sample: int = 5_000
    minimum_rows: int = 500
    labels: Mapping[str, Label] = field(default_factory=dict)
