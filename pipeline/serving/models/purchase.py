"""`POST /shoppers/purchase`: what a visit will bring at given prices."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, create_model, model_validator

from pipeline.contracts import CONTRACTS
from pipeline.errors import RefusedError
from pipeline.lake import engine
from pipeline.serving.interface import (
    Amount,
    Answer,
    Day,
    EndpointSpec,
    Predictions,
    RowError,
    Strict,
    columns_of,
    flat,
)
from pipeline.serving.query import Query
from pipeline.shoppers.features import BY_BRAND, DEMOGRAPHICS, HISTORY, shopper_features
from pipeline.shoppers.purchase_probability import predict
from pipeline.shoppers.steps import CHAIN, INPUT_TABLE
from pipeline.shoppers.what_if import Models, own_elasticities
from pipeline.shoppers.wide_frame import NO_BRAND, frame, of_the_shelf

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.registry.records import Loaded
    from pipeline.settings import Settings

MAX_VISITS = 2_000
MAX_BRANDS = 200
COMPILED_DAYS = 64
"""Days whose query is kept."""

Brand = Annotated[str, Field(min_length=1, max_length=64)]
Price = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Prices = Annotated[dict[Brand, Price], Field(min_length=1, max_length=MAX_BRANDS)]
Demographic = Annotated[float | None, Field(ge=0, le=1e9, allow_inf_nan=False)]

_demographics: dict[str, Any] = dict.fromkeys(DEMOGRAPHICS, (Demographic, None))
Demographics: Any = create_model(
    "Demographics", __base__=Strict, __doc__="Who a person is; what is not known is left out.", **_demographics
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
    __doc__="A row of the table `shopper_features`, without the shelf: what the person did before the visit.",
    **_state,
)


class Visit(Strict):
    """A row of the table `visits`: a day on which the person came."""

    day: Day
    bought: bool
    brand: Brand | None = None
    quantity: int = Field(0, ge=0, le=100_000)


class Shopper(Strict):
    """A visit to come: its shelf, and of the person either `state`, or all earlier `visits` and the `day` to come."""

    prices: Prices = Field(description="Of each brand on the shelf.")
    promotions: dict[Brand, bool] = Field({}, max_length=MAX_BRANDS, description="Brands that are promoted.")
    state: ShopperState | None = None
    visits: list[Visit] | None = Field(default=None, min_length=1, max_length=MAX_VISITS)
    day: Day | None = None
    person: Demographics | None = Field(default=None, description="Who comes; goes with visits.")

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
        return self


class Elasticity(Answer):
    """What one per cent more of a brand's price does to the units of it that the visit brings, in per cent."""

    probability: float
    choice: float
    quantity: float
    total: float


class BrandAnswer(Answer):
    """A brand, if something is bought: how probable it is, how many units are taken, and its own-price elasticity."""

    probability: float
    units: float
    elasticity: Elasticity


class PurchaseAnswer(Answer):
    """What the visit will bring. Brands that are not on the shelf, or that no model knows, are not there."""

    purchase_probability: float
    likely_brand: str
    units: float = Field(description="Of the likely brand, if it is bought.")
    brands: dict[str, BrandAnswer]
    model_versions: dict[str, int]


