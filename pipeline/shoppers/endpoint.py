"""`POST /shoppers/purchase`: purchase probability, brand and units of a visit at given prices."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.contracts import CONTRACTS
from pipeline.endpoints import Answer, EndpointSpec, Predictions, RowError, columns_of, finite, flatten
from pipeline.errors import RefusedError
from pipeline.lake import engine
from pipeline.lake.query import CompiledQuery
from pipeline.shoppers.domain import CHAIN, DOMAIN, TRUSTED_TYPES
from pipeline.shoppers.endpoint_rows import BrandAnswer, Elasticity, PurchaseAnswer, Shopper, ShopperState
from pipeline.shoppers.features import DEMOGRAPHICS, HISTORY, shopper_features
from pipeline.shoppers.purchase_probability import predict
from pipeline.shoppers.what_if import Models, own_elasticities
from pipeline.shoppers.wide_frame import NO_BRAND, with_mean_shelf

if TYPE_CHECKING:
    from pipeline.registry.records import Loaded
    from pipeline.settings import Settings

NUMBERS = (*HISTORY, "purchases", "units", *DEMOGRAPHICS)
"""The columns of a person's state that are plain numbers."""
STATE = (*NUMBERS, "last_brand", "brand_purchases", "brand_units")
AS_OF = dt.date(2001, 1, 1)
"""The day to which all visits are moved, so that one compiled query serves every day."""
SLICE = 2_000
"""Rows that are predicted at once, which bounds the memory of the models' matrices."""
SHOWN_BRANDS = 5
"""Unknown brands that an error names."""


class PurchasePredictor:
    """Predicts with the chain of three models: purchase probability, brand choice, purchase quantity."""

    def __init__(self, loaded: Mapping[str, Loaded], settings: Settings) -> None:
        self._versions = {name: loaded[name].version.version for name in CHAIN}
        self._models = Models(*(loaded[name].model for name in CHAIN))
        self._choice = tuple(str(brand) for brand in self._models.choice.brands_)
        self._quantity_column = {str(brand): at for at, brand in enumerate(self._models.quantity.brands_)}
        self._brands = sorted({*self._choice, *self._quantity_column})
        self._con = engine.connect(settings)
        self._features = CompiledQuery(
            self._con, _VISITS, lambda rows: shopper_features(rows, AS_OF, self._brands).select("person", *STATE)
        )
        self.about: Mapping[str, Any] = {"brands": self._brands}
        self.example = _example([loaded[name].example for name in CHAIN])

    def predict(self, requests: Sequence[Sequence[Shopper]]) -> Predictions:
        """Answer each visit; one without an earlier visit, or with an unknown brand, gets a `RowError`."""
        rows: list[Shopper] = flatten(requests)
        answers: dict[int, Answer] = {}
        known, choice = set(self._brands), set(self._choice)
        for at, row in enumerate(rows):
            # Before any work is done: brands are columns, and each would be one for all rows.
            if not row.prices.keys() <= known or not row.prices.keys() & choice:
                answers[at] = self._unknown(row)
        asked = {at: row for at, row in enumerate(rows) if at not in answers}
        states: dict[int, Mapping[str, Any]] = {at: vars(row.state) for at, row in asked.items() if row.state}
        states |= self._from_visits(asked)
        for at, row in asked.items():
            if at not in states:
                answers[at] = RowError.of(
                    RefusedError(
                        "There is no visit before the day",
                        where="visits",
                        allowed=f"a visit before {row.day}",
                        todo="send earlier visits, or a later day",
                    )
                )
        features = self._frame({at: (rows[at], state) for at, state in sorted(states.items())})
        for start in range(0, len(features), SLICE):
            part = features.iloc[start : start + SLICE]
            answers |= zip(part.index, self._answers(part), strict=True)
        answered = [at for at in features.index if not isinstance(answers[at], RowError)]
        inputs = features.loc[answered] if len(answered) < len(features) else features
        return Predictions([answers[at] for at in range(len(rows))], answered, columns_of(inputs))

    def _unknown(self, row: Shopper) -> RowError:
        unknown = sorted(row.prices.keys() - set(self._brands))
        return RowError.of(
            RefusedError(
                "The models do not know these brands" if unknown else "The models cannot choose between these brands",
                where="prices",
                observed=", ".join((unknown or sorted(row.prices))[:SHOWN_BRANDS]),
                allowed=", ".join(self._brands if unknown else self._choice),
                todo="leave out what is unknown, and send the price of at least one brand that can be chosen",
            )
        )

    @np.errstate(all="ignore")
    def _answers(self, features: pd.DataFrame) -> list[Answer]:
        """One answer per row of features; a `RowError` where the models predict no number."""
        models = self._models
        probability, shares = predict(models.probability, features), models.choice.shares(features)
        likely = np.array(self._choice)[shares.argmax(axis=1)]
        units, by_brand = models.quantity.predict(features.assign(brand=likely)), models.quantity.units(features)
        elasticities = own_elasticities(models, features)

        # Brand -> its share, units and elasticities in each row; a brand that one of the models lacks is left out.
        parts = {
            name: (
                shares[:, at].tolist(),
                by_brand[:, self._quantity_column[name]].tolist(),
                _as_lists(elasticities[name]),
            )
            for at, name in enumerate(self._choice)
            if name in elasticities
        }

        def brands(n: int) -> dict[str, BrandAnswer]:
            """The answers for the brands on the shelf of row n."""
            found = {}
            for name, (share, unit, elasticity) in parts.items():
                if not share[n] > 0 or not math.isfinite(unit[n]):
                    continue
                own = {part: values[n] for part, values in elasticity.items()}
                total = sum(own.values())
                if not math.isfinite(total):
                    raise ValueError("the elasticity is no number")
                found[name] = BrandAnswer(
                    probability=share[n], units=unit[n], elasticity=Elasticity(**own, total=total)
                )
            return found

        return [
            finite(
                lambda n=n, chance=chance, brand=brand, unit=unit: PurchaseAnswer(  # type: ignore[misc]
                    purchase_probability=chance,
                    likely_brand=brand,
                    units=unit,
                    brands=brands(n),
                    model_versions=self._versions,
                )
            )
            for n, (chance, brand, unit) in enumerate(
                zip(probability.tolist(), likely.tolist(), units.tolist(), strict=True)
            )
        ]

    def _frame(self, visits: Mapping[int, tuple[Shopper, Mapping[str, Any]]]) -> pd.DataFrame:
        """Feature rows as in batch scoring, with the prices and promotions of the request; indexed by position.

        Its columns are those of the models' brands, whatever the rows hold.

        Args:
            visits: position -> the row and the person's state.
        """
        rows, states = [row for row, _ in visits.values()], [state for _, state in visits.values()]
        known = set(self._brands)
        columns: dict[str, Any] = {
            name: np.array([state[name] for state in states], dtype=np.float64) for name in NUMBERS
        }
        last = [state["last_brand"] for state in states]
        columns["last_brand"] = [brand if brand in known else NO_BRAND for brand in last]
        of_state = {name: [dict(state[name]) for state in states] for name in ("brand_purchases", "brand_units")}
        for brand in self._brands:
            columns[f"prices:{brand}"] = [row.prices.get(brand) for row in rows]
            columns[f"promotions:{brand}"] = [float(row.promotions.get(brand, False)) for row in rows]
            for name, amounts in of_state.items():
                columns[f"{name}:{brand}"] = [amount.get(brand) for amount in amounts]
        numbers = {name: np.array(values, dtype=np.float64) for name, values in columns.items() if name != "last_brand"}
        frame = pd.DataFrame(numbers, index=list(visits)).assign(
            last_brand=pd.array(columns["last_brand"], dtype="str")
        )
        return with_mean_shelf(frame)

    def _from_visits(self, rows: Mapping[int, Shopper]) -> dict[int, Mapping[str, Any]]:
        """Compute the states of the rows that have visits, with one query: position -> state.

        A state depends on the days between the visits and the row's day, so all are moved to one same day. Rows without
        a visit before their day are missing from the result.
        """
        described = {at: row for at, row in rows.items() if row.visits is not None and row.day is not None}
        if not described:
            return {}
        return {int(state["person"]): state for state in self._features(_visits(described)).to_pylist()}


