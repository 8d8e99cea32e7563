"""The shares of the store sales model, chosen for each fold from the folds before it alone.

python -m benchmarks.stores_nested --kept FOLDER [--data FOLDER] [--folds COUNT]

The trees of each fold are fitted once; what they forecast is kept in the folder, and read from it the next time. Then
the model's forecast is computed with each combination of shares (`GRID`), and the one with the least MAPE, as a mean
over the folds before, forecasts the fold. A share that no earlier fold tells anything about stays what it is.
"""

from __future__ import annotations

import argparse
import itertools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis
import numpy as np
import pandas as pd

from benchmarks.stores import SEED, clean_tables
from pipeline.stores import gradient_boosting
from pipeline.stores.backtest import CALIBRATION_FOLDS, error_metrics
from pipeline.stores.features import store_features
from pipeline.stores.folds import actual_sales, folds
from pipeline.stores.gradient_boosting import LEVELS, SeasonalBoosting
from pipeline.stores.model import forecast_rows, to_frame, training_rows

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend
    from numpy.typing import NDArray

    from pipeline.stores.folds import Fold

GRID = {"unseen": (0.5, 0.2, 0.4, 0.6, 0.8, 1.0), "seen": (0.2, 0.1, 0.3, 0.45), "season": (0.6, 0.4, 0.8)}
"""The values tried of each share; the model's own come first, and win a tie."""
COLUMNS = ["linear", "season", "season_weight", "season_forecast", "day_of_year", *LEVELS]
REPORTED = ("mape", "bias", "rmspe")


@dataclass(frozen=True)
class KeptTrees:
    """Stands for fitted trees whose forecasts are a column of the rows."""

    def ratio(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Return the ratio of sales to the base of each row, (rows,)."""
        return rows["ratio"].to_numpy(float)


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--data", type=Path, default=os.environ.get("AISLE_DATA"), help="folder with rossmann_*.parquet")
    args.add_argument("--kept", type=Path, required=True, help="folder of the trees' forecasts")
    args.add_argument("--folds", type=int, default=10)
    opts = args.parse_args()
    opts.kept.mkdir(parents=True, exist_ok=True)
    con = ibis.duckdb.connect(threads=2, memory_limit="1500MB")
    days, stores = clean_tables(con, opts.data)
    span = days.agg(first=days.day.min(), last=days.day.max()).to_pyarrow().to_pylist()[0]
    past: list[dict[tuple[float, ...], float]] = []
    own = tuple(values[0] for values in GRID.values())
    for fold in folds(span["first"], span["last"], count=opts.folds + CALIBRATION_FOLDS):
        rows = kept_rows(con, days, stores, fold, opts.kept)
        results = {shares: metrics_with(rows, shares) for shares in itertools.product(*GRID.values())}
        if len(past) >= CALIBRATION_FOLDS:
            chosen = min(results, key=lambda shares: float(np.mean([fold[shares] for fold in past])))
            texts = [
                f"{name} {dict(zip(GRID, shares, strict=True))}: "
                + " ".join(f"{metric} {results[shares][metric]:.4f}" for metric in REPORTED)
                for name, shares in (("chosen", chosen), ("the model's own", own))
            ]
            print(f"{fold.start}..{fold.end}", *texts, sep="\n    ")
        past.append({shares: found["mape"] for shares, found in results.items()})


def kept_rows(con: Backend, days: ir.Table, stores: ir.Table, fold: Fold, folder: Path) -> pd.DataFrame:
    """Return the features of a fold's days with sales, their sales, the trees' forecast, and whether a day was seen."""
    path = folder / f"{fold.start}.parquet"
    if not path.exists():
        table = store_features(con, days, stores, fold.start)
        features = to_frame(table)
        con.drop_table(table.op().name)
        model = gradient_boosting.fit(training_rows(features), SEED)
        ahead = forecast_rows(features)
        kept = ahead[COLUMNS].assign(
            sales=actual_sales(days, fold, ahead),
            ratio=model.trees.ratio(ahead),
            seen=np.array(model.seen)[ahead["day_of_year"].to_numpy(int) - 1],
        )
        kept[kept["sales"] > 0].to_parquet(path)
    return pd.read_parquet(path)


def metrics_with(rows: pd.DataFrame, shares: tuple[float, ...]) -> dict[str, float]:
    """Measure the forecasts of a fold with the given shares, in the order of `GRID`."""
    every: dict[str, float] = dict(zip(GRID, shares, strict=True))
    every |= {"level": gradient_boosting.LEVEL_SHARE, "anchor": gradient_boosting.ANCHOR_SHARE}
    seen = np.zeros(gradient_boosting.DAYS_OF_YEAR, int)
    seen[rows["day_of_year"].to_numpy(int) - 1] = rows["seen"]
    trees: Any = KeptTrees()
    predicted = SeasonalBoosting(trees, seen.tolist(), every).predict(rows)
    return error_metrics(rows["sales"].to_numpy(float), predicted)


if __name__ == "__main__":
    main()
