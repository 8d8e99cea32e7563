"""Recurrent network (PyTorch, an optional extra): reads eight weeks of a store's days and forecasts the next six weeks.

Log sales are made stationary first. The augmented Dickey-Fuller test (Said and Dickey 1984) is applied to a sample of
stores. If it rejects a unit root for too few of them, or if sales follow a weekly pattern, the store's median of the
weekday within the window is subtracted from every value; otherwise the median of the window. The remainder is scaled to
(-1, 1) by its extreme quantiles in history. One LSTM (Hochreiter and Schmidhuber 1997) reads the window; a second one
continues from its state through the horizon. Both see promotions, school holidays, weekday and part of month.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

WEEK, WINDOW, HORIZON = 7, 56, 42
"""Days."""
HIDDEN_UNITS, EPOCHS, BATCH_SIZE, LEARNING_RATE = 48, 6, 256, 4e-3
TRAINING_WINDOWS = 16_000
"""Windows drawn from all stores and days to train on."""
TESTED_STORES = 30
"""Stores that are tested for a unit root."""
SIGNIFICANCE = 0.05
"""Level of the test at which a store's sales count as stationary."""
MIN_STATIONARY_SHARE = 0.9
"""Share of the tested stores that must be stationary for sales to be used without subtracting weekday medians."""
MAX_LAG = 28
INPUT_SCALES = {"promo": 1, "school": 1, "closed_until": 60, "days_to_month_end": 31}
"""Feature -> the value by which it is divided."""


@dataclass(frozen=True)
class Stationarity:
    """The result of the stationarity test.

    Attributes:
        rejected: share of the tested stores for which a unit root of log sales is rejected at 5 %.
        rejected_differenced: the same for the difference to the week before.
        differenced: whether weekday medians are subtracted.
        acf: autocorrelations by lag in days, from 0, of the network's input; mean over the tested stores.
        pacf: partial autocorrelations of the same.
    """

    rejected: float
    rejected_differenced: float
    differenced: bool
    acf: tuple[float, ...]
    pacf: tuple[float, ...]


@dataclass(frozen=True)
class Lstm:
    """A fitted network with the last window of each store.

    Attributes:
        network: a torch module.
        stationarity: the result of the test that chose the preprocessing.
        stores: (S,), the store numbers, ascending.
        inputs: (S, WINDOW, columns), the last window of each store.
        levels: (S, WEEK), the value that was subtracted from log sales, by weekday.
        scale: the values that -1 and 1 represent.
        start: the first day that can be forecast.
    """

    network: Any
    stationarity: Stationarity
    stores: NDArray[np.int64]
    inputs: NDArray[np.float32]
    levels: Floats
    scale: tuple[float, float]
    start: pd.Timestamp

    def predict(self, features: pd.DataFrame) -> Floats:
        """Return the sales forecast of each row, (rows,); the rows lie in the horizon right after the training data.

        The horizon is read as a sequence, so a day that is not among the rows counts as closed.

        Raises:
            UsageError: if a row lies outside that horizon, or its store is unknown.
        """
        import torch

        ahead = (pd.to_datetime(features["day"]) - self.start).dt.days.to_numpy()
        row = np.searchsorted(self.stores, features["store"].to_numpy()).clip(max=len(self.stores) - 1)
        known = self.stores[row] == features["store"].to_numpy()
        if ahead.min() < 0 or ahead.max() >= HORIZON or not known.all():
            raise UsageError(
                "the network can forecast only the horizon after its training data, for stores of that data",
                observed=f"days {ahead.min()} to {ahead.max()} from {self.start:%Y-%m-%d}, "
                f"{(~known).sum()} rows of unknown stores",
                allowed=f"days 0 to {HORIZON - 1}",
                todo="train it as of the first day to forecast",
            )
        inputs = np.zeros((len(self.stores), HORIZON, len(INPUT_SCALES)), np.float32)
        inputs[row, ahead] = _inputs(features)
        weekdays = (self.start.weekday() + np.arange(HORIZON)) % WEEK
        horizon = torch.from_numpy(_with_weekdays(inputs, weekdays))
        self.network.eval()
        with torch.no_grad():
            scaled = self.network(torch.from_numpy(self.inputs), horizon).numpy()
        logs = _unscale(scaled.astype(float), self.scale) + self.levels[:, weekdays]
        return np.asarray(np.exp(logs[row, ahead]))


