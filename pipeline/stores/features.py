"""Build features from store days: one row per open store day, with what a forecast made on an earlier day could know.

As-of day and origin
    Every row has an origin, the day on which its forecast is made. The row uses sales from before its origin only, and
    calendar, promotions, holidays and closures up to the end of the origin's horizon. Rows to forecast have the origin
    `as_of`. Training rows have origins `BLOCK_DAYS` days apart, going back from as_of. With a horizon of three blocks
    each store uses every third origin, so that each past day is forecast exactly once, 0 to horizon - 1 days ahead:
    the model trains on rows like those that it will forecast.
    There is one exception: the effects (weekday, promotion, ...) that are removed from last year's levels are those
    estimated as of `as_of` in every row. They, too, use nothing from as_of or later.

Groups of columns
    CALENDAR_COLUMNS                      known in advance (see calendar.py)
    LINEAR_COLUMNS                        forecasts of the linear models as of the origin, and the store's recent sales
                                          relative to them (see linear.py)
    LAST_YEAR_COLUMNS, RECENT_COLUMNS     levels of the store, its state and its format around the same day last year,
                                          and in the last weeks (see levels.py)
    RELATIVE_COLUMNS                      the levels among these, less their means over the stores (see chain.py)
    SEASON_COLUMNS                        the same season a year ago (see season.py)
    ahead                                 days from the origin to the day, 0 for the first

Rows to forecast are computed from a state (see state.py) alone, whether they are the chain's next six weeks or one day
of a prediction request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.errors import UsageError
from pipeline.stores.calendar import CALENDAR_COLUMNS, CATEGORICAL_COLUMNS, HOLIDAY_CODES, Calendar, limit_look_ahead
from pipeline.stores.chain import relative_name
from pipeline.stores.grids import BLOCK_DAYS, StoreAttributes, read_grids
from pipeline.stores.levels import LAST_YEAR_COLUMNS, RECENT_COLUMNS, DailyLevels, Levels
from pipeline.stores.linear import DEPARTURE_COLUMNS, LINEAR_COLUMNS, LinearModels, fit_linear_models
from pipeline.stores.season import FORECAST_COLUMNS, PROFILE_GROUPS, SEASON_COLUMNS, Seasons, seasonal_correction
from pipeline.stores.state import StoreState, build_state, store_state

if TYPE_CHECKING:
    import datetime as dt

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend
    from numpy.typing import NDArray

    from pipeline.stores.calendar import Columns
    from pipeline.stores.grids import Grids

    Floats = NDArray[np.floating]

FEATURE_COLUMNS: tuple[str, ...] = (*CALENDAR_COLUMNS, *LINEAR_COLUMNS, *LAST_YEAR_COLUMNS, *RECENT_COLUMNS, "ahead")
"""The features from which the columns of a learning model are taken."""
CHAIN_COLUMNS: tuple[str, ...] = (*DEPARTURE_COLUMNS, *LAST_YEAR_COLUMNS, *RECENT_COLUMNS)
"""Those that are levels of stores and of groups of stores, with the chain's in them."""
RELATIVE_COLUMNS = tuple(map(relative_name, CHAIN_COLUMNS))
"""The same relative to the chain."""
OWN_COLUMNS: tuple[str, ...] = (
    *(name for name in FEATURE_COLUMNS[:-1] if name not in CHAIN_COLUMNS),
    *RELATIVE_COLUMNS,
    FEATURE_COLUMNS[-1],
)
"""`FEATURE_COLUMNS` with levels relative to the chain."""
COLUMNS: tuple[str, ...] = (*FEATURE_COLUMNS, *RELATIVE_COLUMNS, *SEASON_COLUMNS)
"""All features: models also forecast from those of the season, and do not learn from them as from the others."""
KEY_COLUMNS = ("store", "day", "origin", "sales")
PLANNED_DAY_COLUMNS = ("store", "day", "promo", "state_holiday", "school_holiday")
MIN_HISTORY_DAYS = 182
"""Days of history before the first origin."""


