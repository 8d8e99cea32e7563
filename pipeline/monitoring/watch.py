"""Compares each champion's training data with the current data, records the result, and decides whether to retrain.

Three things are compared: the columns (data), the champion's predictions on both (prediction) and, where outcomes are
known, its error (performance). Each model's specification says what is monitored.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dates import format_day
from pipeline.errors import RefusedError
from pipeline.ingestion.number_style import number_style
from pipeline.lake.migrations import migrate
from pipeline.lake.partitions import among
from pipeline.lake.tables import Lake
from pipeline.logs import log_each, log_event, log_step
from pipeline.monitoring.column_report import History
from pipeline.monitoring.distributions import distributions
from pipeline.monitoring.drift import NOTHING_NEW, DriftOutcome, DriftStatus, compare
from pipeline.monitoring.policy import should_retrain, shows_drift
from pipeline.monitoring.report import write_drift_page
from pipeline.monitoring.request_log import logged_inputs
from pipeline.registry.client import Registry
from pipeline.registry.records import Loaded, ModelVersion
from pipeline.reports.phrasing import written_in
from pipeline.training.monitored import DRIFT_TABLE, DriftKind

if TYPE_CHECKING:
    from pipeline.settings import Settings
    from pipeline.training.monitored import MonitoredModel
    from pipeline.training.spec import ModelSpec

log = logging.getLogger(__name__)

SHOWN_CHECKS = 90
"""Of so many checks the page shows how the distances changed; the policy looks at the newest few of them."""
DRIFT_SCHEMA = pa.schema(
    [
        pa.field("as_of", pa.date32(), nullable=False),
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
        pa.field("reference_mean", pa.float64()),
        pa.field("current_mean", pa.float64()),
    ]
)


@dataclass(frozen=True)
class DriftResult:
    """The result of checking one model; small enough to travel between tasks. Paths are below home."""

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


def watch(settings: Settings, day: date, specs: Sequence[ModelSpec[Any]]) -> list[DriftResult]:
    """Compare each champion's training data, and its predictions on them, with the data as of `day`.

    For each model: replaces its rows of the day in the table `drift`, and writes a page and a small JSON under
    `reports/drift/<model>/`. A model that cannot be compared says so in its result and does not stop the others.
    """
    migrate(Lake(settings))
    checked = log_each(log, "check the model", specs, lambda spec: spec.name)
    return [_watch_or_explain(settings, spec, day) for spec in checked]


def checked_days(lake: Lake, models: Sequence[str]) -> list[date]:
    """The days for which the drift of any of these models is on record, sorted."""
    migrate(lake)
    return sorted({day for model in models for day in _days_on_record(lake, model)})


def _days_on_record(lake: Lake, model: str) -> list[date]:
    """The days of which a model's checks are on record, sorted; the log alone says so, however many there are."""
    counts = lake.row_counts(DRIFT_TABLE, "as_of", keep=among("model", [model]))
    return [date.fromisoformat(day) for day, rows in counts.items() if rows]


def _watch_or_explain(settings: Settings, spec: ModelSpec[Any], day: date) -> DriftResult:
    with log_step(log, "watch", model=spec.name, as_of=day) as logged:
        try:
            result = _watch(settings, spec, day)
        except RefusedError as error:
            result = DriftResult(spec.name, day, None, "failed", (), False, str(error))
        logged |= {"version": result.model_version, "verdict": result.verdict}
    log_event(log, "retrain" if result.retrain else "keep", model=spec.name, as_of=day, reason=result.reason)
    return result


def _watch(settings: Settings, spec: ModelSpec[Any], day: date) -> DriftResult:
    lake, registry, monitored = Lake(settings), Registry(settings), spec.monitored
    version = registry.champion(spec.name)
    if version is None:
        return DriftResult(spec.name, day, None, "no champion", (), False, "there is no champion to watch")
    try:
        reference = _reference(lake, spec, version)
    except RefusedError as error:
        return DriftResult(spec.name, day, version.version, "no reference", (), False, str(error))
    current = _rows(lake, monitored, lake.version(monitored.table), day)
    champion = registry.load(spec.name, version.version, spec.trusted_types)
    if day == version.provenance.as_of or current.equals(reference):
        outcome = DriftOutcome(NOTHING_NEW, (), len(reference), len(current), html=b"")
    else:
        outcome = _compare(settings, spec, champion, reference, current, day)
    if monitored.performance:
        outcome = outcome.with_performance(monitored.performance(settings, champion, day))
    trained = max(known.provenance.as_of for known in registry.versions(spec.name))
    earlier = _earlier_checks(lake, version, day)
    decision = should_retrain(
        outcome,
        monitored.policy,
        earlier=[shows_drift(_kinds(earlier[checked]), monitored.policy) for checked in sorted(earlier, reverse=True)],
        days_since_training=(day - trained).days,
    )
    result = DriftResult(
        spec.name, day, version.version, outcome.verdict, outcome.drifted, decision.retrain, decision.reason
    )
    with written_in(number_style(settings)):
        return _write(lake, monitored, version, outcome, result, earlier)


