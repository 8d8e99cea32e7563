"""All that a forecast made on a day needs of the past and of the plan, small enough to keep in memory and to send.

A row of features is a look into the state: the calendar of a store's planned weeks, its linear models, its levels.
Nothing is fitted anew, so a row costs about as little for one day of one store as the machine allows.
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
from pipeline.stores.linear import DESIGN_COLUMNS, LEVEL_DAYS, LinearModels, fit_linear_models

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend
    from numpy.typing import NDArray

_LAYOUT = {
    "design": list(DESIGN_COLUMNS),
    "levels": list(LEVEL_DAYS),
    "last": list(LAST_YEAR_COLUMNS),
    "recent": list(RECENT_COLUMNS),
}
"""What the numbers of a state stand for: code that would read them otherwise refuses it."""


@dataclass(frozen=True)
class StoreState:
    """What is known on the morning of a day.

    Attributes:
        as_of: that day, the first to forecast. horizon: days from it on that can be forecast.
        about: the stores. plan: the days to forecast, and as many before them as their description needs.
        linear: the linear models. past: last year's and recent levels.
    """

    as_of: dt.date
    horizon: int
    about: StoreAttributes
    plan: Plan
    linear: LinearModels
    past: Levels

    @property
    def stores(self) -> NDArray[np.int64]:
        """The numbers of the known stores, in ascending order."""
        return self.about.numbers

    def to_bytes(self) -> bytes:
        """As a NumPy archive (.npz) without pickled objects."""
        header = {"as_of": self.as_of.isoformat(), "horizon": self.horizon, "first": self.plan.first, "layout": _LAYOUT}
        arrays: dict[str, Any] = {"header": np.array(json.dumps(header))}
        for part in (self.about, self.linear, self.past):
            arrays |= {field.name: getattr(part, field.name) for field in fields(part) if field.name != "words"}
        arrays |= {name: getattr(self.plan, name) for name in PLAN_GRIDS}
        arrays |= {f"word_{name}": words.astype(str) for name, words in self.about.words.items()}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of `to_bytes`.

        Raises:
            RefusedError: the state was made by code whose features are others.
        """
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = dict(file)
        header = json.loads(str(arrays["header"]))
        if header["layout"] != _LAYOUT:
            raise RefusedError(
                "the state of the stores was made by another version of the features",
                where=f"state as of {header['as_of']}",
                todo="build the features of that day again",
            )

        def part(kind: type, **more: object) -> Any:
            names = [field.name for field in fields(kind) if field.name not in more]
            return kind(**{name: arrays[name] for name in names}, **more)

        as_of = dt.date.fromisoformat(header["as_of"])
        return cls(
            as_of,
            header["horizon"],
            about=part(
                StoreAttributes, words={name: arrays[f"word_{name}"].astype(object) for name in CATEGORICAL_COLUMNS}
            ),
            plan=part(Plan, as_of=np.datetime64(as_of), first=header["first"]),
            linear=part(LinearModels),
            past=part(Levels),
        )


def store_state(
    con: Backend, store_days: ir.Table, stores: ir.Table, as_of: dt.date, *, horizon: int = 42
) -> StoreState:
    """The state on the morning of `as_of`.

    Args:
        con: the engine both tables belong to.
        store_days, stores: the clean tables; of days from as_of on sales and customers are not read, the rest is the
            plan.
        horizon: days to forecast.

    Raises:
        RefusedError: no open day lies before as_of.
    """
    grids = read_grids(con, store_days, stores, as_of, horizon)
    (linear,), adjusted = fit_linear_models(grids, Calendar.of(grids.plan), [0])
    return build_state(grids, linear, DailyLevels(grids.stores, adjusted), as_of, horizon)


def build_state(grids: Grids, linear: LinearModels, levels: DailyLevels, as_of: dt.date, horizon: int) -> StoreState:
    """The state on the morning of `as_of` from models fitted as of it."""
    return StoreState(as_of, horizon, grids.stores, grids.plan.enough(), linear, levels.as_of(0, horizon))
