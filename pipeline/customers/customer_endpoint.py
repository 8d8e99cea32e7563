"""`GET /customers/{customer}` and `POST /customers`: all that the night kept of a customer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow.compute as pc
from pydantic import Field

from pipeline.customers.domain import DOMAIN, RECOMMENDATIONS_TABLE, SEGMENTS, VALUE_TABLE
from pipeline.customers.kept import Kept, newest, read_day, state_of
from pipeline.customers.segments import TRUSTED_TYPES
from pipeline.endpoints import Answer, EndpointSpec, Predictions, RowError, Strict, flatten
from pipeline.errors import RefusedError
from pipeline.lake.tables import Lake
from pipeline.reports.phrasing import counted

if TYPE_CHECKING:
    from pipeline.registry.records import Loaded
    from pipeline.settings import Settings

TABLES = (DOMAIN.results_table, DOMAIN.features_table, VALUE_TABLE, RECOMMENDATIONS_TABLE)
VALUES = ("purchase_chance", "purchases", "revenue", "revenue_low", "revenue_high", "decile", "alive")


class CustomerRow(Strict):
    """A known customer."""

    customer: Annotated[str, Field(min_length=1, max_length=64)]


class ExpectedValue(Answer):
    """What to expect within the 92 days from the as-of day; see the table `customer_value`."""

    purchase_chance: float
    purchases: float
    revenue: float
    revenue_low: float
    revenue_high: float
    decile: int
    alive: float


class CustomerAnswer(Answer):
    """A customer as of a day. What the night did not make is null."""

    customer: str
    as_of: str
    segment: int
    segment_name: str
    description: list[str]
    expected: ExpectedValue | None
    buy_again: list[str] | None
    new_to_you: list[str] | None
    model_version: int


class CustomerPredictor:
    """Finds customers of the newest scored day."""

    def __init__(self, loaded: Mapping[str, Loaded], settings: Settings) -> None:  # noqa: ARG002 (rows were made by it)
        lake = Lake(settings)
        as_of = newest(lake, DOMAIN.results_table)
        self._as_of, self._window = as_of.isoformat() if as_of else "", settings.window_days
        segments = read_day(lake, DOMAIN.results_table, as_of)
        self._segments = None if segments is None else Kept(segments, "customer_id")
        others = {name: read_day(lake, name, as_of) for name in TABLES[1:]}
        self._features, self._values = (
            None if (rows := others[name]) is None else Kept(rows, "customer_id") for name in TABLES[1:3]
        )
        lists = others[RECOMMENDATIONS_TABLE]
        self._again, self._new = (
            None if lists is None else Kept(lists.filter(pc.equal(lists["list"], name)), "subject")
            for name in ("buy again", "new to you")
        )
        first = self._segments.first() if self._segments else None
        self.example = [CustomerRow(customer=first)] if first else []
        self.about: Mapping[str, Any] = {"as_of": self._as_of, "customers": len(self._segments or ())}

    def predict(self, requests: Sequence[Sequence[CustomerRow]]) -> Predictions:
        """Answer each customer; one who is not known gets a `RowError`. Nothing is predicted, so nothing is logged."""
        rows: list[CustomerRow] = flatten(requests)
        return Predictions([self._answer(row.customer) for row in rows], [], {})

    def _answer(self, customer: str) -> Answer:
        segment = self._segments.get(customer) if self._segments else None
        if segment is None:
            return RowError.of(
                RefusedError(
                    "This customer is not known",
                    where="customer",
                    observed=customer,
                    allowed=f"a customer who bought something in the {self._window} days before {self._as_of}"
                    if self._as_of
                    else "none yet, for no day has been scored",
                    todo="send another customer; POST /recommendations has what is popular",
                )
            )
        features, value, again, new = (
            table.get(customer) if table else None for table in (self._features, self._values, self._again, self._new)
        )
        return CustomerAnswer(
            customer=customer,
            as_of=self._as_of,
            segment=segment["segment"],
            segment_name=segment["segment_name"],
            description=describe(features, self._window) if features else [],
            expected=ExpectedValue(**{name: value[name] for name in VALUES}) if value else None,
            buy_again=again["products"] if again else None,
            new_to_you=new["products"] if new else None,
            model_version=segment["model_version"],
        )


def describe(features: Mapping[str, Any], window_days: int) -> list[str]:
    """A customer's features in words."""
    invoices, products = int(features["invoices"]), int(features["distinct_products"])
    sentences = [
        f"Last bought {counted(int(features['recency_days']), 'day')} ago.",
        f"{counted(invoices, 'invoice')} with {counted(products, 'product')} in {window_days} days.",
        f"Revenue {features['revenue']:,.2f} net of returns, {features['average_ticket']:,.2f} an invoice before them.",
    ]
    if invoices > 1:
        sentences.append(f"{features['days_between_invoices']:.0f} days between invoices.")
    if features["cancellations"]:
        sentences.append(f"{features['cancellation_rate']:.0%} of the invoices are cancellations.")
    return sentences


ENDPOINT = EndpointSpec(
    name="customers",
    path="/customers",
    models=(SEGMENTS,),
    trusted_types=TRUSTED_TYPES,
    summary="All that is known of a customer",
    description="Segment, features in words, expected value and both lists of products, from what the night kept.",
    row=CustomerRow,
    answer=CustomerAnswer,
    build=CustomerPredictor,
    source=lambda settings: state_of(Lake(settings), TABLES),
    lookup="customer",
)
