"""Every champion against the world it was trained on: what is read, compared, written down and asked for.

Each domain says in its `watched.py` what is to be looked at: rows like those of the training (data), the champion's
answers to them (prediction) and, where the answers have come, how wrong it was (performance).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import pyarrow as pa

from pipeline.dates import format_day
from pipeline.errors import RefusedError
from pipeline.lake.tables import Lake
from pipeline.monitoring.drift import DriftOutcome, DriftStatus, Method, Performance, compare
from pipeline.monitoring.policy import RetrainPolicy, should_retrain
from pipeline.monitoring.report import write_drift_page
from pipeline.monitoring.request_log import logged_inputs
from pipeline.registry.client import Registry
from pipeline.registry.records import Loaded, ModelVersion

if TYPE_CHECKING:
    from pipeline.settings import Settings

DRIFT = "drift"
DRIFT_SCHEMA = pa.schema(
    [
        pa.field("checked_on", pa.date32(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("model_version", pa.int64(), nullable=False),
        pa.field("column", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("threshold", pa.float64(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("drifted", pa.bool_(), nullable=False),
        pa.field("reference_rows", pa.int64(), nullable=False),
        pa.field("current_rows", pa.int64(), nullable=False),
    ]
)

Measure = Callable[["Settings", ModelVersion, date], Performance | None]


@dataclass(frozen=True)
class MonitoredModel:
    """What is compared for one model.

    Args:
        name: of the registered model.
        table: what it is trained on; the champion's tags give the version.
        columns: how each is compared.
        key: a column that is unique within a day: rows are put in its order before they are sampled.
        predict: from a loaded champion and rows to what is watched of its answers, a value a row.
        prediction: how those are compared.
        frame: from rows of the table to those that `columns` and `predict` know.
        by_day: whether the table has a part for each as-of day. Otherwise it is compared as it stood with as it stands.
        alike: given the rows of then and of now, those of now in the circumstances of then: what is the same for all
            rows of a day is no drift of theirs, but would move every answer.
        arrived: the column with the day of each row, where the part of an as-of day holds all that came before:
            what is new since the champion's as-of day is compared with what it knew.
        performance: given the settings, the champion and an as-of day, its error on predictions that have come; None
            where too few have.
        policy: when to train again.
        sample: at most this many rows of each side. The noise of a score is then a quarter of its threshold.
        minimum_rows: fewer on either side give no verdict.
    """

    name: str
    table: str
    columns: Mapping[str, Method]
    key: str
    predict: Callable[[Loaded, pd.DataFrame], Sequence[Any]]
    prediction: Method
    frame: Callable[[pa.Table], pd.DataFrame] = pa.Table.to_pandas
    by_day: bool = True
    alike: Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame] | None = None
    arrived: str | None = None
    performance: Measure | None = None
    policy: RetrainPolicy = field(default_factory=RetrainPolicy)
    sample: int = 5_000
    minimum_rows: int = 500


@dataclass(frozen=True)
class DriftResult:
    """What `watch` did for one model; small enough to travel between tasks. Paths are below home."""

    model: str
    day: date
    model_version: int | None
    verdict: DriftStatus | Literal["no champion", "no reference", "failed"]
    drifted: tuple[str, ...]
    retrain: bool
    reason: str
    page: str | None = None
    figures: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self) | {"day": format_day(self.day), "drifted": list(self.drifted)}


def watch(settings: Settings, day: date, models: Sequence[MonitoredModel]) -> list[DriftResult]:
    """Compare what each champion was trained on, and its answers to that, with what there is as of `day`.

    For each model: replaces its rows of the day in the `drift` table, and writes a page and a small JSON under
    `reports/drift/<model>/`. A model that cannot be compared says so in its result and does not stop the others.
    """
    return [_watch_or_say_why_not(settings, watched, day) for watched in models]


def checked_days(lake: Lake, models: Sequence[MonitoredModel]) -> list[date]:
    """The days for which the drift of any of these models is on record, sorted."""
    if not lake.exists(DRIFT):
        return []
    rows = lake.read(DRIFT, where={"model": [watched.name for watched in models]})
    return sorted(set(rows["checked_on"].to_pylist()))


def _watch_or_say_why_not(settings: Settings, watched: MonitoredModel, day: date) -> DriftResult:
    try:
        return _watch(settings, watched, day)
    except RefusedError as error:
        return DriftResult(watched.name, day, None, "failed", (), False, str(error))


def _watch(settings: Settings, watched: MonitoredModel, day: date) -> DriftResult:
    lake, registry = Lake(settings), Registry(settings)
    version = registry.champion(watched.name)
    if version is None:
        return DriftResult(watched.name, day, None, "no champion", (), False, "there is no champion to watch")
    try:
        reference = _reference(lake, watched, version)
    except RefusedError as error:
        return DriftResult(watched.name, day, version.version, "no reference", (), False, str(error))
    current = _rows(lake, watched, lake.version(watched.table), day)
    if watched.arrived:
        since = pd.Timestamp(version.provenance.as_of)
        current = current[pd.to_datetime(current[watched.arrived]) >= since].reset_index(drop=True)
    if watched.alike and len(reference):
        current = watched.alike(reference, current)

    champion = registry.load(watched.name, version.version)
    columns = {**watched.columns, "prediction": watched.prediction}
    then, now = (
        rows.assign(prediction=watched.predict(champion, rows) if len(rows) else []) for rows in (reference, current)
    )
    outcome = compare(then, now, columns, seed=settings.seed, sample=watched.sample, minimum_rows=watched.minimum_rows)
    outcome = outcome.with_requests(_requests(settings, watched, version, then, day))
    if watched.performance:
        outcome = outcome.with_performance(watched.performance(settings, version, day))
    trained = max(known.provenance.as_of for known in registry.versions(watched.name))
    decision = should_retrain(outcome, watched.policy, days_since_training=(day - trained).days)
    result = DriftResult(
        watched.name, day, version.version, outcome.verdict, outcome.drifted, decision.retrain, decision.reason
    )
    return _written(lake, watched, version, outcome, result)


def _requests(
    settings: Settings, watched: MonitoredModel, version: ModelVersion, then: pd.DataFrame, day: date
) -> DriftOutcome:
    """What the service was asked of late against the training; without columns where it was asked too little."""
    rows = logged_inputs(settings, version, day, list(watched.columns), watched.sample)
    columns = {name: method for name, method in watched.columns.items() if name in rows}
    return compare(then, rows, columns, seed=settings.seed, sample=watched.sample, minimum_rows=watched.minimum_rows)


def _written(
    lake: Lake, watched: MonitoredModel, version: ModelVersion, outcome: DriftOutcome, result: DriftResult
) -> DriftResult:
    """The rows of the drift table, the page and the small JSON."""
    page = write_drift_page(
        lake, version, outcome, day=result.day, retrain=result.retrain, reason=result.reason, least=watched.minimum_rows
    )
    result = replace(result, page=page, figures=page.removesuffix("html") + "json")
    made_from = version.provenance
    small = result.as_dict() | outcome.as_dict()
    small |= {
        "reference": {
            "table": watched.table,
            "version": made_from.tables[watched.table],
            "as_of": format_day(made_from.as_of),
        }
    }
    lake.write_blob(str(result.figures), json.dumps(small, indent=1, allow_nan=False).encode())
    about = {"checked_on": result.day, "model": watched.name, "model_version": version.version}
    rows = [
        asdict(column) | about | {"reference_rows": outcome.reference_rows, "current_rows": outcome.rows_of(column)}
        for column in outcome.columns
    ]
    table = pa.Table.from_pylist(rows, schema=DRIFT_SCHEMA)
    lake.replace(DRIFT, {"checked_on": [result.day], "model": [watched.name]}, table)
    return result


def _reference(lake: Lake, watched: MonitoredModel, version: ModelVersion) -> pd.DataFrame:
    """What the champion was trained on.

    Raises:
        RefusedError: if the version is not known, or its files are gone.
    """
    made_from = version.provenance
    known = made_from.tables.get(watched.table)
    try:
        if known is None:
            raise RefusedError("The champion's tags do not name their version")
        return _rows(lake, watched, known, made_from.as_of)
    except RefusedError as error:
        raise RefusedError(
            "What the champion was trained on can no longer be read",
            where=f"{watched.table} version {known}, as of {format_day(made_from.as_of)}",
            observed=error.what,
            todo=f"train again (aisle train {watched.name}), and keep the versions that champions were trained on",
        ) from error


def _rows(lake: Lake, watched: MonitoredModel, version: int, as_of: date) -> pd.DataFrame:
    """A day's rows from a version of their table, in the order of their key."""
    rows = lake.read(watched.table, version, {"as_of": [as_of]} if watched.by_day else None)
    return watched.frame(rows).sort_values(watched.key, ignore_index=True)