def fit(train: pd.DataFrame, seed: int) -> Lstm:
    """Train the network on `TRAINING_WINDOWS` windows drawn from history.

    Raises:
        UsageError: if torch is not installed.
        RefusedError: if history is shorter than a window and a horizon.
    """
    try:
        import torch
    except ImportError as error:
        raise UsageError("the LSTM needs PyTorch, an optional extra", todo="install torch, or leave it out") from error
    start = (pd.to_datetime(train["day"]) - pd.to_timedelta(train["origin"] + train["ahead"], unit="D")).iloc[0]
    stores, logs, inputs = _history_grids(train, start)
    days = logs.shape[1]
    if days < WINDOW + HORIZON:
        raise RefusedError(
            "history is too short for a window and a horizon",
            observed=f"{days} days",
            allowed=f"{WINDOW + HORIZON} days or more",
            todo="ingest earlier store days",
        )
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    stationarity = _test_stationarity(logs, rng)
    first_weekday = (start - pd.Timedelta(days=days)).weekday()
    weekdays = (first_weekday + np.arange(days)) % WEEK
    store = rng.integers(0, len(stores), TRAINING_WINDOWS)
    begin = rng.integers(0, days - WINDOW - HORIZON + 1, TRAINING_WINDOWS)
    span = begin[:, None] + np.arange(WINDOW + HORIZON)
    values = _fill(logs)[store[:, None], span]
    levels = _levels(values[:, :WINDOW], weekdays[span[:, :WINDOW]], by_weekday=stationarity.differenced)
    stationary = values - np.take_along_axis(levels, weekdays[span], axis=1)
    has_sales = np.isfinite(logs[store[:, None], span[:, WINDOW:]])
    low, high = (float(np.quantile(stationary, tail)) for tail in (0.001, 0.999))
    scaled = _scale(stationary, (low, high)).astype(np.float32)
    day_inputs = _with_weekdays(inputs[store[:, None], span], weekdays[span])
    windows = torch.from_numpy(np.concatenate([scaled[:, :WINDOW, None], day_inputs[:, :WINDOW]], axis=-1))
    horizons, targets = torch.from_numpy(day_inputs[:, WINDOW:]), torch.from_numpy(scaled[:, WINDOW:])
    network = _network(windows.shape[-1], horizons.shape[-1])
    _train(network, windows, horizons, targets, torch.from_numpy(has_sales.astype(np.float32)), seed)
    last = _fill(logs)[:, -WINDOW:]
    last_weekdays = np.broadcast_to(weekdays[-WINDOW:], last.shape)
    levels = _levels(last, last_weekdays, by_weekday=stationarity.differenced)
    last_scaled = _scale(last - np.take_along_axis(levels, last_weekdays, axis=1), (low, high)).astype(np.float32)
    last_windows = np.concatenate([last_scaled[..., None], _with_weekdays(inputs[:, -WINDOW:], last_weekdays)], axis=-1)
    return Lstm(network, stationarity, stores, last_windows, levels, (low, high), start)


def _network(window_columns: int, horizon_columns: int) -> Any:
    from torch import nn

    class Network(nn.Module):
        """Encode a window, decode the horizon from its state, and return one value per day."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.LSTM(window_columns, HIDDEN_UNITS, batch_first=True)
            self.decoder = nn.LSTM(horizon_columns, HIDDEN_UNITS, batch_first=True)
            self.output = nn.Linear(HIDDEN_UNITS, 1)

        def forward(self, window: Any, horizon: Any) -> Any:
            return self.output(self.decoder(horizon, self.encoder(window)[1])[0]).squeeze(-1)

    return Network()


def _train(network: Any, windows: Any, horizons: Any, targets: Any, has_sales: Any, seed: int) -> None:
    """Minimise the squared error over the days with sales (`has_sales` is 1)."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    steps = EPOCHS * -(-len(windows) // BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
    network.train()
    for _ in range(EPOCHS):
        order = torch.randperm(len(windows), generator=generator)
        for begin in range(0, len(windows), BATCH_SIZE):
            batch = order[begin : begin + BATCH_SIZE]
            error = (network(windows[batch], horizons[batch]) - targets[batch]) * has_sales[batch]
            loss = (error**2).sum() / has_sales[batch].sum().clamp(min=1)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()


