"""Whether a champion still sees the world it was trained on: Evidently behind one adapter, and what follows from it.

`compare` knows two data frames and Evidently; `should_retrain` knows a policy; `watch` knows the lake and the registry.
A new model is watched by an entry in `WATCHED`.

Methods and thresholds are fixed for each column, because Evidently's own choice changes with the number of rows, and
only distances are used: the p-value of a test calls any difference drift once there are rows enough.

- Numbers: Wasserstein distance over the reference's standard deviation, so 0.2 means "moved by a fifth of a standard
  deviation", a small effect in Cohen's sense (1988, Statistical Power Analysis). Heavy tails are compared on a signed
  log scale; otherwise their largest customer sets the standard deviation and hides everybody else.
- Categories: Jensen-Shannon distance (natural log). 0.1 is one of two equal halves growing to 64 %. More categories
  are noisier, so a column of many has 0.15.

Two independent samples of 500 from one population exceed these thresholds less than once in a hundred times (99th
percentile of 400 draws: 0.18 to 0.20 for numbers, 0.09 for seven categories, 0.11 for twelve), and of 300 clearly more
often: hence `minimum_rows`. The customers of two days are mostly the same people, which is quieter still.
"""

from __future__ import annotations

import html
import json
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.errors import RefusedError, UsageError
from pipeline.lake import Lake
from pipeline.models import Loaded
from pipeline.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from pipeline.settings import Settings

Kind = Literal["data", "prediction", "performance"]
Verdict = Literal["drift", "no drift", "too few rows"]

DISTANCES = ("wasserstein", "jensenshannon", "psi", "hellinger")
MISSING_SHARE = 0.1
"""A column has drifted, whatever its values, when the share of missing ones has moved by this much."""

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


@dataclass(frozen=True)
class Method:
    """How one column is compared.

    Args:
        name: one of `DISTANCES`; 0 means equal, more means further apart.
        threshold: the score from which the column counts as drifted.
        categorical: compare shares of values, missing ones being one more value.
        log: compare sign(x) * log(1 + |x|).
        kind: what the column is to the model.
    """

    name: str
    threshold: float
    categorical: bool = False
    log: bool = False
    kind: Kind = "data"

    def __post_init__(self) -> None:
        if self.name not in DISTANCES:
            raise UsageError(
                "This method does not give a distance", where="drift method", observed=self.name, allowed=DISTANCES
            )


@dataclass(frozen=True)
class ColumnDrift:
    """One column's comparison. `score` is None where too few values were there to compare."""

    column: str
    kind: Kind
    method: str
    threshold: float
    score: float | None
    drifted: bool
    reference_missing: float
    current_missing: float


@dataclass(frozen=True)
class DriftOutcome:
    """What a comparison found. `html` is a whole page that needs no network."""

    verdict: Verdict
    columns: tuple[ColumnDrift, ...]
    reference_rows: int
    current_rows: int
    html: bytes = field(repr=False)

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the drifted columns."""
        return tuple(column.column for column in self.columns if column.drifted)

    def share(self, kind: Kind = "data") -> float:
        """Share of a kind's columns that drifted; 0 if there are none."""
        flags = [column.drifted for column in self.columns if column.kind == kind]
        return sum(flags) / len(flags) if flags else 0.0

    def as_dict(self) -> dict[str, Any]:
        """The small JSON."""
        return {
            "verdict": self.verdict,
            "share_of_data": self.share("data"),
            "reference_rows": self.reference_rows,
            "current_rows": self.current_rows,
            "columns": [asdict(column) for column in self.columns],
        }


@dataclass(frozen=True)
class RetrainPolicy:
    """When drift is reason enough to train again.

    Args:
        share: of the model's input columns, from which they count as another world. 0.3 is six of eighteen: features of
            one customer move together, so one cause easily moves three or four.
        prediction: whether any drift of what the model says is enough by itself.
        cooldown_days: how long after a training drift is reported but not acted on. What a new model has not cured in a
            week needs a person.
    """

    share: float = 0.3
    prediction: bool = True
    cooldown_days: int = 7


@dataclass(frozen=True)
class RetrainDecision:
    """Whether to train again, in a word and a sentence."""

    retrain: bool
    reason: str


