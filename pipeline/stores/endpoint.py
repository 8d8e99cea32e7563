"""`POST /predict`: sales forecasts of a store on coming days, under the ingested plan or the request's own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from pipeline.endpoints import Answer, Day, EndpointSpec, Predictions, RowError, Strict, Sums
from pipeline.errors import RefusedError
from pipeline.lake.tables import Lake
from pipeline.stores.calendar import HOLIDAY_CODES
from pipeline.stores.candidates import TRUSTED_TYPES
from pipeline.stores.domain import MODEL
from pipeline.stores.features import feature_rows as features_of
from pipeline.stores.features import planned_days
from pipeline.stores.intervals import INTERVALS_FILE, Intervals
from pipeline.stores.state_files import newest_state, newest_state_of, read_state
from pipeline.stores.sums import SumIntervals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.registry.records import Loaded
    from pipeline.settings import Settings
    from pipeline.stores.state import StoreState

EXAMPLE_ROWS = 5
LOGGED = (
    *("store", "day", "promo", "state_holiday", "school_holiday", "ahead", "linear"),
    *("level_28", "level_182", "effect_promo", "sales_a_customer", "scale", "store_level"),
)
"""The features that are logged: the day's plan, and the level of the store."""
SumOver = Literal["chain", "chain_week", "state", "state_week", "store_type", "store", "store_week"]
"""The kinds of `sums.KINDS`."""
PLANNED = ("promo", "state_holiday", "school_holiday")
"""The fields of a day that a row may leave to the ingested plan."""


class StoreDay(Strict):
    """A store on a day. Fields left out are taken from the ingested plan; all rows of a request are one plan."""

    store: int = Field(ge=0, le=2**31 - 1)
    day: Day
    open: bool | None = None
    promo: bool | None = None
    state_holiday: Literal["none", "public", "easter", "christmas"] | None = None
    school_holiday: bool | None = None


class Forecast(Answer):
    """Sales of the day: the mean and the intervals of 80 and 95 of 100 such days; 0 when the store is closed."""

    mean: float
    low_80: float
    high_80: float
    low_95: float
    high_95: float
    open: bool
    model_version: int


class ForecastSum(Answer):
    """A sum of forecasts of open days, with the intervals of 80 and 95 of 100 such sums.

    They come from the errors that stores and days have in common, and are not the sums of the days' intervals.
    `state`, `store_type`, `store` and `week` (1: the first seven days to forecast) say what the sum is of.
    """

    state: str | None = None
    store_type: str | None = None
    store: int | None = None
    week: int | None = None
    first: dt.date
    last: dt.date
    store_days: int
    sum: float
    low_80: float
    high_80: float
    low_95: float
    high_95: float
    model_version: int


