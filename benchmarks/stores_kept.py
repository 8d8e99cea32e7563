"""Forecasts of folds, kept in a folder, so that a long measurement that was stopped goes on where it was."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from pipeline.stores.folds import SCORED_COLUMNS, FoldForecasts, forecast_fold

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from pipeline.stores.folds import Fold
    from pipeline.stores.model import Fit


def forecast_or_read(
    con: Backend,
    days: ir.Table,
    stores: ir.Table,
    fold: Fold,
    fits: Mapping[str, Fit],
    *,
    seed: int,
    folder: Path | None,
) -> FoldForecasts:
    """Return the forecasts of a fold as scoring needs them; only the models that the folder lacks are fitted."""
    if folder is None:
        return forecast_fold(con, days, stores, fold, fits, seed=seed).lean()
    place = folder / f"{fold.start}-seed-{seed}"
    missing = {name: fit for name, fit in fits.items() if not (place / f"{name}.json").exists()}
    if missing:
        place.mkdir(parents=True, exist_ok=True)
        _keep(forecast_fold(con, days, stores, fold, missing, seed=seed).lean(), place)
    return _read(fold, place, list(fits))


def _keep(made: FoldForecasts, place: Path) -> None:
    _write(made.rows, place / "rows.parquet")
    _write(made.histories, place / "histories.parquet")
    for name, mean in made.means.items():
        _write(pd.DataFrame({"mean": mean}), place / f"{name}.parquet")
        costs = made.costs[name] | {"features": made.feature_seconds}
        (place / f"{name}.json").write_text(json.dumps(costs))  # last: it says that the forecasts are whole


def _write(frame: pd.DataFrame, path: Path) -> None:
    part = path.with_suffix(".part")
    frame.to_parquet(part)
    part.replace(path)


def _read(fold: Fold, place: Path, names: list[str]) -> FoldForecasts:
    costs = {name: json.loads((place / f"{name}.json").read_text()) for name in names}
    empty = FoldForecasts(fold, pd.DataFrame(), pd.DataFrame(), {}, costs, costs[names[0]]["features"], {})
    return replace(
        empty,
        rows=pd.read_parquet(place / "rows.parquet", columns=list(SCORED_COLUMNS)),
        histories=pd.read_parquet(place / "histories.parquet"),
        means={name: pd.read_parquet(place / f"{name}.parquet")["mean"].to_numpy() for name in names},
    )
