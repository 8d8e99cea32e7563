"""`POST /predict`: what a store will sell on days ahead, as planned or as asked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from pipeline.errors import RefusedError
from pipeline.lake.tables import Lake
from pipeline.serving.interface import Answer, Day, EndpointSpec, Predictions, RowError, Strict
from pipeline.stores.calendar import HOLIDAYS
from pipeline.stores.features import rows as features_of
from pipeline.stores.intervals import Intervals
from pipeline.stores.steps import INTERVALS_FILE, MODEL, newest_state, read_state

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.registry.records import Loaded
    from pipeline.settings import Settings

EXAMPLE_ROWS = 5
LOGGED = (
    *("store", "day", "promo", "state_holiday", "school_holiday", "ahead", "linear"),
    *("level_28", "level_182", "effect_promo", "sales_a_customer", "scale", "store_level"),
)
"""What is logged of the features: what was asked, and where the store stands."""
PLANNED = ("promo", "state_holiday", "school_holiday")


class StoreDay(Strict):
    """A store on a day. What is left out is as planned; the rows of a request are one plan that all of them follow."""

    store: int = Field(ge=0, le=2**31 - 1)
    day: Day
    open: bool | None = None
    promo: bool | None = None
    state_holiday: Literal["none", "public", "easter", "christmas"] | None = None
    school_holiday: bool | None = None


class Forecast(Answer):
    """Sales of the day: the mean, and between what 80 and 95 of 100 such days lie; all 0 when it is closed."""

    mean: float
    low_80: float
    high_80: float
    low_95: float
    high_95: float
    open: bool
    model_version: int


class Predictor:
    """The champion, and the state of the stores on the newest morning that was scored."""

    def __init__(self, loaded: Mapping[str, Loaded], settings: Settings) -> None:
        champion = loaded[MODEL]
        self._model, self._version = champion.model, champion.version.version
        self._intervals = Intervals.from_record(champion.artefacts[INTERVALS_FILE])
        self._state = read_state(Lake(settings), newest_state(Lake(settings)))
        self._words = list(HOLIDAYS)
        last = self._state.as_of + dt.timedelta(days=self._state.horizon - 1)
        self.about: Mapping[str, Any] = {
            "stores": self._state.stores.tolist(),
            "from": self._state.as_of.isoformat(),
            "until": last.isoformat(),
        }
        self.example = [
            StoreDay(store=int(store), day=self._state.as_of + dt.timedelta(days=int(ahead)))
            for store, ahead in self._planned_open()[:EXAMPLE_ROWS]
        ]

    def predict(self, requests: Sequence[Sequence[StoreDay]]) -> Predictions:
        """Answer store days; stores and days that nothing is known of are refused."""
        answers: dict[int, Answer] = {}
        asked: list[tuple[Any, ...]] = []
        positions: list[int] = []
        at = 0
        for number, rows in enumerate(requests):
            seen: set[tuple[int, dt.date]] = set()
            for row in rows:
                made = self._asked(row)
                if (row.store, row.day) in seen:
                    answers[at] = RowError.of(_TWICE)
                elif isinstance(made, RefusedError):
                    answers[at] = RowError.of(made)
                elif made is None:
                    answers[at] = self._closed
                else:
                    asked.append((*made, number))
                    positions.append(at)
                seen.add((row.store, row.day))
                at += 1
        if not asked:
            return Predictions([answers[at] for at in range(len(answers))], [], {})
        days = pd.DataFrame(asked, columns=["store", "day", *PLANNED, "request"])
        features = features_of(self._state, days)
        mean = self._model.predict(features)
        ends = self._intervals.around(features, mean)
        (low_80, high_80), (low_95, high_95) = ends[0.8], ends[0.95]
        columns = (mean, low_80, high_80, low_95, high_95)
        for at, values in zip(positions, zip(*(column.tolist() for column in columns), strict=True), strict=True):
            answers[at] = Forecast(**dict(zip(_NUMBERS, values, strict=True)), open=True, model_version=self._version)
        inputs = {name: (days if name in days else features)[name].tolist() for name in LOGGED}
        return Predictions([answers[at] for at in range(len(answers))], positions, inputs)

    @property
    def _closed(self) -> Forecast:
        return Forecast(**dict.fromkeys(_NUMBERS, 0.0), open=False, model_version=self._version)

    def _planned_open(self) -> NDArray[np.int64]:
        """(rows, 2): the stores, and the days from as_of on, of planned open days."""
        plan = self._state.plan
        store, ahead = np.nonzero(plan.open[:, -plan.first :])
        return np.column_stack([self._state.stores[store], ahead])

    def _asked(self, row: StoreDay) -> tuple[Any, ...] | RefusedError | None:
        """The day as asked and else as planned: store, day and `PLANNED`; None when it is closed."""
        state, plan = self._state, self._state.plan
        place = int(np.searchsorted(state.stores, row.store))
        if place == len(state.stores) or state.stores[place] != row.store:
            return RefusedError(
                "Nothing is known of this store",
                where="store",
                observed=row.store,
                allowed=f"one of the {len(state.stores)} stores with days before {state.as_of}",
                todo="GET /model/store_sales lists the stores",
            )
        ahead = (row.day - state.as_of).days
        if not 0 <= ahead < state.horizon:
            return RefusedError(
                "This day cannot be forecast",
                where="day",
                observed=row.day.isoformat(),
                allowed=f"{state.horizon} days from {state.as_of} on",
                todo="ask for one of these days",
            )
        cell = place, ahead - plan.first
        known = bool(plan.known[cell])
        missing = [name for name in PLANNED if getattr(row, name) is None]
        if not known and row.open is not False and missing:
            return RefusedError(
                "Nothing is planned for this day",
                where=", ".join(missing),
                allowed="a planned day, or one of which the request says all",
                todo=f"send {', '.join(missing)}, or ingest the plan of the day",
            )
        is_open = row.open if row.open is not None else bool(plan.open[cell]) or not known
        if not is_open:
            return None
        promo = bool(plan.promo[cell]) if row.promo is None else row.promo
        school = bool(plan.school[cell]) if row.school_holiday is None else row.school_holiday
        holiday = row.state_holiday or self._words[plan.holiday[cell]]
        return row.store, row.day, promo, holiday, school


_NUMBERS = ("mean", "low_80", "high_80", "low_95", "high_95")
_TWICE = RefusedError(
    "This store's day is asked for twice in the request",
    where="store, day",
    todo="ask for the one plan and the other in requests of their own",
)


def _source(settings: Settings) -> str:
    return newest_state(Lake(settings))


SERVED = EndpointSpec(
    name="store_sales",
    path="/predict",
    models=(MODEL,),
    summary="What a store will sell",
    description=(
        "Sales of a store on one day or many of the next six weeks, with the intervals of 80 and 95 of 100 such days. "
        "Promotions, holidays and closures are as planned unless the row says otherwise, so that plans can be compared."
    ),
    row=StoreDay,
    answer=Forecast,
    build=Predictor,
    source=_source,
)
