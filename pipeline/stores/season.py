"""Read the same season of a year ago, aligned by Christmas and Easter, for each store and for the whole chain.

One or two years of history hold each season once or twice. The linear model describes a year by two waves and a few
effects; what a season had beyond that is left in its residuals of a year ago. They are read here for each day of the
horizon, at the day of the same season:

    20 December to 2 January                        the same date
    12 days before Easter to 8 after,
    Ascension to Corpus Christi (32 to 62 after)    the same distance from Easter Sunday
    every other day                                 the same weekday, 364 days earlier

A residual of the chain on one day is the season's effect plus chance: the weather, that week's offers. The larger it
is, the more likely it is the season, so a residual c counts by c^2 / (c^2 + `CHANCE`^2): one of 0.05 by an eighth, one
of 0.4 by nine tenths. Nothing here is particular to Christmas; it is there that residuals are large.

Two forecasts know no linear model. Both are a store's usual log sales of the weekday with or without promotion, plus
its level of the last twelve weeks, plus what the chain departed from the usual a year ago, plus half of what the store
itself departed from the chain. `last_season` is a baseline and takes the same date and the same weekday, whatever day
it was. `season_forecast` takes the day of the same season, and everything relative to the twelve weeks before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from dateutil.easter import easter  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.stores.calendar import Columns, Plan

    Floats = NDArray[np.floating]
    Ints = NDArray[np.int64]
    Days = NDArray[np.datetime64]

YEAR_DAYS, LEVEL_DAYS = 364, 84
RESIDUAL_DAYS = (420, 280)
"""First and last day, counted back from an origin, whose residuals the season of a horizon of 42 days needs."""
CHANCE = 0.12
"""Standard deviation, in logs, of what the chain's residual of a year ago on one day owes to chance."""
STORE_SHARES = {0: 0.25, 3: 0.1, 10: 0.1}
"""Days to either side -> share of a store's own mean departure from the chain around that day that is repeated."""
OWN_SHARE = 0.5
"""Share of a store's own departure that the two forecasts without linear model repeat."""
MIN_OPEN_SHARE = 0.3
"""Share of the stores that must be open for a day to be one of the chain."""
MAX_RESIDUAL = 1.0
"""Residuals beyond it, in logs, are those of half-closed days or mistakes and are left out."""
NEAR_EASTER = ((-12, 8), (32, 62))
PROFILE_GROUPS = 14
"""Weekdays, each without and with promotion."""
UNUSUAL_DAYS = 7
"""Days to either side over which it is averaged how unusual a season is."""
CORRECTION_COLUMNS = ("season", "season_weight", "season_scale")
"""What is added to the linear forecast, 0 where the season was not seen; by how much it is believed, 0 to 1, NaN where
it was not seen; and the chain's correction around the day (root mean square), which makes intervals wider."""
FORECAST_COLUMNS = ("last_season", "season_forecast")
"""Log sales; NaN in training rows, because no model learns from them."""
SEASON_COLUMNS = (*CORRECTION_COLUMNS, *FORECAST_COLUMNS)


@dataclass(frozen=True)
class Seasons:
    """The season of each day of a horizon as of one origin, float32.

    Attributes:
        profile: (S, `PROFILE_GROUPS`), usual log sales by weekday and promotion.
        season: (`SEASON_COLUMNS`, S, horizon); the forecasts are without the profile.
    """

    profile: Floats
    season: Floats

    def rows(self, store: Ints, ahead: Ints, days: Columns) -> Columns:
        """Return `SEASON_COLUMNS` of n days.

        Args:
            store: index of each day's store, (n,).
            ahead: days from the origin to each day, (n,).
            days: `Calendar.rows` of the days.
        """
        columns = dict(zip(SEASON_COLUMNS, self.season[:, store, ahead], strict=True))
        usual = self.profile[store, days["weekday"] * 2 + (days["promo"] > 0)]
        return columns | {name: columns[name] + usual for name in FORECAST_COLUMNS}


