"""Summarise what forecasts made on a day need of the past and of the plan, small enough to keep in memory.

Features are looked up in this state: the calendar of a store's planned weeks, its linear models and its levels.
Nothing is fitted again, so the features of one store's day take about two milliseconds.
"""

from __future__ import annotations

import datetime as dt
import io
import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from pipeline.errors import RefusedError
from pipeline.stores.calendar import CATEGORICAL_COLUMNS, PLAN_GRIDS, Calendar, Plan
from pipeline.stores.grids import Grids, StoreAttributes, read_grids
from pipeline.stores.levels import LAST_YEAR_COLUMNS, RECENT_COLUMNS, DailyLevels, Levels
from pipeline.stores.linear import LEVEL_DAYS, LinearModels, fit_linear_models
from pipeline.stores.linear_design import DESIGN_COLUMNS
from pipeline.stores.season import SEASON_COLUMNS, Seasons, last_seasons, seasonal_correction

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend
    from numpy.typing import NDArray

_LAYOUT = {
    "design": list(DESIGN_COLUMNS),
    "levels": list(LEVEL_DAYS),
    "last": list(LAST_YEAR_COLUMNS),
    "recent": list(RECENT_COLUMNS),
    "season": list(SEASON_COLUMNS),
}
"""The meaning of the columns of a saved state's arrays; a state with another layout is refused."""
RECENT_DAYS = 56
"""Days before as_of whose sales are kept, to be shown before a forecast; no feature is made from them."""


@dataclass(frozen=True)
class StoreState:
    """What is known on the morning of a day.

    Attributes:
        as_of: that day, the first to forecast.
        horizon: days from as_of on that can be forecast.
        attributes: attributes of the stores.
        plan: the days to forecast, and as many days before them as their description needs.
        linear: the linear models.
        levels: last year's and recent levels.
        seasons: the same season a year ago.
        recent_sales: (S, at most `RECENT_DAYS`), sales of the last days before as_of, NaN where closed or unknown.
    """

    as_of: dt.date
    horizon: int
    attributes: StoreAttributes
    plan: Plan
    linear: LinearModels
    levels: Levels
    seasons: Seasons
    recent_sales: NDArray[np.float32]

    @property
    def stores(self) -> NDArray[np.int64]:
        """The store numbers, ascending."""
        return self.attributes.numbers

    def to_bytes(self) -> bytes:
        """Serialise as a NumPy archive (.npz) without pickled objects."""
        header = {"as_of": self.as_of.isoformat(), "horizon": self.horizon, "first": self.plan.first, "layout": _LAYOUT}
        arrays: dict[str, Any] = {"header": np.array(json.dumps(header))}
        for part in (self.attributes, self.linear, self.levels, self.seasons):
            arrays |= {field.name: getattr(part, field.name) for field in fields(part) if field.name != "categories"}
        arrays |= {name: getattr(self.plan, name) for name in PLAN_GRIDS}
        arrays |= {f"word_{name}": values.astype(str) for name, values in self.attributes.categories.items()}
        arrays["recent_sales"] = self.recent_sales
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Deserialise what `to_bytes` wrote.

        Raises:
            RefusedError: if the state was written by a version with other features.
        """
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = dict(file)
        header = json.loads(str(arrays["header"]))
        if header["layout"] != _LAYOUT:
            raise RefusedError(
                "the state of the stores was written by another version of the features",
                where=f"state as of {header['as_of']}",
                todo="build the features of that day again",
            )

        def part(record: type, **others: object) -> Any:
            names = [field.name for field in fields(record) if field.name not in others]
            return record(**{name: arrays[name] for name in names}, **others)

        as_of = dt.date.fromisoformat(header["as_of"])
        categories = {name: arrays[f"word_{name}"].astype(object) for name in CATEGORICAL_COLUMNS}
        return cls(
            as_of,
            header["horizon"],
            attributes=part(StoreAttributes, categories=categories),
            plan=part(Plan, as_of=np.datetime64(as_of), first=header["first"]),
            linear=part(LinearModels),
            levels=part(Levels),
            seasons=part(Seasons),
            # A state that an earlier release wrote has none.
            recent_sales=arrays.get("recent_sales", np.empty((len(arrays["numbers"]), 0), np.float32)),
        )


def store_state(
    con: Backend, store_days: ir.Table, stores: ir.Table, as_of: dt.date, *, horizon: int = 42
) -> StoreState:
    """Compute the state on the morning of `as_of` from the clean tables.

    Args:
        con: the engine of both tables.
        store_days: the clean table. Days from as_of on are the plan; their sales and customers are not read.
        stores: the clean table.
        as_of: the first day to forecast.
        horizon: days to forecast.

    Raises:
        RefusedError: if there is no open day before as_of.
    """
    grids = read_grids(con, store_days, stores, as_of, horizon)
    (linear,), adjusted, (residuals,) = fit_linear_models(grids, Calendar.from_plan(grids.plan), [0])
    return build_state(grids, linear, DailyLevels(grids.stores, adjusted), residuals, as_of, horizon)


def build_state(
    grids: Grids,
    linear: LinearModels,
    levels: DailyLevels,
    residuals: NDArray[np.floating],
    as_of: dt.date,
    horizon: int,
) -> StoreState:
    """Put the state together from models, levels and residuals as of `as_of`."""
    profile, forecasts = last_seasons(grids.sales, grids.plan, horizon)
    correction = seasonal_correction(grids.plan.as_of, 0, horizon, residuals)
    return StoreState(
        as_of,
        horizon,
        grids.stores,
        grids.plan.drop_unneeded_history(),
        linear,
        levels.as_of(0, horizon),
        Seasons(profile.astype(np.float32), np.concatenate([correction, forecasts])),
        grids.sales[:, -RECENT_DAYS:].astype(np.float32),
    )
