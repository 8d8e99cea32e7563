"""Quality, seconds and memory of the store sales forecast on the real store days (Rossmann).

python -m benchmarks.stores [--data FOLDER] [--models NAME ...] [--folds COUNT] [--seed SEED] [--kept FOLDER]
                            [--out FILE.json] [--forecasts FILE.parquet] [--scoring]

With --kept, the forecasts of each model in each fold are kept in a folder as soon as they are made, and read from it
when the same command runs again: a run that was stopped goes on where it was. A folder belongs to one state of the
code; empty it after a change of features or models.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import ibis
import numpy as np

from benchmarks.stores_kept import forecast_or_read
from pipeline.stores.backtest import CALIBRATION_FOLDS, Backtest, backtest_of
from pipeline.stores.candidates import load_fit
from pipeline.stores.features import feature_rows, planned_days
from pipeline.stores.folds import FOLD_COUNT, folds, forecast_fold
from pipeline.stores.state import StoreState, store_state

if TYPE_CHECKING:
    import datetime as dt

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from pipeline.stores.folds import Fold
    from pipeline.stores.model import Model

MODELS = ("seasonal_median", "last_season", "linear_store", "random_forest", "gradient_boosting")
SCORED = "gradient_boosting"
SEED = 7
REQUESTS = {1: 500, 100: 100, 10_000: 10}  # rows of a request -> requests that are timed
METRICS = (
    "rmspe",
    "rmse",
    "mae",
    "mape",
    "wape",
    "r2",
    "bias",
    "bias_total",
    "coverage_80",
    "coverage_95",
    "width_80",
    "width_95",
)


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--data", type=Path, default=os.environ.get("AISLE_DATA"), help="folder with rossmann_*.parquet")
    args.add_argument("--models", nargs="+", default=MODELS)
    args.add_argument("--folds", type=int, default=FOLD_COUNT)
    args.add_argument("--seed", type=int, default=SEED)
    args.add_argument("--kept", type=Path)
    args.add_argument("--out", type=Path)
    args.add_argument("--forecasts", type=Path)
    args.add_argument("--scoring", action="store_true", help="also time scoring and requests, with a model fitted anew")
    opts = args.parse_args()
    con = ibis.duckdb.connect(threads=2, memory_limit="1500MB")
    days, stores = clean_tables(con, opts.data)
    fits = {name: load_fit(name) for name in opts.models}
    started, used = time.perf_counter(), time.process_time()
    made = []
    for fold in data_folds(days, opts.folds + CALIBRATION_FOLDS):
        made.append(forecast_or_read(con, days, stores, fold, fits, seed=opts.seed, folder=opts.kept))
        print(
            f"{fold.start} {time.perf_counter() - started:.0f} s, {time.process_time() - used:.0f} s of processor time"
        )
    found = backtest_of(made, list(fits), CALIBRATION_FOLDS)
    for name in fits:
        show(name, found)
    if opts.scoring:
        newest = forecast_fold(con, days, stores, made[-1].fold, {SCORED: load_fit(SCORED)}, seed=opts.seed)
        time_scoring(con, days, stores, newest.models[SCORED], newest.fold.start)
    if opts.out:
        opts.out.write_text(json.dumps({name: found.as_dict(name) for name in fits}, indent=1))
    if opts.forecasts:
        found.forecasts.to_parquet(opts.forecasts)


def data_folds(days: ir.Table, count: int) -> list[Fold]:
    """Return the newest folds of the store days, oldest first."""
    span = days.agg(first=days.day.min(), last=days.day.max()).to_pyarrow().to_pylist()[0]
    return folds(span["first"], span["last"], count=count)


def show(name: str, found: Backtest) -> None:
    """Print one line per fold."""
    for result in found.results[name]:
        figures = " ".join(f"{key} {result.metrics[key]:.4f}" for key in METRICS if key in result.metrics)
        seconds = result.seconds | {"features": found.feature_seconds[result.fold.start]}
        times = ", ".join(f"{step} {value:.1f} s" for step, value in seconds.items())
        print(f"{name} {result.fold.start}..{result.fold.end}: {figures} ({times}, {result.peak_mb:.0f} MB)")


def time_scoring(con: Backend, days: ir.Table, stores: ir.Table, model: Model, as_of: dt.date) -> None:
    """Print the seconds of scoring all planned days, and the milliseconds of requests from the state."""
    times = [time.perf_counter()]
    state = store_state(con, days, stores, as_of)
    times.append(time.perf_counter())
    days_ahead = planned_days(state)
    features = feature_rows(state, days_ahead)
    times.append(time.perf_counter())
    model.predict(features)
    times.append(time.perf_counter())
    steps = dict(zip(("state", "rows", "predict"), np.diff(times), strict=True))
    text = ", ".join(f"{step} {seconds:.2f} s" for step, seconds in steps.items())
    print(f"scoring {len(days_ahead):,} days of {len(state.stores):,} stores: {times[-1] - times[0]:.2f} s ({text})")
    saved = state.to_bytes()
    state = StoreState.from_bytes(saved)
    print(f"state: {len(saved) / 1e6:.1f} MB")
    for count, repeats in REQUESTS.items():
        seconds = []
        for k in range(repeats):
            rows = days_ahead.sample(count, random_state=k)
            started = time.perf_counter()
            model.predict(feature_rows(state, rows))
            seconds.append(time.perf_counter() - started)
        middle, slow = np.quantile(seconds, [0.5, 0.95]) * 1e3
        print(f"a request of {count:,} rows: {middle:.1f} ms, 95 % within {slow:.1f} ms")


def clean_tables(con: Backend, folder: Path) -> tuple[ir.Table, ir.Table]:
    """Return the published files in the form of the clean tables."""
    raw = con.read_parquet(folder / "rossmann_train.parquet")
    days = raw.select(
        store=raw.Store,
        day=raw.Date.cast("date"),
        sales=raw.Sales.cast("float64"),
        customers=raw.Customers,
        open=raw.Open == 1,
        promo=raw.Promo == 1,
        state_holiday=raw.StateHoliday.cases(("a", "public"), ("b", "easter"), ("c", "christmas"), else_="none"),
        school_holiday=raw.SchoolHoliday == 1,
    )
    shops = con.read_parquet(folder / "rossmann_store.parquet")
    states = con.read_parquet(folder / "rossmann_store_states.parquet")
    s = shops.left_join(states, "Store")
    first_week = ibis.date(s.Promo2SinceYear.cast("int64"), 1, 4).truncate("W").cast("date")
    stores = s.select(
        store=s.Store,
        store_type=s.StoreType,
        assortment=s.Assortment,
        competition_distance=s.CompetitionDistance,
        competition_since=ibis.date(
            s.CompetitionOpenSinceYear.cast("int64"), s.CompetitionOpenSinceMonth.cast("int64"), 1
        ),
        promo2=s.Promo2 == 1,
        promo2_since=(first_week + (s.Promo2SinceWeek.cast("int64") - 1).as_interval("W")).cast("date"),
        promo2_months=s.PromoInterval.replace("Sept", "Sep"),
        state=s.State,
    )
    return con.create_table("store_days", days), con.create_table("stores", stores)


if __name__ == "__main__":
    main()
