"""`GET /stores/{store}` and `POST /stores`: a store's last weeks as they were recorded, and its planned weeks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from pipeline.endpoints import Answer, EndpointSpec, Predictions, RowError, Strict, flatten
from pipeline.lake.tables import Lake
from pipeline.stores.calendar import HOLIDAY_CODES
from pipeline.stores.candidates import TRUSTED_TYPES
from pipeline.stores.domain import MODEL
from pipeline.stores.endpoint import unknown_store
from pipeline.stores.folds import HORIZON
from pipeline.stores.state import RECENT_DAYS
from pipeline.stores.state_files import newest_state_of, read_state

if TYPE_CHECKING:
    from pipeline.registry.records import Loaded
    from pipeline.settings import Settings
    from pipeline.stores.state import StoreState


_HOLIDAYS = list(HOLIDAY_CODES)


class StoreRow(Strict):
    """A store by its number."""

    store: int = Field(ge=0, le=2**31 - 1)


# Not models of pydantic, because an answer holds a hundred of them.
@dataclass(frozen=True, slots=True)
class PlannedDay:
    """A day as it is planned, or as it was recorded; null where nothing is known of it."""

    day: dt.date
    open: bool | None
    promo: bool | None
    state_holiday: str | None
    school_holiday: bool | None


@dataclass(frozen=True, slots=True)
class RecordedDay(PlannedDay):
    """A day that is over, with its sales in the shop's currency; null when the store was closed."""

    sales: float | None


class StoreAnswer(Answer):
    """A store on the morning of `as_of`: the days before it as recorded, and the days from it on as planned."""

    store: int
    as_of: dt.date
    recorded: list[RecordedDay]
    planned: list[PlannedDay]


class StorePredictor:
    """Reads the state of the stores that the newest scoring saved. Nothing is predicted."""

    def __init__(self, loaded: Mapping[str, Loaded], settings: Settings) -> None:  # noqa: ARG002 (the protocol's)
        lake = Lake(settings)
        self._state = read_state(lake, newest_state_of(settings))
        self.about: Mapping[str, Any] = {"stores": self._state.stores.tolist()}
        self.example = [StoreRow(store=int(store)) for store in self._state.stores[:1]]

    def predict(self, requests: Sequence[Sequence[StoreRow]]) -> Predictions:
        """Answer each store; one that is not known gets a `RowError`. Nothing is predicted, so nothing is logged."""
        rows: list[StoreRow] = flatten(requests)
        return Predictions([self._answer(row.store) for row in rows], [], {})

    def _answer(self, store: int) -> Answer:
        state = self._state
        place = int(np.searchsorted(state.stores, store))
        if place == len(state.stores) or state.stores[place] != store:
            return RowError.of(unknown_store(state, store))
        sales = state.recent_sales[place].tolist()
        # Nothing is recorded before the first column of the plan.
        past = range(max(-len(sales), state.plan.first), 0)
        return StoreAnswer(
            store=store,
            as_of=state.as_of,
            recorded=[
                RecordedDay(**_day(state, place, t), sales=sales[t] if sales[t] == sales[t] else None) for t in past
            ],
            planned=[PlannedDay(**_day(state, place, t)) for t in range(state.horizon)],
        )


def _day(state: StoreState, place: int, t: int) -> dict[str, Any]:
    """The fields of a `PlannedDay`, `t` days after as_of."""
    plan, cell = state.plan, (place, t - state.plan.first)
    known = plan.known[cell]
    return {
        "day": state.as_of + dt.timedelta(days=t),
        "open": bool(plan.open[cell]) if known else None,
        "promo": bool(plan.promo[cell]) if known else None,
        "state_holiday": _HOLIDAYS[plan.holiday[cell]] if known else None,
        "school_holiday": bool(plan.school[cell]) if known else None,
    }


ENDPOINT = EndpointSpec(
    name="stores",
    path="/stores",
    models=(MODEL,),
    trusted_types=TRUSTED_TYPES,
    summary="A store's last weeks and its plan",
    description=(
        f"The last {RECENT_DAYS} days before the newest scoring as they were recorded, with their sales, and the "
        f"{HORIZON} days from it on as they are planned: what POST /predict completes a row with."
    ),
    row=StoreRow,
    items=lambda _: RECENT_DAYS + HORIZON,
    item="days of stores",
    answer=StoreAnswer,
    build=StorePredictor,
    source=newest_state_of,
    lookup="store",
)