def _history_grids(train: pd.DataFrame, start: pd.Timestamp) -> tuple[NDArray[np.int64], Floats, NDArray[np.float32]]:
    """Return store numbers, log sales (S, T; NaN without sales) and inputs (S, T, columns) of the days before start."""
    days_back = (start - pd.to_datetime(train["day"])).dt.days.to_numpy()
    stores, row = np.unique(train["store"].to_numpy(), return_inverse=True)
    days = int(days_back.max())
    logs = np.full((len(stores), days), np.nan)
    logs[row, days - days_back] = np.log(train["sales"].to_numpy(float))
    inputs = np.zeros((len(stores), days, len(INPUT_SCALES)), np.float32)
    inputs[row, days - days_back] = _inputs(train)
    return stores, logs, inputs


def _inputs(features: pd.DataFrame) -> NDArray[np.float32]:
    return np.stack([features[name].to_numpy(float) / by for name, by in INPUT_SCALES.items()], axis=-1).astype(
        np.float32
    )


def _with_weekdays(inputs: NDArray[np.float32], weekdays: NDArray[np.int64]) -> NDArray[np.float32]:
    """Append the one-hot encoded weekday to inputs: (..., columns + 7)."""
    one_hot = np.eye(WEEK, dtype=np.float32)[weekdays]
    return np.concatenate([inputs, np.broadcast_to(one_hot, (*inputs.shape[:-1], WEEK))], axis=-1)


def _fill(logs: Floats) -> Floats:
    """Fill days without sales with the last value of the same weekday, or else with the store's median."""
    filled = logs.copy()
    for t in range(WEEK, logs.shape[1]):
        filled[:, t] = np.where(np.isnan(filled[:, t]), filled[:, t - WEEK], filled[:, t])
    medians = np.nanmedian(logs, axis=1, keepdims=True)
    return np.where(np.isnan(filled), medians, filled)


def _levels(values: Floats, weekdays: NDArray[np.int64], *, by_weekday: bool) -> Floats:
    """Return the median of each row's window by weekday, or over all its days: (rows, WEEK)."""
    if not by_weekday:
        return np.repeat(np.median(values, axis=1, keepdims=True), WEEK, axis=1)
    order = np.argsort(weekdays, axis=1, kind="stable")
    weeks = np.take_along_axis(values, order, axis=1).reshape(len(values), WEEK, -1)
    return np.asarray(np.median(weeks, axis=2))


def _scale(values: Floats, scale: tuple[float, float]) -> Floats:
    low, high = scale
    return np.clip(2 * (values - low) / (high - low) - 1, -1, 1)


def _unscale(values: Floats, scale: tuple[float, float]) -> Floats:
    low, high = scale
    return (values + 1) * (high - low) / 2 + low


def _test_stationarity(logs: Floats, rng: np.random.Generator) -> Stationarity:
    from statsmodels.tsa.stattools import acf, adfuller, pacf

    filled = _fill(logs)
    sample = filled[rng.permutation(len(filled))[:TESTED_STORES]]
    differences = sample[:, WEEK:] - sample[:, :-WEEK]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the test is undefined for a constant series, which counts as not rejected

        def stationary_share(series: Floats) -> float:
            return float(
                np.mean([np.ptp(one) > 0 and adfuller(one, maxlag=MAX_LAG)[1] < SIGNIFICANCE for one in series])
            )

        rejected, rejected_differenced = stationary_share(sample), stationary_share(differences)
        differenced = rejected < MIN_STATIONARY_SHARE or _has_weekly_pattern(sample)
        inputs = differences if differenced else sample
        lags = min(MAX_LAG, inputs.shape[1] // 2 - 1)
        by_lag = np.nanmean([acf(one, nlags=lags) for one in inputs], axis=0)
        partial = np.nanmean([pacf(one, nlags=lags) for one in inputs], axis=0)
    return Stationarity(
        rejected, rejected_differenced, differenced, tuple(map(float, by_lag)), tuple(map(float, partial))
    )


def _has_weekly_pattern(series: Floats) -> bool:
    """Return whether values correlate more with those of a week before than with those of the day before."""

    def correlation(lag: int) -> float:
        return float(np.mean([np.corrcoef(one[lag:], one[:-lag])[0, 1] for one in series]))

    return correlation(WEEK) > correlation(1)