def _as_lists(columns: Mapping[str, Any]) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in columns.items()}


def _visits(rows: Mapping[int, Shopper]) -> pa.Table:
    """All visits of some rows, moved so that each row's day is `AS_OF`; the person is the row's position."""
    visits = [visit for row in rows.values() for visit in row.visits or ()]
    counts = [len(row.visits or ()) for row in rows.values()]
    shifts = np.repeat([AS_OF.toordinal() - row.day.toordinal() if row.day else 0 for row in rows.values()], counts)
    days = np.array([visit.day.toordinal() for visit in visits]) + shifts - dt.date(1970, 1, 1).toordinal()
    columns: dict[str, Any] = {
        name: [getattr(visit, name) for visit in visits] for name in ("bought", "brand", "quantity")
    }
    columns |= {
        "person": np.repeat([str(at) for at in rows], counts),
        "day": pa.array(days.astype(np.int32), pa.date32()),
    }
    for name in DEMOGRAPHICS:
        known = [getattr(row.person, name) if row.person else None for row in rows.values()]
        columns[name] = np.repeat(np.array(known, dtype=object), counts)
    return pa.table(
        [
            pa.array(columns[field.name]).cast(field.type)
            if field.name in columns
            else pa.nulls(len(visits), field.type)
            for field in _VISITS
        ],
        schema=_VISITS,
    )


_VISITS = pa.schema(
    # A request may describe a person by any number, such as half a year.
    (column.name, pa.float64() if column.name in DEMOGRAPHICS else column.arrow_type)
    for column in CONTRACTS[DOMAIN.input_table].columns
)


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
    items=lambda row: 1 + len(row.visits or ()),
    item="people and visits",
    personal=frozenset(DEMOGRAPHICS),
    answer=PurchaseAnswer,
    build=PurchasePredictor,
)
