"""A recurrent network: eight weeks of a store's days in, the six weeks of the horizon out (PyTorch, an optional extra).

Log sales are made stationary first. The augmented Dickey-Fuller test (Said and Dickey 1984) asks of a sample of stores
whether a unit root can be ruled out; where that fails for too many, and weekdays recur anyway, every value is taken
against the store's own median of that weekday in the window, else against the window's median. What is left is scaled
to (-1, 1) by the extremes of history. One LSTM (Hochreiter and Schmidhuber 1997) reads the window, a second one runs on
from its state through the horizon; both see promotions, school holidays, weekday and part of month of their days.
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
HIDDEN_UNITS, EPOCHS, BATCH_SIZE, LEARNING_RATE = 48, 6, 256, 4e-3
TRAINING_WINDOWS = 16_000  # drawn from all stores and days to train on
TESTED_STORES = 30  # stores that are tested for a unit root
SIGNIFICANCE, MIN_STATIONARY_SHARE = (
    0.05,
    0.9,
)  # a series counts as stationary at this level; this share of stores must be
MAX_LAG = 28
INPUT_SCALES = {"promo": 1, "school": 1, "closed_until": 60, "days_to_month_end": 31}  # column -> what it is divided by


@dataclass(frozen=True)
class Stationarity:
    """What the test said.

    rejected, rejected_differenced: share of tested stores whose unit root is ruled out at 5 %, in log sales and in
    their difference to the week before. differenced: whether weekdays are taken out. acf, pacf: mean over the tested
    stores of (partial) autocorrelations by lag in days, from 0, of what the network is given.
    """

    rejected: float
    rejected_differenced: float
    differenced: bool
    acf: tuple[float, ...]
    pacf: tuple[float, ...]


@dataclass(frozen=True)
class Lstm:
    """network: a torch module. inputs: (S, WINDOW, columns), the last window of each of `stores`. levels: (S, WEEK),
    what a
    value is taken against, by weekday. scale: what -1 and 1 stand for. start: the first day it can forecast."""

    network: Any
    stationarity: Stationarity
    stores: NDArray[np.int64]
    inputs: NDArray[np.float32]
    levels: Floats
    scale: tuple[float, float]
    start: pd.Timestamp

    def predict(self, features: pd.DataFrame) -> Floats:
        """Mean sales of each row; all rows of the horizon right after the history that the model was trained on.

        The horizon is read as a sequence, so a day that is not among the rows counts as closed.

        Raises:
            UsageError: a row lies elsewhere, or its store is not known.
        """
        import torch

        at = (pd.to_datetime(features["day"]) - self.start).dt.days.to_numpy()
        place = np.searchsorted(self.stores, features["store"].to_numpy()).clip(max=len(self.stores) - 1)
        known = self.stores[place] == features["store"].to_numpy()
        if at.min() < 0 or at.max() >= HORIZON or not known.all():
            raise UsageError(
                "the network forecasts the horizon after its own history, for stores it has seen",
                observed=f"days {at.min()} to {at.max()} from {self.start:%Y-%m-%d}, {(~known).sum()} unknown stores",
                allowed=f"days 0 to {HORIZON - 1}",
                todo="train it as of the first day to forecast",
            )
        ahead = np.zeros((len(self.stores), HORIZON, len(INPUT_SCALES)), np.float32)
        ahead[place, at] = _inputs(features)
        weekdays = (self.start.weekday() + np.arange(HORIZON)) % WEEK
        self.network.eval()
        with torch.no_grad():
            scaled = self.network(
                torch.from_numpy(self.inputs), torch.from_numpy(_with_weekdays(ahead, weekdays))
            ).numpy()
        logs = _unscale(scaled.astype(float), self.scale) + self.levels[:, weekdays]
        return np.asarray(np.exp(logs[place, at]))


def fit(train: pd.DataFrame, seed: int) -> Lstm:
    """Train on `TRAINING_WINDOWS` windows drawn from history.

    Raises:
        UsageError: torch is not installed.
        RefusedError: history is shorter than a window and a horizon.
    """
    try:
        import torch
    except ImportError as error:
        raise UsageError("the LSTM needs PyTorch, an optional extra", todo="install torch, or leave it out") from error
    start = (pd.to_datetime(train["day"]) - pd.to_timedelta(train["origin"] + train["ahead"], unit="D")).iloc[0]
    stores, logs, known = _history_grids(train, start)
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
    sold = np.isfinite(logs[store[:, None], span[:, WINDOW:]])
    low, high = (float(np.quantile(stationary, tail)) for tail in (0.001, 0.999))
    scaled = _scale(stationary, (low, high)).astype(np.float32)
    beside = _with_weekdays(known[store[:, None], span], weekdays[span])
    inputs = torch.from_numpy(np.concatenate([scaled[:, :WINDOW, None], beside[:, :WINDOW]], axis=-1))
    ahead, target = torch.from_numpy(beside[:, WINDOW:]), torch.from_numpy(scaled[:, WINDOW:])
    network = _network(inputs.shape[-1], ahead.shape[-1])
    _train(network, inputs, ahead, target, torch.from_numpy(sold.astype(np.float32)), seed)
    last = _fill(logs)[:, -WINDOW:]
    last_days = np.broadcast_to(weekdays[-WINDOW:], last.shape)
    levels = _levels(last, last_days, by_weekday=stationarity.differenced)
    held = _scale(last - np.take_along_axis(levels, last_days, axis=1), (low, high)).astype(np.float32)
    windows = np.concatenate([held[..., None], _with_weekdays(known[:, -WINDOW:], last_days)], axis=-1)
    return Lstm(network, stationarity, stores, windows, levels, (low, high), start)


def _network(inputs: int, ahead: int) -> Any:
    from torch import nn

    class Network(nn.Module):
        """Reads a window, runs on through the horizon, and says one value a day."""

        def __init__(self) -> None:
            super().__init__()
            self.read = nn.LSTM(inputs, HIDDEN_UNITS, batch_first=True)
            self.run = nn.LSTM(ahead, HIDDEN_UNITS, batch_first=True)
            self.say = nn.Linear(HIDDEN_UNITS, 1)

        def forward(self, window: Any, horizon: Any) -> Any:
            return self.say(self.run(horizon, self.read(window)[1])[0]).squeeze(-1)

    return Network()


def _train(network: Any, inputs: Any, ahead: Any, target: Any, sold: Any, seed: int) -> None:
    import torch

    draw = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    steps = EPOCHS * -(-len(inputs) // BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
    network.train()
    for _ in range(EPOCHS):
        order = torch.randperm(len(inputs), generator=draw)
        for begin in range(0, len(inputs), BATCH_SIZE):
            some = order[begin : begin + BATCH_SIZE]
            error = (network(inputs[some], ahead[some]) - target[some]) * sold[some]
            loss = (error**2).sum() / sold[some].sum().clamp(min=1)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()


def _history_grids(train: pd.DataFrame, start: pd.Timestamp) -> tuple[NDArray[np.int64], Floats, NDArray[np.float32]]:
    """Stores, their log sales (S, T; NaN where none) and what was known (S, T, columns), up to the day before start."""
    back = (start - pd.to_datetime(train["day"])).dt.days.to_numpy()
    stores, place = np.unique(train["store"].to_numpy(), return_inverse=True)
    days = int(back.max())
    logs = np.full((len(stores), days), np.nan)
    logs[place, days - back] = np.log(train["sales"].to_numpy(float))
    known = np.zeros((len(stores), days, len(INPUT_SCALES)), np.float32)
    known[place, days - back] = _inputs(train)
    return stores, logs, known


def _inputs(features: pd.DataFrame) -> NDArray[np.float32]:
    return np.stack([features[name].to_numpy(float) / by for name, by in INPUT_SCALES.items()], axis=-1).astype(
        np.float32
    )


def _with_weekdays(known: NDArray[np.float32], weekdays: NDArray[np.int64]) -> NDArray[np.float32]:
    """Known columns with the weekday as seven more."""
    one_hot = np.eye(WEEK, dtype=np.float32)[weekdays]
    return np.concatenate([known, np.broadcast_to(one_hot, (*known.shape[:-1], WEEK))], axis=-1)


def _fill(logs: Floats) -> Floats:
    """Days without sales take the last value of their weekday, else the store's median: closed is not zero."""
    filled = logs.copy()
    for t in range(WEEK, logs.shape[1]):
        filled[:, t] = np.where(np.isnan(filled[:, t]), filled[:, t - WEEK], filled[:, t])
    medians = np.nanmedian(logs, axis=1, keepdims=True)
    return np.where(np.isnan(filled), medians, filled)