def store_features(
    con: Backend, store_days: ir.Table, stores: ir.Table, as_of: dt.date, *, horizon: int = 42, train: bool = True
) -> ir.Table:
    """Build the features of the open days of the horizon and, with `train`, of history.

    Args:
        con: the engine of both tables; the result is a table of it, which the caller drops.
        store_days: the clean table; of days from as_of on, sales and customers are not read.
        stores: the clean table.
        as_of: the first day to forecast.
        horizon: days to forecast, a multiple of `BLOCK_DAYS`.
        train: whether to include training rows.

    Returns:
        store, day, origin (int64, days from as_of; 0 for the rows to forecast), sales (float64; null from as_of on and
        on days without sales) and `COLUMNS`, ordered by store and day. Features are float32, null where history
        gives no value, except `CATEGORICAL_COLUMNS`, which are str.

    Raises:
        RefusedError: if there is no open day before as_of.
    """
    if train:
        table = _arrow_table(_training_columns(read_grids(con, store_days, stores, as_of, horizon), as_of, horizon))
    else:
        table = planned_features(store_state(con, store_days, stores, as_of, horizon=horizon))
    return con.create_table(ibis.util.gen_name("store_features"), table)


def planned_features(state: StoreState) -> pa.Table:
    """Build the features of the planned open days, with the columns of `store_features`."""
    return _arrow_table(_feature_columns(state, planned_days(state)))


def _arrow_table(columns: Columns) -> pa.Table:
    types = dict.fromkeys(CATEGORICAL_COLUMNS, pa.string())
    return pa.table({name: pa.array(values, types.get(name), from_pandas=True) for name, values in columns.items()})


def planned_days(state: StoreState) -> pd.DataFrame:
    """Return `PLANNED_DAY_COLUMNS` of the planned open days, ordered by store and day."""
    plan = state.plan
    store, ahead = np.nonzero(plan.open[:, -plan.first :])
    cells = store, ahead - plan.first
    holiday_names = np.array(list(HOLIDAY_CODES), object)
    return pd.DataFrame(
        {
            "store": state.stores[store],
            "day": plan.as_of + ahead,
            "promo": plan.promo[cells],
            "state_holiday": holiday_names[plan.holiday[cells]],
            "school_holiday": plan.school[cells],
        }
    )


def feature_rows(state: StoreState, days: pd.DataFrame) -> pd.DataFrame:
    """Return the features of the given days, in their order, with the columns and types of `store_features`.

    Args:
        state: the state as of the day on which the forecast is made.
        days: `PLANNED_DAY_COLUMNS` of open days within the horizon, each store and day once. They override the state's
            plan for these days, and all distances to promotions, holidays and closures are computed from the result;
            the state itself does not change. With a column `request` (int), each request is a separate plan: its rows
            do not affect those of other requests.

    Raises:
        UsageError: if a column is missing, a store is unknown, a day lies outside the horizon or is given twice, or a
            state holiday is not one of `HOLIDAY_CODES`.
    """
    columns = _feature_columns(state, days)
    return pd.DataFrame(columns | {"day": columns["day"].astype(object)})


def _feature_columns(state: StoreState, days: pd.DataFrame) -> Columns:
    store, t, holiday, request = _locate(state, days)
    # One row of the plan for each store of each request, so that requests do not affect each other.
    plan_keys, row = np.unique(request * len(state.stores) + store, return_inverse=True)
    plan = state.plan.select_stores(plan_keys % len(state.stores))
    cells = row, t - plan.first
    plan.known[cells] = plan.open[cells] = True
    plan.promo[cells] = days["promo"].to_numpy(bool)
    plan.school[cells] = days["school_holiday"].to_numpy(bool)
    plan.holiday[cells] = holiday
    calendar = Calendar.from_plan(plan).rows(row, t)
    view = _OriginView(0, state.horizon, state.linear, state.levels, state.seasons)
    return view.rows(state.attributes, store, plan.as_of, calendar)


@dataclass(frozen=True)
class _OriginView:
    """What a forecast made on one origin, a t, knows of the past."""

    origin: int
    horizon: int
    linear: LinearModels
    levels: Levels
    seasons: Seasons

    def rows(
        self,
        attributes: StoreAttributes,
        store: NDArray[np.int64],
        as_of: np.datetime64,
        calendar: Columns,
        sales: float | Floats = np.nan,
    ) -> Columns:
        """Return `KEY_COLUMNS` and `COLUMNS` of n days.

        Args:
            attributes: of all stores.
            store: index of each day's store, (n,).
            as_of: the day with t = 0.
            calendar: `Calendar.rows` of the days.
            sales: of the days, (n,); NaN where unknown.
        """
        t = calendar["t"]
        ahead, day = t - self.origin, as_of + t
        columns = attributes.rows(store, day) | limit_look_ahead(calendar, self.origin, self.horizon)
        columns |= self.linear.rows(store, calendar, self.origin + self.horizon)
        columns |= self.levels.rows(store, ahead) | self.seasons.rows(store, ahead, calendar) | {"ahead": ahead}
        keys = {
            "store": attributes.numbers[store],
            "day": day,
            "origin": np.full(len(t), self.origin),
            "sales": np.broadcast_to(np.asarray(sales, float), len(t)),
        }
        return keys | {
            name: columns[name] if name in CATEGORICAL_COLUMNS else columns[name].astype(np.float32) for name in COLUMNS
        }