@dataclass(frozen=True)
class WatchedModel:
    """What is compared for one model.

    Args:
        name: of the registered model.
        table: the features it is trained on; the champion's tags give the version and the as-of day.
        columns: how each is compared.
        key: a column that is unique within a day: rows are put in its order before they are sampled.
        predict: from a loaded champion and features to what is watched of its answers, a value a row.
        prediction: how those are compared.
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
    policy: RetrainPolicy = RetrainPolicy()
    sample: int = 5_000
    minimum_rows: int = 500


@dataclass(frozen=True)
class DriftResult:
    """What `watch` did for one model; small enough to travel between tasks. Paths are below home."""

    model: str
    model_version: int | None
    verdict: Verdict | Literal["no champion", "no reference"]
    drifted: tuple[str, ...]
    retrain: bool
    reason: str
    page: str | None = None
    figures: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self) | {"drifted": list(self.drifted)}


NUMBER = Method("wasserstein", 0.2)
AMOUNT = Method("wasserstein", 0.2, log=True)
FEW = Method("jensenshannon", 0.1, categorical=True)
MANY = Method("jensenshannon", 0.15, categorical=True)


def _segment_names(champion: Loaded, features: pd.DataFrame) -> list[str]:
    """The name of each customer's segment."""
    names = [segment["name"] for segment in champion.artefacts["segments.json"]["segments"]]
    positions = champion.model.predict(features[list(champion.version.provenance.features)])
    return [names[position] for position in positions]


SHOPPERS = {
    "days_since_visit": NUMBER,
    "days_since_purchase": NUMBER,
    "bought_last_time": FEW,
    "visits_lately": AMOUNT,
    "purchase_rate": NUMBER,
    "purchase_rate_short": NUMBER,
    "purchases": AMOUNT,
    "units": AMOUNT,
    "last_brand": FEW,
}
"""The state of people. The shelf is the same for all of them on a day, so its prices have no distribution."""


def _purchase_chances(champion: Loaded, features: pd.DataFrame) -> list[float]:
    """The purchase probability of each person's next visit."""
    chances: list[float] = champion.model.predict(features[list(champion.version.provenance.features)]).tolist()
    return chances


WATCHED: tuple[WatchedModel, ...] = (
    WatchedModel(
        name="customer_segments",
        table="customer_features",
        columns={
            "recency_days": NUMBER,
            "invoices": AMOUNT,
            "units": AMOUNT,
            "revenue": AMOUNT,
            "average_ticket": AMOUNT,
            "distinct_products": AMOUNT,
            "days_between_invoices": NUMBER,
            "favourite_weekday": FEW,
            "favourite_hour": MANY,
            "is_home_country": FEW,
            "cancellations": AMOUNT,
            "cancellation_rate": NUMBER,
            "monthly_spend_mean": AMOUNT,
            "monthly_spend_std": AMOUNT,
            "monthly_spend_trend": AMOUNT,
            "return_units": AMOUNT,
            "purchase_frequency": AMOUNT,
            "median_basket_units": AMOUNT,
        },
        key="customer_id",
        predict=_segment_names,
        prediction=Method("jensenshannon", 0.1, categorical=True, kind="prediction"),
    ),
    WatchedModel(
        name="purchase_probability",
        table="shopper_features",
        columns=SHOPPERS,
        key="person",
        predict=_purchase_chances,
        prediction=Method("wasserstein", 0.2, kind="prediction"),
        minimum_rows=300,
    ),
)


