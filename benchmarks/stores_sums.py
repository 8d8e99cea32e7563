"""How often intervals of sums hold in each fold if the part that a fold has in common is taken to be larger.

python -m benchmarks.stores_sums --forecasts FILE.parquet [--model NAME] [--widths FACTOR ...]

The file is what `python -m benchmarks.stores --forecasts FILE.parquet` wrote. The intervals of a fold are calibrated on
the folds before it; then the standard deviation of the fold's common part is multiplied by each factor.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.stores.backtest import CALIBRATION_FOLDS
from pipeline.stores.sums import KINDS, calibrate_sums, coverage_of_sums

WIDTHS = (1.0, 1.25, 1.5, 2.0, 2.5)


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--forecasts", type=Path, required=True)
    args.add_argument("--model", default="gradient_boosting")
    args.add_argument("--widths", type=float, nargs="+", default=WIDTHS)
    opts = args.parse_args()
    rows = pd.read_parquet(opts.forecasts)
    folds = [fold for _, fold in rows[rows["model"] == opts.model].groupby("made_on")]
    calibrated = {k: calibrate_sums(pd.concat(folds[:k])) for k in range(CALIBRATION_FOLDS, len(folds))}
    for width in opts.widths:
        found = {}
        for k, intervals in calibrated.items():
            common = {"fold": intervals.variances["fold"] * width**2}
            wider = replace(intervals, variances=intervals.variances | common)
            found[folds[k]["made_on"].iloc[0]] = coverage_of_sums(folds[k], wider)
        print(f"standard deviation of the fold's part x {width}: within 80 / 95 %, width of the 80 % interval")
        for kind in KINDS:
            shares = [(fold[kind]["coverage_80"], fold[kind]["coverage_95"]) for fold in found.values()]
            by_fold = " ".join(f"{100 * low:.0f}/{100 * high:.0f}" for low, high in shares)
            mean_80, mean_95 = np.mean(shares, axis=0)
            mean_width = np.mean([fold[kind]["width_80"] for fold in found.values()])
            print(f"    {kind}: {by_fold}; mean {mean_80:.1%}/{mean_95:.1%}, width {mean_width:.1%}")


if __name__ == "__main__":
    main()
