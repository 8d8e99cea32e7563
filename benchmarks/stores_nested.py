"""The choices of the store sales model, made for each fold from the folds before it alone.

python -m benchmarks.stores_nested --kept FOLDER [--data FOLDER] [--folds COUNT]

The trees of each variant (`VARIANTS`: features, loss, rounds) are fitted once for each fold; what they forecast is kept
in the folder, and read from it the next time. Then the forecast is computed with each variant and each combination of
shares (`GRID`), and what has the least MAPE, as a mean over the folds before, forecasts the fold. Printed are the MAPE
of each variant with the model's own shares, and what was chosen for each fold.
"""

from __future__ import annotations

import argparse
import itertools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis
import lightgbm
import numpy as np
import pandas as pd

from benchmarks.stores import SEED, clean_tables, data_folds
from pipeline.stores import gradient_boosting
from pipeline.stores.backtest import CALIBRATION_FOLDS, error_metrics
from pipeline.stores.chain import relative_name
from pipeline.stores.features import CHAIN_COLUMNS, OWN_COLUMNS, store_features
from pipeline.stores.folds import actual_sales
from pipeline.stores.gradient_boosting import LEVELS, PARAMETERS, SeasonalBoosting, training_matrix, training_target
from pipeline.stores.model import category_values, feature_matrix, forecast_rows, to_frame, training_rows

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend
    from numpy.typing import NDArray

    from pipeline.stores.folds import Fold

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Variant:
    """How trees are fitted: the rounds and their learning rate, the features, and the loss."""

    rounds: int
    rate: float
    relative: bool = True
    of_logs: bool = False


VARIANTS = {
    "own": Variant(gradient_boosting.ROUNDS, PARAMETERS["learning_rate"]),
    "150 rounds": Variant(150, 0.12),
    "150 rounds, levels with the chain's": Variant(150, 0.12, relative=False),
    "150 rounds, squared error of logs": Variant(150, 0.12, of_logs=True),
}
"""The first is the model's own: relative error, levels relative to the chain."""
GRID = {"unseen": (0.5, 0.2, 0.35, 0.65, 0.8, 1.0), "seen": (0.2, 0.1, 0.35, 0.5), "season": (0.6, 0.4, 0.8)}
"""The values tried of each share; the model's own come first, and win a tie."""
COLUMNS = ["linear", "season", "season_weight", "season_forecast", "day_of_year", *LEVELS]
REPORTED = ("mape", "bias", "rmspe")


@dataclass(frozen=True)
class KeptTrees:
    """Stands for fitted trees whose forecasts are a column of the rows."""

    column: str

    def ratio(self, rows: pd.DataFrame) -> Floats:
        """Return the ratio of sales to the base of each row, (rows,)."""
        return rows[self.column].to_numpy(float)


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--data", type=Path, default=os.environ.get("AISLE_DATA"), help="folder with rossmann_*.parquet")
    args.add_argument("--kept", type=Path, required=True, help="folder of the trees' forecasts")
    args.add_argument("--folds", type=int, default=10)
    opts = args.parse_args()
    opts.kept.mkdir(parents=True, exist_ok=True)
    con = ibis.duckdb.connect(threads=2, memory_limit="1500MB")
    days, stores = clean_tables(con, opts.data)
    choices = list(itertools.product(VARIANTS, *GRID.values()))
    past: list[dict[tuple[Any, ...], float]] = []
    for fold in data_folds(days, opts.folds + CALIBRATION_FOLDS):
        rows = kept_rows(con, days, stores, fold, opts.kept)
        results = {choice: metrics_with(rows, *choice) for choice in choices}
        print(f"{fold.start}..{fold.end}")
        of_variants = {variant: results[variant, *(values[0] for values in GRID.values())] for variant in VARIANTS}
        if len(past) >= CALIBRATION_FOLDS:
            for name, allowed in (("variant and shares", choices), ("shares", [c for c in choices if c[0] == "own"])):
                chosen = min(allowed, key=lambda choice: float(np.mean([fold[choice] for fold in past])))
                of_variants |= {f"chosen {name}: {chosen}": results[chosen]}
        for name, found in of_variants.items():
            print(f"    {name}: " + " ".join(f"{metric} {found[metric]:.4f}" for metric in REPORTED))
        past.append({choice: found["mape"] for choice, found in results.items()})


def kept_rows(con: Backend, days: ir.Table, stores: ir.Table, fold: Fold, folder: Path) -> pd.DataFrame:
    """Return features and sales of a fold's days with sales, whether a day was seen, and the ratios of each variant."""
    path = folder / f"{fold.start}.parquet"
    if not path.exists():
        table = store_features(con, days, stores, fold.start)
        features = to_frame(table)
        con.drop_table(table.op().name)
        train, ahead = training_rows(features), forecast_rows(features)
        seen = np.array(gradient_boosting.seen_days(train))[ahead["day_of_year"].to_numpy(int) - 1]
        kept = ahead[COLUMNS].assign(sales=actual_sales(days, fold, ahead), seen=seen)
        for name, variant in VARIANTS.items():
            kept[name] = ratios(variant, train, ahead)
        part = path.with_suffix(".part")
        kept[kept["sales"] > 0].to_parquet(part)
        part.replace(path)
    return pd.read_parquet(path)


def ratios(variant: Variant, train: pd.DataFrame, ahead: pd.DataFrame) -> Floats:
    """Fit the trees of a variant, and return the ratios of sales to the base that they forecast."""
    rows, departure = training_target(train)
    words = category_values(rows)
    if variant.relative:
        columns, x = OWN_COLUMNS, training_matrix(rows, words)
    else:
        absolute = {relative_name(name): name for name in CHAIN_COLUMNS}
        columns = tuple(absolute.get(name, name) for name in OWN_COLUMNS)
        x = feature_matrix(rows, columns, words)
    ratio = np.exp(departure)
    label, weight = (departure, None) if variant.of_logs else (ratio, ratio**-2.0)
    parameters = PARAMETERS | {"seed": SEED, "num_threads": 2, "learning_rate": variant.rate}
    booster = lightgbm.train(parameters, lightgbm.Dataset(x, label, weight=weight), variant.rounds)
    found = np.asarray(booster.predict(feature_matrix(ahead, columns, words), num_threads=2))
    return np.exp(found) if variant.of_logs else found


def metrics_with(rows: pd.DataFrame, variant: str, *shares: float) -> dict[str, float]:
    """Measure the forecasts of a fold with a variant's trees and the given shares, in the order of `GRID`."""
    every: dict[str, float] = dict(zip(GRID, shares, strict=True))
    every |= {"level": gradient_boosting.LEVEL_SHARE, "anchor": gradient_boosting.ANCHOR_SHARE}
    seen = np.zeros(gradient_boosting.DAYS_OF_YEAR, int)
    seen[rows["day_of_year"].to_numpy(int) - 1] = rows["seen"]
    trees: Any = KeptTrees(variant)
    predicted = SeasonalBoosting(trees, seen.tolist(), every).predict(rows)
    return error_metrics(rows["sales"].to_numpy(float), predicted)


if __name__ == "__main__":
    main()