def compare(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    columns: Mapping[str, Method],
    *,
    seed: int,
    sample: int,
    minimum_rows: int,
) -> DriftOutcome:
    """Compare what is with what was, column by column.

    Args:
        reference: what the model was trained on.
        current: what it is asked about now.
        columns: how each is compared; others are not looked at.
        seed: of the samples, which depend on the order of rows.
        sample: at most this many rows of each side.
        minimum_rows: with fewer on either side the verdict is "too few rows", never "no drift".

    Raises:
        UsageError: if a column is missing on a side.
    """
    for side, frame in (("reference", reference), ("current", current)):
        if absent := sorted(set(columns) - set(frame.columns)):
            raise UsageError("Columns to be compared are missing", where=f"{side} rows", observed=absent)
    rows = len(reference), len(current)
    if min(rows) < minimum_rows:
        text = f"Too few rows to say anything: {rows[0]} then, {rows[1]} now, at least {minimum_rows} are needed."
        return DriftOutcome("too few rows", (), *rows, html=_page(text))

    then = _prepared(reference, columns, seed, sample)
    now = _prepared(current, columns, seed, sample)
    enough = [name for name in columns if min(then[name].count(), now[name].count()) >= minimum_rows]
    scores, page = _evidently(then[enough], now[enough], {name: columns[name] for name in enough})
    found = []
    for name, method in columns.items():
        missing = float(then[name].isna().mean()), float(now[name].isna().mean())
        score = scores.get(name)
        far = score is not None and score >= method.threshold
        drifted = far or abs(missing[0] - missing[1]) >= MISSING_SHARE
        found.append(ColumnDrift(name, method.kind, method.name, method.threshold, score, drifted, *missing))
    if not scores:
        text = "Too few values in every column to say anything."
        return DriftOutcome("too few rows", tuple(found), *rows, html=_page(text))
    verdict: Verdict = "drift" if any(column.drifted for column in found) else "no drift"
    return DriftOutcome(verdict, tuple(found), *rows, html=page)


def should_retrain(outcome: DriftOutcome, policy: RetrainPolicy, *, days_since_training: int) -> RetrainDecision:
    """Decide whether drift calls for a training.

    Args:
        days_since_training: from the as-of day of the newest version, promoted or not, to the day that was checked.
    """
    if outcome.verdict == "too few rows":
        return RetrainDecision(False, "too few rows to judge by")
    reasons = []
    if policy.prediction and outcome.share("prediction") > 0:
        reasons.append("the predictions have drifted")
    if outcome.share("data") >= policy.share:
        reasons.append(f"{outcome.share('data'):.0%} of the columns have drifted (from {policy.share:.0%} on)")
    if not reasons:
        return RetrainDecision(False, f"{outcome.share('data'):.0%} of the columns have drifted, the predictions not")
    why = " and ".join(reasons)
    if days_since_training < policy.cooldown_days:
        waits = f"the last training is {days_since_training} days old (waits for {policy.cooldown_days})"
        return RetrainDecision(False, f"{why}, but {waits}")
    return RetrainDecision(True, why)


def watch(settings: Settings, day: date, models: Sequence[WatchedModel] = WATCHED) -> list[DriftResult]:
    """Compare each champion's training features, and its answers to them, with those as of `day`.

    For each model: replaces its rows of the day in the `drift` table, and writes a page and a small JSON under
    `reports/drift/<model>/`. A model that cannot be compared says so in its result and does not stop the others.
    """
    lake, registry = Lake(settings), Registry(settings)
    return [_watch_one(lake, registry, watched, day, settings.seed) for watched in models]


def _watch_one(lake: Lake, registry: Registry, watched: WatchedModel, day: date, seed: int) -> DriftResult:
    version = registry.champion(watched.name)
    if version is None:
        return DriftResult(watched.name, None, "no champion", (), False, "there is no champion to watch")
    made_from = version.provenance
    try:
        reference = _features(lake, watched, made_from.tables.get(watched.table), made_from.as_of)
    except RefusedError as error:
        return DriftResult(watched.name, version.version, "no reference", (), False, str(error))
    current = _features(lake, watched, lake.version(watched.table), day)

    champion = registry.load(watched.name, version.version)
    columns = {**watched.columns, "prediction": watched.prediction}
    then, now = (
        rows.assign(prediction=watched.predict(champion, rows) if len(rows) else []) for rows in (reference, current)
    )
    outcome = compare(then, now, columns, seed=seed, sample=watched.sample, minimum_rows=watched.minimum_rows)
    trained = max(known.provenance.as_of for known in registry.versions(watched.name))
    decision = should_retrain(outcome, watched.policy, days_since_training=(day - trained).days)

    folder = f"reports/drift/{watched.name}"
    page, figures = f"{folder}/{day}.html", f"{folder}/{day}.json"
    result = DriftResult(
        watched.name,
        version.version,
        outcome.verdict,
        outcome.drifted,
        decision.retrain,
        decision.reason,
        page,
        figures,
    )
    sides = {
        "checked_on": day.isoformat(),
        "reference": {
            "table": watched.table,
            "version": made_from.tables[watched.table],
            "as_of": str(made_from.as_of),
        },
    }
    small = result.as_dict() | sides | outcome.as_dict()
    lake.write_blob(page, outcome.html)
    lake.write_blob(figures, json.dumps(small, indent=1, allow_nan=False).encode())
    rows = _rows(outcome, day, watched.name, version.version)
    lake.replace(DRIFT, {"checked_on": [day], "model": [watched.name]}, rows)
    return result


