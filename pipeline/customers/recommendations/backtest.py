"""Backtest of the recommenders: history until a day, what was bought on it and the 30 days after it as truth.

The last fold ends with the data. Choices (of candidates, features, windows and parameters) were made on the earlier
folds only, which start two, three and four months before it.
"""

from __future__ import annotations

import datetime as dt
import resource
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pipeline.customers.clean_lines import transactions_of
from pipeline.customers.domain import DOMAIN, RECOMMENDATIONS
from pipeline.customers.features import customer_features
from pipeline.customers.recommendations.blend import Blend, fit_booster
from pipeline.customers.recommendations.evaluation import HORIZON, K, metrics_of
from pipeline.customers.recommendations.methods import (
    best_of_group,
    frequency,
    linear_autoencoder,
    popular,
    popular_lately,
    recommend,
    similar,
)
from pipeline.customers.recommendations.model import read_windows
from pipeline.customers.segments import SEGMENT_FEATURES, build_pipeline
from pipeline.errors import RefusedError
from pipeline.ingestion.sources import load_sources
from pipeline.lake.tables import Lake
from pipeline.training.spec import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from pipeline.customers.recommendations.methods import Scorer
    from pipeline.customers.recommendations.past import Past
    from pipeline.settings import Settings

MONTHS_BEFORE = (4, 3, 2, 0)
"""Months from each fold to the last one."""
SEGMENTS = 5


def backtest(settings: Settings, candidates: Sequence[str] = ()) -> dict[str, Any]:  # noqa: ARG001
    """Compare the recommenders on each fold.

    Returns:
        `{"model", "folds", "mean", "models"}`: the last fold of the blend, and by recommender all folds with their
        seconds and peak memory.

    Raises:
        RefusedError: if the history is too short.
    """
    lake, table = Lake(settings), DOMAIN.input_table
    days = [day for day in lake.days(table) if day.year > 1970] if lake.exists(table) else []
    if not days:
        raise RefusedError("There are no purchases to test on", where=table, todo=f"aisle ingest {table} --all")
    run = Run(settings, days[-1], {table: lake.version(table)})
    con, transactions = transactions_of(run)
    last = days[-1] + dt.timedelta(days=1) - HORIZON
    folds: dict[str, list[dict[str, Any]]] = {}
    for months in MONTHS_BEFORE:
        cut = _months_before(last, months)
        if (cut - days[0]).days < 2 * HORIZON.days and months:
            continue
        for name, fold in _fold(con, transactions, cut, settings).items():
            folds.setdefault(name, []).append(fold)
    models = {
        name: {"folds": found, "mean": _mean([fold["metrics"] for fold in found])} for name, found in folds.items()
    }
    final = folds["blend"][-1]
    return {"model": RECOMMENDATIONS, "folds": [final], "mean": dict(final["metrics"]), "models": models}


def _fold(con: Backend, transactions: ir.Table, cut: dt.date, settings: Settings) -> dict[str, dict[str, Any]]:
    """The folds of all recommenders that start on a day."""
    windows = read_windows(con, transactions, cut, settings.window_days)
    past, bought = windows.newest

    def by_segment(past: Past) -> Scorer:
        home = load_sources(settings).spec.home_country
        expression = customer_features(transactions, cut, window_days=settings.window_days, home_country=home)
        features = con.to_pandas(expression).set_index("customer_id").loc[past.customers.tolist()]
        group = build_pipeline(SEGMENTS, settings.seed).fit_predict(features[list(SEGMENT_FEATURES)])
        return best_of_group(past, group.astype("int64"))

    def blend(past: Past) -> Scorer:
        booster = fit_booster(windows.earlier, seed=settings.seed, threads=settings.threads)
        return Blend.scorer_of(booster, past, settings.threads)

    recommenders: Mapping[str, Callable[[Past], Scorer]] = {
        "popular": popular,
        "popular lately": popular_lately,
        "best of the segment": by_segment,
        "neighbours": similar,
        "EASE": linear_autoencoder,
        "personal frequency": frequency,
        "blend": blend,
    }
    found = {}
    for name, learn in recommenders.items():
        started = perf_counter()
        scorer = learn(past)
        fitted = perf_counter()
        lists = recommend(past, scorer, ("all", "new"), K)
        found[name] = {
            "from": cut.isoformat(),
            "to": (cut + HORIZON - dt.timedelta(days=1)).isoformat(),
            "metrics": metrics_of(past, lists, bought),
            "seconds": {"fit": fitted - started, "predict": perf_counter() - fitted},
            "peak_mb": _peak_mb(),
        }
    return found


def _months_before(day: dt.date, months: int) -> dt.date:
    """The same day of an earlier month, or the last one of that month."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    first_of_next = dt.date(year + month // 11, (month + 1) % 12 + 1, 1)
    return min(dt.date(year, month + 1, 1) + dt.timedelta(days=day.day - 1), first_of_next - dt.timedelta(days=1))


def _mean(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: sum(fold[name] for fold in metrics) / len(metrics) for name in metrics[0]}


def _peak_mb() -> float:
    """Peak memory of the process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, kilobytes elsewhere
    return float(peak / (2**20 if sys.platform == "darwin" else 2**10))
