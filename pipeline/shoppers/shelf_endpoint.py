"""`POST /shoppers/shelf`: what all known shoppers are expected to buy in a week at a shelf's prices."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from pipeline.endpoints import Answer, EndpointSpec, Predictions, RowError, Strict, finite, flatten
from pipeline.errors import RefusedError
from pipeline.lake.tables import Lake
from pipeline.shoppers.domain import CHAIN, DOMAIN, TRUSTED_TYPES
from pipeline.shoppers.endpoint_rows import MAX_BRANDS, Brand, Price
from pipeline.shoppers.shelf import ShelfWeek, Today, shelf_week
from pipeline.shoppers.what_if import Models, known_brands
from pipeline.shoppers.wide_frame import frame

if TYPE_CHECKING:
    from pipeline.registry.records import Loaded
    from pipeline.settings import Settings

COST = 10_000
"""What a row costs, in the unit of `MAX_ITEMS`: it is predicted for a thousand shoppers. A request has five at most."""


class ShelfRow(Strict):
    """A shelf: the prices and promotions that differ from today's. An empty one is today's."""

    prices: Annotated[dict[Brand, Price], Field(max_length=MAX_BRANDS)] = {}  # noqa: RUF012 (pydantic copies defaults)
    promotions: Annotated[dict[Brand, bool], Field(max_length=MAX_BRANDS)] = {}  # noqa: RUF012


class Estimate(Answer):
    """An estimate with its 95 % interval, from the bootstrap over people."""

    value: float
    low: float
    high: float


class BrandOfWeek(Answer):
    """A brand at the shelf: its price (in the shop's currency), and its purchases and units in a week."""

    price: float
    promoted: bool
    purchases: Estimate
    units: Estimate


class ShelfAnswer(Answer):
    """A week of all known shoppers at a shelf; changes are fractions of the same week at today's shelf."""

    as_of: dt.date
    visits: float
    purchases: Estimate
    units: Estimate
    revenue: Estimate
    purchases_change: Estimate
    units_change: Estimate
    revenue_change: Estimate
    brands: dict[str, BrandOfWeek]
    model_versions: dict[str, int]


class ShelfPredictor:
    """Predicts for the shoppers of the newest day of features, as the shoppers' page does."""

    def __init__(self, loaded: Mapping[str, Loaded], settings: Settings) -> None:
        lake, table = Lake(settings), DOMAIN.features_table
        days = lake.days(table) if lake.exists(table) else []
        self._as_of = days[-1] if days else None
        self._models = Models(*(loaded[name].model for name in CHAIN))
        shoppers = frame(lake.read(table, where={"as_of": days[-1:]})) if days else None
        self._today = None if shoppers is None else Today.of(self._models, shoppers)
        self._versions = {name: loaded[name].version.version for name in CHAIN}
        self._brands = set(known_brands(self._models))
        self.about: Mapping[str, Any] = {"as_of": str(self._as_of or ""), "brands": sorted(self._brands)}
        self.example = [ShelfRow()] if days else []

    def predict(self, requests: Sequence[Sequence[ShelfRow]]) -> Predictions:
        """Answer each shelf. Nothing is logged, because the shoppers' features are those that are monitored anyway."""
        rows: list[ShelfRow] = flatten(requests)
        return Predictions([self._answer(row) for row in rows], [], {})

    def _answer(self, row: ShelfRow) -> Answer:
        if self._today is None:
            return RowError.of(RefusedError("No shoppers are known yet", todo="aisle score shoppers"))
        if unknown := sorted((row.prices.keys() | row.promotions.keys()) - self._brands):
            return RowError.of(
                RefusedError(
                    "The models do not know these brands",
                    where="prices, promotions",
                    observed=", ".join(unknown[:5]),
                    allowed=", ".join(sorted(self._brands)),
                    todo="leave them out",
                )
            )
        week = shelf_week(self._models, self._today, row.prices, row.promotions)
        return finite(lambda: self._of(week))

    def _of(self, week: ShelfWeek) -> ShelfAnswer:
        return ShelfAnswer.model_validate(
            asdict(week) | {"as_of": self._as_of, "model_versions": self._versions},
        )


def _source(settings: Settings) -> str:
    """The version of the table of shoppers' features."""
    lake, table = Lake(settings), DOMAIN.features_table
    return f"{table} {lake.version(table)}" if lake.exists(table) else ""


ENDPOINT = EndpointSpec(
    name="shelf",
    path="/shoppers/shelf",
    models=CHAIN,
    trusted_types=TRUSTED_TYPES,
    summary="A week at a shelf's prices",
    description=(
        "Expected purchases, units and revenue of a week, in total and by brand, with intervals, for the shoppers as "
        "of the newest day and their usual visits. Prices and promotions that a row leaves out are today's."
    ),
    row=ShelfRow,
    items=lambda _: COST,
    item="units of work, of which a shelf has 10,000",
    answer=ShelfAnswer,
    build=ShelfPredictor,
    source=_source,
)