class StoreSalesPredictor:
    """Forecasts with the champion, from the state of the stores that the newest scoring saved."""

    def __init__(self, loaded: Mapping[str, Loaded], settings: Settings) -> None:
        champion = loaded[MODEL]
        self._model, self._version = champion.model, champion.version.version
        self._intervals = Intervals.from_record(champion.artefacts[INTERVALS_FILE])
        self._sum_intervals = SumIntervals.from_artefacts(champion.artefacts)
        self._state = read_state(Lake(settings), newest_state(Lake(settings)))
        self._holidays = list(HOLIDAY_CODES)
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
        """Answer each store day; unknown stores, days beyond the horizon and unplanned days get a `RowError`."""
        answers: dict[int, Answer] = {}
        open_days: list[tuple[Any, ...]] = []
        positions: list[int] = []
        at = 0
        for number, rows in enumerate(requests):
            seen: set[tuple[int, dt.date]] = set()
            for row in rows:
                day = self._plan_of(row)
                if (row.store, row.day) in seen:
                    answers[at] = RowError.of(_DUPLICATE)
                elif isinstance(day, RefusedError):
                    answers[at] = RowError.of(day)
                elif day is None:
                    answers[at] = self._closed
                else:
                    open_days.append((*day, number))
                    positions.append(at)
                seen.add((row.store, row.day))
                at += 1
        if not open_days:
            return Predictions([answers[at] for at in range(len(answers))], [], {})
        days = pd.DataFrame(open_days, columns=["store", "day", *PLANNED, "request"])
        features = features_of(self._state, days)
        mean = self._model.predict(features)
        intervals = self._intervals.around(features, mean)
        (low_80, high_80), (low_95, high_95) = intervals[0.8], intervals[0.95]
        columns = (mean, low_80, high_80, low_95, high_95)
        for at, values in zip(positions, zip(*(column.tolist() for column in columns), strict=True), strict=True):
            answers[at] = Forecast(**dict(zip(_NUMBERS, values, strict=True)), open=True, model_version=self._version)
        inputs = {name: (days if name in days else features)[name].tolist() for name in LOGGED}
        return Predictions([answers[at] for at in range(len(answers))], positions, inputs)

    def sums(self, over: str, rows: Sequence[StoreDay], answers: Sequence[Answer]) -> list[Answer]:
        """Sum the forecasts of the open days among the rows of a request; without rows, of all planned open days.

        The only answer is a `RowError` where a row has none, no day is open, or the model version cannot tell.
        """
        if self._sum_intervals is None:
            return [RowError.of(_NO_SUM_INTERVALS)]
        if failed := [n for n, answer in enumerate(answers) if isinstance(answer, RowError)]:
            return [RowError.of(_no_sum(failed))]
        days = self._rows_to_sum(rows, answers) if rows else self._planned
        if days.empty:
            return [RowError.of(_NOTHING_OPEN)]
        found = self._sum_intervals.of_sums(days, over)
        if "week" in found:
            found["week"] += 1
        records: list[dict[str, Any]] = found.to_dict("records")  # type: ignore[assignment]
        return [ForecastSum(**record, model_version=self._version) for record in records]

    @cached_property
    def _planned(self) -> pd.DataFrame:
        """The forecasts of all planned open days, in the form of `_with_groups`."""
        days = planned_days(self._state)
        return self._with_groups(days.assign(mean=self._model.predict(features_of(self._state, days))))

    def _rows_to_sum(self, rows: Sequence[StoreDay], answers: Sequence[Answer]) -> pd.DataFrame:
        sold = [
            (row.store, row.day, answer.mean)
            for row, answer in zip(rows, answers, strict=True)
            if isinstance(answer, Forecast) and answer.mean > 0
        ]
        return self._with_groups(pd.DataFrame(sold, columns=["store", "day", "mean"]))

    def _with_groups(self, days: pd.DataFrame) -> pd.DataFrame:
        """Add what sums are formed of to store, day and mean of open days."""
        store = np.searchsorted(self._state.stores, days["store"].to_numpy(np.int64))
        categories = self._state.attributes.categories
        day = days["day"].to_numpy("datetime64[D]")
        return days[["store", "mean"]].assign(
            day=day.astype(object),
            ahead=(day - np.datetime64(self._state.as_of)).astype(np.int64),
            **{name: categories[name][store] for name in ("state", "store_type")},
        )

    @property
    def _closed(self) -> Forecast:
        return Forecast(**dict.fromkeys(_NUMBERS, 0.0), open=False, model_version=self._version)

    def _planned_open(self) -> NDArray[np.int64]:
        """The planned open days, as an array (days, 2) of store and days after as_of."""
        plan = self._state.plan
        store, ahead = np.nonzero(plan.open[:, -plan.first :])
        return np.column_stack([self._state.stores[store], ahead])

    def _plan_of(self, row: StoreDay) -> tuple[Any, ...] | RefusedError | None:
        """Complete a row with the ingested plan.

        Returns:
            Store, day and `PLANNED`; None for a closed day; the error of a row that is refused.
        """
        state, plan = self._state, self._state.plan
        place = int(np.searchsorted(state.stores, row.store))
        if place == len(state.stores) or state.stores[place] != row.store:
            return unknown_store(state, row.store)
        ahead = (row.day - state.as_of).days
        if not 0 <= ahead < state.horizon:
            return RefusedError(
                "This day is outside the forecast horizon",
                where="day",
                observed=row.day.isoformat(),
                allowed=f"{state.horizon} days from {state.as_of} on",
                todo="send one of these days",
            )
        cell = place, ahead - plan.first
        known = bool(plan.known[cell])
        missing = [name for name in PLANNED if getattr(row, name) is None]
        if not known and row.open is not False and missing:
            store_planned = bool(plan.known[place, -plan.first :].any())
            return RefusedError(
                "This day is not in the plan" if store_planned else "This store is not in the plan",
                where=", ".join(missing),
                observed=f"store {row.store}, {row.day}",
                allowed="a planned day, or a row with all of these fields",
                todo=f"send {', '.join(missing)}, or ingest the plan",
            )
        is_open = row.open if row.open is not None else bool(plan.open[cell]) or not known
        if not is_open:
            return None
        promo = bool(plan.promo[cell]) if row.promo is None else row.promo
        school = bool(plan.school[cell]) if row.school_holiday is None else row.school_holiday
        holiday = row.state_holiday or self._holidays[plan.holiday[cell]]
        return row.store, row.day, promo, holiday, school


_NUMBERS = ("mean", "low_80", "high_80", "low_95", "high_95")
_DUPLICATE = RefusedError(
    "The request has this store and day twice",
    where="store, day",
    todo="send one request per plan",
)
_NO_SUM_INTERVALS = RefusedError(
    "This model version was trained by a release that kept nothing to compute intervals of sums from",
    where="sum_over",
    todo="aisle train store_sales",
)
_NOTHING_OPEN = RefusedError(
    "No day is open, so there is nothing to sum",
    where="sum_over",
    todo="send rows of open days, or ingest a plan",
)


def _no_sum(failed: Sequence[int]) -> RefusedError:
    """The error of a request some of whose rows, by their positions, have no forecast."""
    return RefusedError(
        "A sum would lack rows that have no forecast",
        where="sum_over",
        observed=f"{len(failed)} such rows, the first is rows.{failed[0]}",
        allowed="rows that all have a forecast",
        todo="correct the rows that `answers` shows with an error, or leave them out",
    )


def unknown_store(state: StoreState, store: int) -> RefusedError:
    """What is said of a store that is not in a state."""
    return RefusedError(
        "This store is not known",
        where="store",
        observed=store,
        allowed=f"one of the {len(state.stores)} stores with sales before {state.as_of}",
        todo="GET /model/store_sales lists the stores",
    )


ENDPOINT = EndpointSpec(
    name="store_sales",
    path="/predict",
    models=(MODEL,),
    trusted_types=TRUSTED_TYPES,
    summary="Sales forecasts of a store",
    description=(
        "Sales of a store on days of the next six weeks, with the intervals of 80 and 95 of 100 such days. Promotions, "
        "holidays and closures are those of the ingested plan unless the row gives its own, so plans can be compared. "
        "With `sum_over`, the forecasts of the rows are also summed, or, without rows, those of all planned days: over "
        "the chain, each state, store type or store, and over weeks of them. Their intervals come from the errors that "
        "stores and days have in common."
    ),
    row=StoreDay,
    answer=Forecast,
    build=StoreSalesPredictor,
    source=newest_state_of,
    sums=Sums(SumOver, ForecastSum),
)