def _compare(
    settings: Settings,
    spec: ModelSpec[Any],
    champion: Loaded,
    reference: pd.DataFrame,
    current: pd.DataFrame,
    day: date,
) -> DriftOutcome:
    """Compare data, predictions, and the inputs of recent requests to the prediction service."""
    monitored, version = spec.monitored, champion.version
    if monitored.new_rows_since:
        since = pd.Timestamp(version.provenance.as_of)
        current = current[pd.to_datetime(current[monitored.new_rows_since]) >= since].reset_index(drop=True)
    if monitored.align and len(reference):
        current = monitored.align(reference, current)
    before, after = (
        rows.assign(prediction=monitored.predict(champion, rows) if len(rows) else []) for rows in (reference, current)
    )
    limits = {"seed": settings.seed, "sample": monitored.sample, "minimum_rows": monitored.minimum_rows}
    compared = {**monitored.columns, "prediction": monitored.prediction}
    outcome = compare(before, after, compared, **limits)
    requested = logged_inputs(settings, version, day, list(monitored.columns), monitored.sample)
    columns = {name: method for name, method in monitored.columns.items() if name in requested}
    requests = compare(before, requested, columns, **limits)
    if not outcome.columns:
        return outcome.with_requests(requests)
    shown = requested if requests.columns else pd.DataFrame()
    return replace(outcome.with_requests(requests), distributions=distributions(before, after, shown, compared))


def _earlier_checks(lake: Lake, version: ModelVersion, day: date) -> dict[date, list[dict[str, Any]]]:
    """The version's newest `SHOWN_CHECKS` checks before a day: the day of each -> its rows of the drift table.

    No more are read, so that a check costs the same after years as in the first months; it goes further back where
    other versions were in use meanwhile.
    """
    days = [checked for checked in _days_on_record(lake, version.name) if checked < day]
    checks: dict[date, list[dict[str, Any]]] = {}
    batch = SHOWN_CHECKS
    while days and len(checks) < SHOWN_CHECKS:
        days, newest = days[:-batch], days[-batch:]
        rows = lake.read(DRIFT_TABLE, where={"model": [version.name], "as_of": newest})
        for row in rows.filter(pc.field("model_version") == version.version).to_pylist():
            checks.setdefault(row["as_of"], []).append(row)
        batch *= 2
    return {checked: checks[checked] for checked in sorted(checks)[-SHOWN_CHECKS:]}


def _kinds(rows: Sequence[Mapping[str, Any]]) -> list[tuple[DriftKind, bool]]:
    return [(row["kind"], row["drifted"]) for row in rows]


def _history(earlier: Mapping[date, Sequence[Mapping[str, Any]]], outcome: DriftOutcome, day: date) -> History:
    """Each column's distance on the days of the checks, this one included, oldest first; missing ones are left out."""
    history: dict[str, list[tuple[date, float]]] = {}
    for checked in sorted(earlier):
        for row in earlier[checked]:
            if row["score"] is not None:
                history.setdefault(row["column"], []).append((checked, row["score"]))
    for column in outcome.columns:
        if column.score is not None:
            history.setdefault(column.column, []).append((day, column.score))
    return history


def _write(
    lake: Lake,
    monitored: MonitoredModel,
    version: ModelVersion,
    outcome: DriftOutcome,
    result: DriftResult,
    earlier: Mapping[date, Sequence[Mapping[str, Any]]],
) -> DriftResult:
    """Write the rows of the drift table, the page and the small JSON."""
    page = write_drift_page(
        lake,
        version,
        outcome,
        day=result.day,
        retrain=result.retrain,
        reason=result.reason,
        minimum=monitored.minimum_rows,
        labels=monitored.labels,
        history=_history(earlier, outcome, result.day),
    )
    result = replace(result, page=page, figures=page.removesuffix("html") + "json")
    provenance = version.provenance
    reference = {
        "table": monitored.table,
        "version": provenance.tables[monitored.table],
        "as_of": format_day(provenance.as_of),
    }
    figures = result.as_dict() | outcome.as_dict() | {"reference": reference}
    lake.write_blob(str(result.figures), json.dumps(figures, indent=1, allow_nan=False).encode())
    about = {"as_of": result.day, "model": version.name, "model_version": version.version}
    rows = []
    for column in outcome.columns:
        reference_mean, current_mean = outcome.means_of(column)
        counted = {"reference_rows": outcome.reference_rows, "current_rows": outcome.rows_of(column)}
        means = {"reference_mean": reference_mean, "current_mean": current_mean}
        rows.append(asdict(column) | about | counted | means)
    table = pa.Table.from_pylist(rows, schema=DRIFT_SCHEMA)
    lake.replace(DRIFT_TABLE, {"as_of": [result.day], "model": [version.name]}, table)
    return result


def _reference(lake: Lake, spec: ModelSpec[Any], version: ModelVersion) -> pd.DataFrame:
    """The data that the champion was trained on.

    Raises:
        RefusedError: if the version of its table is not recorded, or the files of that version are gone.
    """
    monitored, provenance = spec.monitored, version.provenance
    known = provenance.tables.get(monitored.table)
    try:
        if known is None:
            raise RefusedError(f"The champion's provenance has no version of the table {monitored.table!r}")
        return _rows(lake, monitored, known, provenance.as_of)
    except RefusedError as error:
        raise RefusedError(
            "The rows that the champion was trained on can no longer be read",
            where=f"{monitored.table} version {known}, as of {format_day(provenance.as_of)}",
            observed=error.what,
            todo=f"train again (aisle train {spec.name}), and keep the versions that champions were trained on",
        ) from error


def _rows(lake: Lake, monitored: MonitoredModel, version: int, as_of: date) -> pd.DataFrame:
    """A day's rows from a version of their table, in the order of their key."""
    rows = lake.read(monitored.table, version, {"as_of": [as_of]} if monitored.by_day else None)
    return monitored.frame(rows).sort_values(monitored.key, ignore_index=True)
