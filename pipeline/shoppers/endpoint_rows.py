"""The rows and answers of `POST /shoppers/purchase`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import Field, create_model, model_validator

from pipeline.endpoints import Amount, Answer, Day, Strict
from pipeline.shoppers.features import DEMOGRAPHICS, HISTORY

MAX_VISITS = 2_000
MAX_BRANDS = 200
MAX_YEARS = 50
"""From the first visit to the day. What is long ago weighs exp(-days / 30), which has no number beyond 58 years."""

Brand = Annotated[str, Field(min_length=1, max_length=64)]
Price = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Prices = Annotated[dict[Brand, Price], Field(min_length=1, max_length=MAX_BRANDS)]
Demographic = Annotated[float | None, Field(ge=0, le=1e9, allow_inf_nan=False)]

_demographics: dict[str, Any] = dict.fromkeys(DEMOGRAPHICS, (Demographic, None))
Demographics: Any = create_model(
    "Demographics", __base__=Strict, __doc__="Demographics of a person; unknown ones are left out.", **_demographics
)
_state: dict[str, Any] = {
    **dict.fromkeys((*HISTORY, "purchases", "units"), (Amount, ...)),
    **dict.fromkeys(("brand_purchases", "brand_units"), (dict[Brand, Amount], Field({}, max_length=MAX_BRANDS))),
    "last_brand": (Brand | None, None),
    **_demographics,
}
ShopperState: Any = create_model(
    "ShopperState",
    __base__=Strict,
    __doc__="A row of the table `shopper_features` without prices and promotions: the history before the visit.",
    **_state,
)


class Visit(Strict):
    """A row of the table `visits`: a day on which the person came to the shop."""

    day: Day
    bought: bool
    brand: Brand | None = None
    quantity: int = Field(0, ge=0, le=100_000)


class Shopper(Strict):
    """A coming visit: prices and promotions, and either the person's `state`, or all earlier `visits` and the `day`."""

    prices: Prices = Field(description="The price of each brand on the shelf.")
    promotions: dict[Brand, bool] = Field({}, max_length=MAX_BRANDS, description="Brands that are promoted.")
    state: ShopperState | None = None
    visits: list[Visit] | None = Field(default=None, min_length=1, max_length=MAX_VISITS, fail_fast=True)
    day: Day | None = None
    person: Demographics | None = Field(default=None, description="Demographics; only together with visits.")

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Self:
        if (self.state is None) == (self.visits is None):
            raise ValueError("send either state or visits")
        if (self.visits is None) != (self.day is None):
            raise ValueError("day goes with visits: only those before it count")
        if self.visits is None and self.person is not None:
            raise ValueError("person goes with visits; state has the same fields itself")
        if self.visits is not None and len({visit.day for visit in self.visits}) < len(self.visits):
            raise ValueError("a person has one visit a day: sum up those of the same day")
        if self.visits is not None and self.day is not None:
            days = [self.day, *(visit.day for visit in self.visits)]
            if (max(days) - min(days)).days > MAX_YEARS * 365:
                raise ValueError(f"leave out visits of more than {MAX_YEARS} years before")
        return self


# Not models of pydantic, because an answer to 10,000 rows holds 100,000 of them, and these take a fifth of the memory.
@dataclass(frozen=True, slots=True)
class Elasticity:
    """Own-price elasticity of a brand's expected units: per cent of units per one per cent of price, by model."""

    probability: float
    choice: float
    quantity: float
    total: float


@dataclass(frozen=True, slots=True)
class BrandAnswer:
    """A brand, given a purchase: its probability, the units if it is chosen, and its own-price elasticity."""

    probability: float
    units: float
    elasticity: Elasticity


class PurchaseAnswer(Answer):
    """The expected purchase of a visit. Brands that are not on the shelf or that a model does not know are left out."""

    purchase_probability: float
    likely_brand: str
    units: float = Field(description="Units of the likely brand, if it is bought.")
    brands: dict[str, BrandAnswer]
    model_versions: dict[str, int]