def day_of_same_season(days: Days) -> Days:
    """Return the day of the same season a year earlier for each day, see above."""
    months = days.astype("datetime64[M]")
    day_of_month, month = (days - months).astype(int) + 1, months.astype(int) % 12 + 1
    by_date = ((month == 12) & (day_of_month >= 20)) | ((month == 1) & (day_of_month <= 2))
    years = days.astype("datetime64[Y]").astype(int) + 1970
    easters = {year: np.datetime64(easter(year), "D") for year in {*years.tolist(), *(years - 1).tolist()}}
    from_easter = (days - np.array([easters[year] for year in years.tolist()], "datetime64[D]")).astype(int)
    last_easter = np.array([easters[year - 1] for year in years.tolist()], "datetime64[D]")
    near_easter = np.zeros(len(days), bool)
    for first, last in NEAR_EASTER:
        near_easter |= (from_easter >= first) & (from_easter <= last)
    aligned = np.where(near_easter, last_easter + from_easter, days - YEAR_DAYS)
    return np.asarray(np.where(by_date, same_date(days), aligned))


def same_date(days: Days) -> Days:
    """Return the same date a year earlier; of 29 February, 1 March."""
    months = days.astype("datetime64[M]")
    return np.asarray((months - 12).astype("datetime64[D]") + (days - months))


def seasonal_correction(as_of: np.datetime64, origin: int, horizon: int, residuals: Floats) -> Floats:
    """Return `CORRECTION_COLUMNS` of each store and day of the horizon: (3, S, horizon).

    Args:
        as_of: the day with t = 0.
        origin: the t on which the forecast is made.
        horizon: days from the origin on.
        residuals: (S, days), of the linear model as of the origin on `RESIDUAL_DAYS`; NaN where there are none.
    """
    first = origin - RESIDUAL_DAYS[0]
    days = as_of + origin + np.arange(horizon)
    at = (day_of_same_season(days) - as_of).astype(np.int64) - first
    known = np.where(np.abs(residuals) <= MAX_RESIDUAL, residuals, np.nan)
    chain = _chain_mean(known)
    effect = chain[at]
    effect = np.where(np.isnan(effect), _mean_around(chain[None], at, 3)[0], effect)
    weight = effect**2 / (effect**2 + CHANCE**2)
    season = np.broadcast_to(effect, (len(known), horizon)).copy()
    for days_around, share in STORE_SHARES.items():
        season += share * np.nan_to_num(_mean_around(known - chain, at, days_around))
    of_chain = np.nan_to_num(weight * effect)
    around = np.sqrt(_mean_around(of_chain[None] ** 2, np.arange(horizon), UNUSUAL_DAYS))[0]
    of_days = (np.broadcast_to(values, season.shape) for values in (weight, around))
    return np.array([np.nan_to_num(weight * season), *of_days], np.float32)