class Predictor:
    """The chain of three models, from states and shelves."""

    def __init__(self, loaded: Mapping[str, Loaded], settings: Settings) -> None:
        self._versions = {name: loaded[name].version.version for name in CHAIN}
        self._models = Models(*(loaded[name].model for name in CHAIN))
        self._choice = tuple(str(brand) for brand in self._models.choice.brands_)
        self._quantity = {str(brand): at for at, brand in enumerate(self._models.quantity.brands_)}
        self._brands = sorted({*self._choice, *self._quantity})
        self._con = engine.connect(settings)
        self._features = lru_cache(COMPILED_DAYS)(self._states_as_of)
        self.about: Mapping[str, Any] = {"brands": self._brands}
        self.example = _example([loaded[name].example for name in CHAIN])

    def predict(self, requests: Sequence[Sequence[Shopper]]) -> Predictions:
        """Answer shoppers; those without an earlier visit, or without a brand that is known, are refused."""
        rows: list[Shopper] = flat(requests)
        answers: dict[int, Answer] = {}
        states = {at: row.state.model_dump() for at, row in enumerate(rows) if row.state is not None}
        states |= self._from_visits(rows)
        for at, row in enumerate(rows):
            if not set(row.prices) & set(self._choice):
                answers[at] = RowError.of(
                    RefusedError(
                        "The models know none of these brands",
                        where="prices",
                        observed=", ".join(row.prices),
                        allowed=", ".join(self._choice),
                        todo="send the price of a brand that they know",
                    )
                )
            elif at not in states:
                answers[at] = RowError.of(
                    RefusedError(
                        "No visit lies before the day",
                        where="visits",
                        allowed=f"a visit before {row.day}",
                        todo="send earlier visits, or a later day",
                    )
                )
        asked = self._frame({at: (rows[at], state) for at, state in sorted(states.items()) if at not in answers})
        answers |= zip(asked.index, self._answers(asked), strict=True)
        return Predictions([answers[at] for at in range(len(rows))], asked.index.tolist(), columns_of(asked))

    def _answers(self, asked: pd.DataFrame) -> list[PurchaseAnswer]:
        if asked.empty:
            return []
        models = self._models
        chance, shares = predict(models.probability, asked), models.choice.shares(asked)
        likely = np.array(self._choice)[shares.argmax(axis=1)]
        units, by_brand = models.quantity.predict(asked.assign(brand=likely)), models.quantity.units(asked)
        elasticities = own_elasticities(models, asked)

        def brand(n: int, name: str) -> BrandAnswer | None:
            """What row n says of a brand; None if it is not on the shelf, or only one of the models knows it."""
            share = shares[n, self._choice.index(name)]
            if name not in elasticities or share <= 0 or not np.isfinite(by_brand[n, self._quantity[name]]):
                return None
            parts = {part: float(values[n]) for part, values in elasticities[name].items()}
            return BrandAnswer(
                probability=float(share),
                units=float(by_brand[n, self._quantity[name]]),
                elasticity=Elasticity(**parts, total=sum(parts.values())),
            )

        return [
            PurchaseAnswer(
                purchase_probability=float(chance[n]),
                likely_brand=str(likely[n]),
                units=float(units[n]),
                brands={name: said for name in self._choice if (said := brand(n, name)) is not None},
                model_versions=self._versions,
            )
            for n in range(len(asked))
        ]

    def _frame(self, asked: Mapping[int, tuple[Shopper, Mapping[str, Any]]]) -> pd.DataFrame:
        """Feature rows as they are scored at night, with the shelves that are asked about; indexed by position."""
        brands = sorted({*self._brands, *(brand for row, _ in asked.values() for brand in row.prices)})
        rows = [
            dict(state)
            | {
                "person": f"{at:06d}",
                "as_of": row.day,
                "prices": [(brand, row.prices.get(brand)) for brand in brands],
                "promotions": [(brand, float(row.promotions.get(brand, False))) for brand in brands],
                **{name: list(dict(state[name]).items()) for name in ("brand_purchases", "brand_units")},
            }
            for at, (row, state) in asked.items()
        ]
        made = of_the_shelf(frame(pa.Table.from_pylist(rows, schema=_STATE)))
        made.index = made["person"].astype("int64").rename(None)
        return made.drop(columns=["person", "as_of"])

    def _from_visits(self, rows: Sequence[Shopper]) -> dict[int, dict[str, Any]]:
        """The states of those who sent visits, one query a day; those without any before it are left out."""
        by_day: dict[dt.date, list[dict[str, Any]]] = defaultdict(list)
        for at, row in enumerate(rows):
            if row.visits is not None and row.day is not None:
                known = row.person.model_dump() if row.person else {}
                by_day[row.day] += [visit.model_dump() | known | {"person": str(at)} for visit in row.visits]
        states: dict[int, dict[str, Any]] = {}
        for day, visits in by_day.items():
            found = self._features(day)(pa.Table.from_pylist(visits, schema=_VISITS)).to_pylist()
            states |= {int(state["person"]): state for state in found}
        return states

    def _states_as_of(self, day: dt.date) -> Query:
        return Query(self._con, _VISITS, lambda visits: shopper_features(visits, day, self._brands))


_BY_BRAND = pa.map_(pa.string(), pa.float64())
_STATE = pa.schema(
    [
        ("person", pa.string()),
        ("as_of", pa.date32()),
        *((name, _BY_BRAND) for name in BY_BRAND),
        *((name, pa.float64()) for name in (*HISTORY, "purchases", "units", *DEMOGRAPHICS)),
        ("last_brand", pa.string()),
    ]
)
_VISITS = pa.schema([(column.name, column.type) for column in CONTRACTS[INPUT_TABLE].columns])


def _example(examples: Sequence[pd.DataFrame]) -> list[Shopper]:
    """Rows of a request that ask what the champions' input examples ask."""
    rows: list[dict[str, Any]] = [{} for _ in range(min(map(len, examples)))]
    for example in examples:
        for row, asked in zip(rows, example.to_dict("records"), strict=False):
            row |= {str(name): value for name, value in asked.items() if value == value}

    def by_brand(row: Mapping[str, Any], what: str) -> dict[str, Any]:
        return {name.removeprefix(f"{what}:"): row[name] for name in row if name.startswith(f"{what}:")}

    return [
        Shopper(
            prices=by_brand(row, "prices"),
            promotions={brand: bool(there) for brand, there in by_brand(row, "promotions").items()},
            state=ShopperState(
                **{name: row[name] for name in (*HISTORY, "purchases", "units")},
                **{name: row[name] for name in DEMOGRAPHICS if name in row},
                brand_purchases=by_brand(row, "brand_purchases"),
                brand_units=by_brand(row, "brand_units"),
                last_brand=None if row["last_brand"] == NO_BRAND else row["last_brand"],
            ),
        )
        for row in rows
    ]


SERVED = EndpointSpec(
    name="purchase",
    path="/shoppers/purchase",
    models=CHAIN,
    summary="What a visit will bring",
    description=(
        "The probability of a purchase, and of each brand its probability, the units and the elasticity to its own "
        "price, at the prices that are sent. Of the person either the state (a row of `shopper_features`), or all "
        "earlier visits, of which the same code makes it that makes it at night."
    ),
    row=Shopper,
    answer=PurchaseAnswer,
    build=Predictor,
)
