"""`POST /shoppers/purchase`: purchase probability, brand and units of a visit at given prices."""

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
from pipeline.endpoints import (
    Amount,
    Answer,
    Day,
    EndpointSpec,
    Predictions,
    RowError,
    Strict,
    columns_of,
    flatten,
)
from pipeline.errors import RefusedError
from pipeline.lake import engine
from pipeline.lake.query import CompiledQuery
from pipeline.shoppers.domain import CHAIN, DOMAIN, TRUSTED_TYPES
from pipeline.shoppers.features import BY_BRAND, DEMOGRAPHICS, HISTORY, shopper_features
from pipeline.shoppers.purchase_probability import predict
from pipeline.shoppers.what_if import Models, own_elasticities
from pipeline.shoppers.wide_frame import NO_BRAND, frame, with_mean_shelf

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.registry.records import Loaded
    from pipeline.settings import Settings

MAX_VISITS = 2_000
MAX_BRANDS = 200
MAX_COMPILED = 64
"""Days whose compiled query is kept."""

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
    visits: list[Visit] | None = Field(default=None, min_length=1, max_length=MAX_VISITS)
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
        return self


class Elasticity(Answer):
    """Own-price elasticity of a brand's expected units: per cent of units per one per cent of price, by model."""

    probability: float
    choice: float
    quantity: float
    total: float


class BrandAnswer(Answer):
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


class PurchasePredictor:
    """Predicts with the chain of three models: purchase probability, brand choice, purchase quantity."""

    def __init__(self, loaded: Mapping[str, Loaded], settings: Settings) -> None:
        self._versions = {name: loaded[name].version.version for name in CHAIN}
        self._models = Models(*(loaded[name].model for name in CHAIN))
        self._choice = tuple(str(brand) for brand in self._models.choice.brands_)
        self._quantity_column = {str(brand): at for at, brand in enumerate(self._models.quantity.brands_)}
        self._brands = sorted({*self._choice, *self._quantity_column})
        self._con = engine.connect(settings)
        self._features = lru_cache(MAX_COMPILED)(self._states_as_of)
        self.about: Mapping[str, Any] = {"brands": self._brands}
        self.example = _example([loaded[name].example for name in CHAIN])

    def predict(self, requests: Sequence[Sequence[Shopper]]) -> Predictions:
        """Answer each visit; one without an earlier visit or without a known brand gets a `RowError`."""
        rows: list[Shopper] = flatten(requests)
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
                        todo="send the price of at least one of these brands",
                    )
                )
            elif at not in states:
                answers[at] = RowError.of(
                    RefusedError(
                        "There is no visit before the day",
                        where="visits",
                        allowed=f"a visit before {row.day}",
                        todo="send earlier visits, or a later day",
                    )
                )
        features = self._frame({at: (rows[at], state) for at, state in sorted(states.items()) if at not in answers})
        answers |= zip(features.index, self._answers(features), strict=True)
        return Predictions([answers[at] for at in range(len(rows))], features.index.tolist(), columns_of(features))

    def _answers(self, features: pd.DataFrame) -> list[PurchaseAnswer]:
        """One answer per row of features."""
        if features.empty:
            return []
        models = self._models
        probability, shares = predict(models.probability, features), models.choice.shares(features)
        likely = np.array(self._choice)[shares.argmax(axis=1)]
        units, by_brand = models.quantity.predict(features.assign(brand=likely)), models.quantity.units(features)
        elasticities = own_elasticities(models, features)

        def brand(n: int, name: str) -> BrandAnswer | None:
            """The answer for a brand in row n; None if it is not on the shelf or one of the models does not know it."""
            share = shares[n, self._choice.index(name)]
            if name not in elasticities or share <= 0 or not np.isfinite(by_brand[n, self._quantity_column[name]]):
                return None
            parts = {part: float(values[n]) for part, values in elasticities[name].items()}
            return BrandAnswer(
                probability=float(share),
                units=float(by_brand[n, self._quantity_column[name]]),
                elasticity=Elasticity(**parts, total=sum(parts.values())),
            )

        return [
            PurchaseAnswer(
                purchase_probability=float(probability[n]),
                likely_brand=str(likely[n]),
                units=float(units[n]),
                brands={name: answer for name in self._choice if (answer := brand(n, name)) is not None},
                model_versions=self._versions,
            )
            for n in range(len(features))
        ]

    def _frame(self, visits: Mapping[int, tuple[Shopper, Mapping[str, Any]]]) -> pd.DataFrame:
        """Feature rows as in batch scoring, with the prices and promotions of the request; indexed by position.

        Args:
            visits: position -> the row and the person's state.
        """
        brands = sorted({*self._brands, *(brand for row, _ in visits.values() for brand in row.prices)})
        rows = [
            dict(state)
            | {
                "person": f"{at:06d}",
                "as_of": row.day,
                "prices": [(brand, row.prices.get(brand)) for brand in brands],
                "promotions": [(brand, float(row.promotions.get(brand, False))) for brand in brands],
                **{name: list(dict(state[name]).items()) for name in ("brand_purchases", "brand_units")},
            }
            for at, (row, state) in visits.items()
        ]
        features = with_mean_shelf(frame(pa.Table.from_pylist(rows, schema=_STATE)))
        features.index = features["person"].astype("int64").rename(None)
        return features.drop(columns=["person", "as_of"])

    def _from_visits(self, rows: Sequence[Shopper]) -> dict[int, dict[str, Any]]:
        """Compute the states of the rows that have visits, with one query per day: position -> state.

        Rows without a visit before their day are missing from the result.
        """
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

    def _states_as_of(self, day: dt.date) -> CompiledQuery:
        return CompiledQuery(self._con, _VISITS, lambda visits: shopper_features(visits, day, self._brands))


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
_VISITS = pa.schema([(column.name, column.arrow_type) for column in CONTRACTS[DOMAIN.input_table].columns])


def _example(examples: Sequence[pd.DataFrame]) -> list[Shopper]:
    """The champions' input examples, merged into rows of a request."""
    rows: list[dict[str, Any]] = [{} for _ in range(min(map(len, examples)))]
    for example in examples:
        for row, record in zip(rows, example.to_dict("records"), strict=False):
            # NaN, which is not equal to itself, is a missing value.
            row |= {str(name): value for name, value in record.items() if value == value}

    def by_brand(row: Mapping[str, Any], column: str) -> dict[str, Any]:
        return {name.removeprefix(f"{column}:"): row[name] for name in row if name.startswith(f"{column}:")}

    return [
        Shopper(
            prices=by_brand(row, "prices"),
            promotions={brand: bool(promoted) for brand, promoted in by_brand(row, "promotions").items()},
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


ENDPOINT = EndpointSpec(
    name="purchase",
    path="/shoppers/purchase",
    models=CHAIN,
    trusted_types=TRUSTED_TYPES,
    summary="The expected purchase of a visit",
    description=(
        "The probability of a purchase, and for each brand its probability, units and own-price elasticity at the "
        "given prices. The person is described by the state (a row of `shopper_features`), or by all earlier visits, "
        "from which the state is computed by the same code as in batch scoring."
    ),
    row=Shopper,
    answer=PurchaseAnswer,
    build=PurchasePredictor,
)