def last_seasons(sales: Floats, plan: Plan, horizon: int) -> tuple[Floats, Floats]:
    """Return the profile of each store, and `FORECAST_COLUMNS` without it of each store and day as of t = 0.

    Args:
        sales: (S, days before as_of), NaN where closed or unknown.
        plan: the days of `sales` and those to forecast.
        horizon: days to forecast.

    Returns:
        (S, `PROFILE_GROUPS`), and (2, S, horizon).
    """
    past = sales.shape[1]
    logs = np.log(sales, where=sales > 0, out=np.full(sales.shape, np.nan))
    days = plan.as_of + plan.first + np.arange(past)
    groups = (days.astype(int) + 3) % 7 * 2 + plan.promo[:, :past]  # 1970 began on a Thursday, weekday 3
    profile = _profile(logs, groups)
    departures = logs - np.take_along_axis(profile, groups, 1)
    level = np.nan_to_num(_mean(departures[:, max(0, past - LEVEL_DAYS) :]))
    chain = _mean(departures.T)
    regular = _chain_mean(departures)
    before = slice(max(0, past - YEAR_DAYS - LEVEL_DAYS), max(0, past - YEAR_DAYS))
    own_before = _mean(departures[:, before])
    chain_before = float(np.nan_to_num(_mean(regular[None, before])[0]))

    ahead = plan.as_of + np.arange(horizon)
    dated, weekly, seasonal = (
        (earlier - days[0]).astype(np.int64)
        for earlier in (same_date(ahead), ahead - YEAR_DAYS, day_of_same_season(ahead))
    )
    plain = np.nan_to_num(_mean(np.array([_at(chain[None], dated)[0], _at(chain[None], weekly)[0]]).T))
    own = _at(departures, weekly) - np.nan_to_num(own_before)[:, None] - plain
    last = level[:, None] + plain + OWN_SHARE * np.nan_to_num(own)

    near_easter = seasonal != np.where(seasonal == dated, dated, weekly)
    also = np.where(near_easter, seasonal, dated)
    effect = _mean(np.array([_at(regular[None], seasonal)[0], _at(regular[None], also)[0]]).T) - chain_before
    effect = np.nan_to_num(effect)
    both = np.array([_at(departures, seasonal), _at(departures, also)])
    reference = np.where(np.isnan(own_before), chain_before, own_before)
    own = _mean(np.moveaxis(both, 0, -1)) - reference[:, None] - effect
    return profile, np.array([last, level[:, None] + effect + OWN_SHARE * np.nan_to_num(own)], np.float32)


def _profile(logs: Floats, groups: Ints) -> Floats:
    """Return mean log sales by store and group; a group that a store never had gets the chain's relation to it."""
    stores, known = len(logs), np.isfinite(logs)
    cells = (np.arange(stores)[:, None] * PROFILE_GROUPS + groups)[known]
    size = stores * PROFILE_GROUPS
    counts = np.bincount(cells, minlength=size).reshape(stores, PROFILE_GROUPS)
    totals = np.bincount(cells, logs[known], minlength=size).reshape(stores, PROFILE_GROUPS)
    means = totals / np.where(counts > 0, counts, np.nan)
    overall = totals.sum(1) / np.maximum(counts.sum(1), 1)
    relation = np.nan_to_num(_mean((means - overall[:, None]).T))
    return np.where(counts > 0, means, overall[:, None] + relation)


def _chain_mean(values: Floats) -> Floats:
    """Return the mean over the stores of each day; NaN on days on which most are closed."""
    open_stores = np.isfinite(values).sum(0)
    return np.where(open_stores >= max(1.0, MIN_OPEN_SHARE * len(values)), _mean(values.T), np.nan)


def _mean(values: Floats) -> Floats:
    """Return the mean of the last axis without NaN; NaN where there is nothing else."""
    known = np.isfinite(values)
    count = known.sum(-1)
    total = np.where(known, values, 0).sum(-1)
    return np.asarray(total / np.where(count > 0, count, np.nan))


def _at(values: Floats, columns: Ints) -> Floats:
    """Return the given columns of (n, days) values; NaN before the first day."""
    taken = values[:, np.maximum(columns, 0)]
    return np.where(columns >= 0, taken, np.nan)


def _mean_around(values: Floats, at: Ints, around: int) -> Floats:
    """Return the mean without NaN of the columns from `at` - `around` to `at` + `around`: (n, len(at))."""
    known = np.isfinite(values)
    days = values.shape[1]
    begin, end = np.clip(at - around, 0, days), np.clip(at + around + 1, 0, days)
    counts, totals = (np.zeros((len(values), days + 1)) for _ in range(2))
    np.cumsum(known, 1, out=counts[:, 1:])
    np.cumsum(np.where(known, values, 0), 1, out=totals[:, 1:])
    count = counts[:, end] - counts[:, begin]
    return (totals[:, end] - totals[:, begin]) / np.where(count > 0, count, np.nan)