def _locate(
    state: StoreState, days: pd.DataFrame
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int8], NDArray[np.int64]]:
    """Validate the given days, and return the index of their stores, their t, holiday codes and request numbers."""
    missing = [name for name in PLANNED_DAY_COLUMNS if name not in days.columns]
    if missing:
        raise UsageError("columns are missing", observed=", ".join(missing), allowed=", ".join(PLANNED_DAY_COLUMNS))
    numbers = days["store"].to_numpy(np.int64)
    store = np.minimum(np.searchsorted(state.stores, numbers), len(state.stores) - 1)
    unknown = state.stores[store] != numbers
    if unknown.any():
        raise UsageError(
            "a store is unknown",
            observed=f"store {numbers[unknown][0]}",
            allowed=f"one of the {len(state.stores)} stores of the state as of {state.as_of}",
        )
    t = (days["day"].to_numpy("datetime64[D]") - np.datetime64(state.as_of)).astype(np.int64)
    outside = (t < 0) | (t >= state.horizon)
    if outside.any():
        raise UsageError(
            "a day lies outside the days that can be forecast",
            observed=str(np.datetime64(state.as_of) + t[outside][0]),
            allowed=f"{state.horizon} days from {state.as_of} on",
        )
    request = days["request"].to_numpy(np.int64) if "request" in days else np.zeros(len(days), np.int64)
    cells = (request * len(state.stores) + store) * state.horizon + t
    if len(np.unique(cells)) < len(cells):
        raise UsageError("a store's day is given twice", todo="send each variant of a day in a request of its own")
    holidays = [HOLIDAY_CODES.get(name, -1) for name in days["state_holiday"]]
    if -1 in holidays:
        raise UsageError(
            "there is no such state holiday",
            observed=str(days["state_holiday"].iloc[holidays.index(-1)]),
            allowed=", ".join(HOLIDAY_CODES),
        )
    return store, t, np.array(holidays, np.int8), request


def _training_columns(grids: Grids, as_of: dt.date, horizon: int) -> Columns:
    """Return the columns of the training rows and of the rows to forecast, ordered by store and day."""
    plan, attributes = grids.plan, grids.stores
    origins = range(0, min(-1, plan.first + MIN_HISTORY_DAYS - 1), -BLOCK_DAYS)
    calendar = Calendar.from_plan(plan)
    linear_models, adjusted, residuals = fit_linear_models(grids, calendar, origins)
    levels = DailyLevels(attributes, adjusted)
    state = build_state(grids, linear_models[0], levels, residuals[0], as_of, horizon)
    parts = [_feature_columns(state, planned_days(state))]
    blocks = horizon // BLOCK_DAYS
    no_profile = np.full((len(attributes.numbers), PROFILE_GROUPS), np.nan, np.float32)
    no_forecast = np.full((len(FORECAST_COLUMNS), len(attributes.numbers), horizon), np.nan, np.float32)
    for origin, linear, residual in zip(origins[1:], linear_models[1:], residuals[1:], strict=True):
        # A store's origins are `blocks` blocks apart and staggered over stores, so that every calendar day of origin
        # occurs in the training rows.
        column = origin - plan.first
        selected = np.flatnonzero((np.arange(len(attributes.numbers)) + column // BLOCK_DAYS) % blocks == 0)
        row, ahead = np.nonzero(plan.open[selected, column : min(column + horizon, -plan.first)])
        store, t = selected[row], ahead + origin
        sales = grids.sales[store, t - plan.first]
        correction = seasonal_correction(plan.as_of, origin, horizon, residual)
        seasons = Seasons(no_profile, np.concatenate([correction, no_forecast]))
        view = _OriginView(origin, horizon, linear, levels.as_of(origin, horizon), seasons)
        sales = np.where(sales == 0, np.nan, sales)
        parts.append(view.rows(attributes, store, plan.as_of, calendar.rows(store, t), sales))
    order = np.lexsort([np.concatenate([part[name] for part in parts]) for name in ("day", "store")])
    return {name: np.concatenate([part.pop(name) for part in parts])[order] for name in (*KEY_COLUMNS, *COLUMNS)}