def _levels(values: Floats, weekdays: NDArray[np.int64], *, by_weekday: bool) -> Floats:
    """The median of each row's window, of each weekday or of all: (rows, WEEK)."""
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
    chosen = filled[rng.permutation(len(filled))[:TESTED_STORES]]
    differences = chosen[:, WEEK:] - chosen[:, :-WEEK]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a constant series has no test value, which counts as not rejected

        def share(series: Floats) -> float:
            return float(
                np.mean([np.ptp(one) > 0 and adfuller(one, maxlag=MAX_LAG)[1] < SIGNIFICANCE for one in series])
            )

        rejected, after = share(chosen), share(differences)
        differenced = rejected < MIN_STATIONARY_SHARE or _weekly_pattern(chosen)
        seen = differences if differenced else chosen
        lags = min(MAX_LAG, seen.shape[1] // 2 - 1)
        by_lag = np.nanmean([acf(one, nlags=lags) for one in seen], axis=0)
        partial = np.nanmean([pacf(one, nlags=lags) for one in seen], axis=0)
    return Stationarity(rejected, after, differenced, tuple(map(float, by_lag)), tuple(map(float, partial)))


def _weekly_pattern(series: Floats) -> bool:
    """Whether a value looks more like that of a week before than like that of the day before."""

    def correlation(lag: int) -> float:
        return float(np.mean([np.corrcoef(one[lag:], one[:-lag])[0, 1] for one in series]))

    return correlation(WEEK) > correlation(1)
