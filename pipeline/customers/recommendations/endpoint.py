"""`POST /recommendations`: what the night kept for a customer or a basket, and what is popular for everybody else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pyarrow.compute as pc
from pydantic import Field

from pipeline.customers.domain import RECOMMENDATIONS, RECOMMENDATIONS_TABLE
from pipeline.customers.kept import Kept, newest, read_day, state_of
from pipeline.customers.recommendations.evaluation import K
from pipeline.endpoints import Answer, EndpointSpec, Predictions, Strict, flatten
from pipeline.lake.tables import Lake

if TYPE_CHECKING:
    from pipeline.registry.records import Loaded
    from pipeline.settings import Settings

MAX_BASKET = 100
Code = Annotated[str, Field(min_length=1, max_length=64)]
ListName = Literal["best", "buy again", "new to you"]


class RecommendationRow(Strict):
    """A customer, a basket of products, or nothing: then the popular list. With both, the basket decides."""

    customer: Code | None = None
    basket: Annotated[list[Code], Field(min_length=1, max_length=MAX_BASKET)] | None = None
    which: Annotated[ListName, Field(description="Which of the customer's lists.")] = "best"
    k: Annotated[int, Field(ge=1, le=K)] = K


class Recommended(Answer):
    """A product with its score."""

    stock_code: str
    score: float


class RecommendationAnswer(Answer):
    """Products, best first.

    `source` is the list they are of, `popular` if the customer or the basket is unknown. `as_of` is null, and the list
    empty, until the night has scored.
    """

    products: list[Recommended]
    source: Literal["best", "buy again", "new to you", "goes with", "popular"]
    as_of: str | None
    model_version: int


class RecommendationPredictor:
    """Finds lists of the newest scored day."""

    example = (RecommendationRow(),)

    def __init__(self, loaded: Mapping[str, Loaded], settings: Settings) -> None:
        lake = Lake(settings)
        as_of = newest(lake, RECOMMENDATIONS_TABLE)
        rows = read_day(lake, RECOMMENDATIONS_TABLE, as_of)
        self._as_of, self._version = as_of.isoformat() if as_of else None, loaded[RECOMMENDATIONS].version.version
        self._lists: dict[str, Kept] = {}
        if rows is not None:
            self._version = int(rows["model_version"][0].as_py())
            rows = rows.select(["list", "subject", "products", "scores"])
            for name in rows["list"].unique().to_pylist():
                self._lists[name] = Kept(rows.filter(pc.equal(rows["list"], name)), "subject")
        self.about: Mapping[str, Any] = {
            "as_of": self._as_of,
            "customers": len(self._lists.get("best", ())),
            "products": len(self._lists.get("goes with", ())),
        }

    def predict(self, requests: Sequence[Sequence[RecommendationRow]]) -> Predictions:
        """Answer each row."""
        rows: list[RecommendationRow] = flatten(requests)
        answers: list[Answer] = [self._answer(row) for row in rows]
        inputs: dict[str, Sequence[Any]] = {
            # Who asked stays out of the log.
            "names_customer": [float(row.customer is not None) for row in rows],
            "basket_products": [float(len(row.basket or ())) for row in rows],
        }
        return Predictions(answers, list(range(len(rows))), inputs)

    def _answer(self, row: RecommendationRow) -> RecommendationAnswer:
        if row.basket is not None:
            if found := self._with(row.basket):
                return self._of("goes with", found, row.k)
        elif row.customer is not None and (kept := self._row(row.which, row.customer)):
            # A customer may have bought too little for a list to buy again.
            return self._of(row.which, _pairs(kept), row.k)
        popular = self._row("popular", "")
        return self._of("popular", _pairs(popular) if popular else [], row.k)

    def _with(self, basket: Sequence[str]) -> list[tuple[str, float]]:
        """What goes with the products of a basket: similarities are added."""
        total: dict[str, float] = {}
        for code in dict.fromkeys(basket):
            for product, score in _pairs(self._row("goes with", code) or {"products": [], "scores": []}):
                total[product] = total.get(product, 0.0) + score
        found = [pair for pair in total.items() if pair[0] not in basket]
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))

    def _row(self, name: str, subject: str) -> dict[str, Any] | None:
        return self._lists[name].get(subject) if name in self._lists else None

    def _of(self, source: Any, pairs: Sequence[tuple[str, float]], k: int) -> RecommendationAnswer:
        products = [Recommended(stock_code=product, score=score) for product, score in pairs[:k]]
        return RecommendationAnswer(products=products, source=source, as_of=self._as_of, model_version=self._version)


def _pairs(row: Mapping[str, Any]) -> list[tuple[str, float]]:
    return list(zip(row["products"], row["scores"], strict=True))


ENDPOINT = EndpointSpec(
    name="recommendations",
    path="/recommendations",
    models=(RECOMMENDATIONS,),
    trusted_types=("pipeline.customers.recommendations.blend.Blend",),
    summary="Products for a customer or a basket",
    description=(
        "A customer's lists (best, buy again, new to you), what goes with a basket, or what is popular: for guests, "
        "and for customers and products that are not known. From what the night kept."
    ),
    row=RecommendationRow,
    answer=RecommendationAnswer,
    build=RecommendationPredictor,
    items=lambda row: len(row.basket or ()) + 1,
    source=lambda settings: state_of(Lake(settings), (RECOMMENDATIONS_TABLE,)),
)