def _features(lake: Lake, watched: WatchedModel, version: int | None, as_of: date) -> pd.DataFrame:
    """A day's features from a version of their table, in the order of their key.

    Raises:
        RefusedError: if the version is not known, or its files are gone.
    """
    try:
        if version is None:
            raise RefusedError("The champion's tags do not name their version")
        rows: pd.DataFrame = lake.read(watched.table, version, {"as_of": [as_of]}).to_pandas()
    except RefusedError as error:
        raise RefusedError(
            "The features that the champion was trained on can no longer be read",
            where=f"{watched.table} version {version}, as of {as_of}",
            observed=error.what,
            todo=f"train again (aisle train {watched.name}), and keep the versions that champions were trained on",
        ) from error
    return rows.sort_values(watched.key, ignore_index=True)


def _rows(outcome: DriftOutcome, day: date, model: str, version: int) -> pa.Table:
    about = {
        "checked_on": day,
        "model": model,
        "model_version": version,
        "reference_rows": outcome.reference_rows,
        "current_rows": outcome.current_rows,
    }
    return pa.Table.from_pylist([asdict(column) | about for column in outcome.columns], schema=DRIFT_SCHEMA)


def _prepared(frame: pd.DataFrame, columns: Mapping[str, Method], seed: int, sample: int) -> pd.DataFrame:
    """The rows and scales that are compared: numbers or NaN, or categories as text."""
    rows = frame.sample(min(sample, len(frame)), random_state=seed).reset_index(drop=True)
    return pd.DataFrame({name: _comparable(rows[name], method) for name, method in columns.items()})


def _comparable(values: pd.Series[Any], method: Method) -> pd.Series[Any]:
    if method.categorical:
        return values.astype("object").where(values.notna(), "(missing)").astype("str")
    numbers = values.astype("float64").replace([np.inf, -np.inf], np.nan)
    return pd.Series(np.sign(numbers) * np.log1p(numbers.abs())) if method.log else numbers


def _evidently(then: pd.DataFrame, now: pd.DataFrame, columns: Mapping[str, Method]) -> tuple[dict[str, float], bytes]:
    """Scores by column, and Evidently's page. Its import takes seconds, so it happens where it is needed."""
    if not columns:
        return {}, b""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    shown = {name: f"{name} (log)" if method.log else name for name, method in columns.items()}
    definition = DataDefinition(
        numerical_columns=[shown[name] for name, method in columns.items() if not method.categorical],
        categorical_columns=[shown[name] for name, method in columns.items() if method.categorical],
    )
    preset = DataDriftPreset(
        columns=list(shown.values()),
        per_column_method={shown[name]: method.name for name, method in columns.items()},
        per_column_threshold={shown[name]: method.threshold for name, method in columns.items()},
    )
    current, reference = (Dataset.from_pandas(rows.rename(columns=shown), definition) for rows in (now, then))
    snapshot = Report([preset]).run(current, reference)
    values = {
        metric["config"]["column"]: float(metric["value"])
        for metric in snapshot.dict()["metrics"]
        if metric["config"]["type"].endswith(":ValueDrift")
    }
    # Rounding can take the square of the Jensen-Shannon distance of equal shares just below 0, and its root to NaN.
    scores = {name: 0.0 if math.isnan(values[shown[name]]) else values[shown[name]] for name in columns}
    return scores, snapshot.get_html_str(as_iframe=False).encode()


def _page(text: str) -> bytes:
    """What is shown where there is nothing to compare."""
    return f"<!doctype html><meta charset=utf-8><title>Drift</title><p>{html.escape(text)}</p>\n".encode()
