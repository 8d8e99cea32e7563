"""`GET /customers/{customer}` and `POST /customers`: all that the night kept of a customer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow.compute as pc
from pydantic import Field

from pipeline.customers.domain import (
    DOMAIN,
    MOVEMENTS_TABLE,
    PROGRAMME_TABLE,
    RECOMMENDATIONS_TABLE,
    SEGMENTS,
    VALUE_TABLE,
)
from pipeline.customers.kept import Kept, newest, read_day, state_of
from pipeline.customers.movements import LAST_MONTH, LAST_TRAINING
from pipeline.customers.programme import CONDITIONS, next_review, rule_of, standing
from pipeline.customers.segments import TRUSTED_TYPES
from pipeline.endpoints import Answer, EndpointSpec, Predictions, RowError, Strict, flatten
from pipeline.errors import RefusedError
from pipeline.ingestion.number_style import number_style
from pipeline.lake.tables import Lake
from pipeline.reports.phrasing import amount, counted, percent, written_in

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.registry.records import Loaded
    from pipeline.settings import Settings

TABLES = (
    DOMAIN.results_table,
    DOMAIN.features_table,
    VALUE_TABLE,
    RECOMMENDATIONS_TABLE,
    MOVEMENTS_TABLE,
    PROGRAMME_TABLE,
)
VALUES = ("purchase_chance", "purchases", "revenue", "revenue_low", "revenue_high", "decile", "alive")


DESCRIBED = (
    "recency_days", "invoices", "distinct_products", "revenue", "average_ticket", "days_between_invoices",
    "cancellations", "cancellation_rate",
)  # fmt: skip
"""The features that are told in words."""


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


class EarlierSegment(Answer):
    """The segment of a customer on an earlier scored day; `since` says which day that is."""

    since: str
    as_of: str
    segment: int
    segment_name: str


class Condition(Answer):
    """A condition of the loyalty programme: the customer's value of a feature, and the bound that it must reach.

    Revenue and invoices must be at least the bound, days since the last purchase at most.
    """

    feature: str
    value: float
    bound: float
    fulfilled: bool


class Membership(Answer):
    """Whether a customer is in the loyalty programme, by the review of the day `reviewed`, and since which one.

    `conditions` are what a member must fulfil to stay and what others must fulfil to join, at `next_review`.
    """

    member: bool
    since: str | None
    reviewed: str
    next_review: str
    conditions: list[Condition]
    description: list[str]


class CustomerAnswer(Answer):
    """A customer as of a day. What the night did not make is null.

    `movements` has the segments on a day of last month and before the last training, as far as the customer was known
    on them; see the table `segment_movements`.
    """

    customer: str
    as_of: str
    segment: int
    segment_name: str
    description: list[str]
    programme: Membership | None
    expected: ExpectedValue | None
    buy_again: list[str] | None
    new_to_you: list[str] | None
    movements: list[EarlierSegment]
    model_version: int


class CustomerPredictor:
    """Finds customers of the newest scored day."""

    def __init__(self, loaded: Mapping[str, Loaded], settings: Settings) -> None:  # noqa: ARG002 (rows were made by it)
        lake = Lake(settings)
        as_of = newest(lake, DOMAIN.results_table)
        self._style = number_style(settings, DOMAIN.input_table)
        self._day, self._as_of, self._window = as_of, as_of.isoformat() if as_of else "", settings.window_days
        segments = read_day(lake, DOMAIN.results_table, as_of)
        self._segments = None if segments is None else Kept(segments, "customer_id")
        others = {name: read_day(lake, name, as_of) for name in TABLES[1:]}
        self._features, self._values = (
            None if (rows := others[name]) is None else Kept(rows.select(["customer_id", *used]), "customer_id")
            for name, used in ((DOMAIN.features_table, DESCRIBED), (VALUE_TABLE, VALUES))
        )
        moved = others[MOVEMENTS_TABLE]
        self._earlier = [] if moved is None else [_earlier(moved, since) for since in (LAST_MONTH, LAST_TRAINING)]
        reviewed = others[PROGRAMME_TABLE]
        self._reviewed, self._members = None, None
        if reviewed is not None and reviewed.num_rows:
            self._reviewed = reviewed["reviewed"][0].as_py(), rule_of(reviewed)
            members = reviewed.filter(reviewed["member"]).select(["customer_id", "member_since"])
            self._members = Kept(members, "customer_id")
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
        customers = [row.customer for row in rows]
        own = (self._segments, self._features, self._members, self._values, self._again, self._new)
        found = [_rows_of(table, customers) for table in (*own, *self._earlier)]
        with written_in(self._style):
            answers = list(map(self._answer, customers, zip(*found, strict=True)))
        return Predictions(answers, [], {})

    def _answer(self, customer: str, rows: Sequence[dict[str, Any] | None]) -> Answer:
        segment, features, member, value, again, new, *earlier = rows
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
        return CustomerAnswer(
            customer=customer,
            as_of=self._as_of,
            segment=segment["segment"],
            segment_name=segment["segment_name"],
            description=describe(features, self._window) if features else [],
            programme=self._membership(member, features) if features else None,
            expected=ExpectedValue(**{name: value[name] for name in VALUES}) if value else None,
            buy_again=again["products"] if again else None,
            new_to_you=new["products"] if new else None,
            movements=[
                EarlierSegment(
                    since=row["since"],
                    as_of=row["compared_with"].isoformat(),
                    segment=row["from_segment"],
                    segment_name=row["from_name"],
                )
                for row in earlier
                if row
            ],
            model_version=segment["model_version"],
        )

    def _membership(self, member: Mapping[str, Any] | None, features: Mapping[str, Any]) -> Membership | None:
        """The customer's place in the programme; None while there has been no review."""
        if self._reviewed is None or self._day is None:
            return None
        (reviewed, rule), since = self._reviewed, member["member_since"] if member else None
        bounds = rule.stay if since else rule.join
        fulfilled = bounds.reached(features)
        return Membership(
            member=since is not None,
            since=since.isoformat() if since else None,
            reviewed=reviewed.isoformat(),
            next_review=next_review(self._day).isoformat(),
            conditions=[
                Condition(
                    feature=name, value=features[name], bound=getattr(bounds, name), fulfilled=bool(fulfilled[name])
                )
                for name in CONDITIONS
            ],
            description=standing(since, rule, features, self._day),
        )


def _rows_of(table: Kept | None, customers: Sequence[str]) -> list[dict[str, Any] | None]:
    """The row of each customer; None where there is none, or no table."""
    if table is None:
        return [None] * len(customers)
    # A single row is found faster by itself.
    return table.get_all(customers) if len(customers) > 1 else [table.get(customers[0])]


def _earlier(moved: pa.Table, since: str) -> Kept:
    """Who was in which segment on the day that a comparison is with."""
    known = pc.and_(pc.equal(moved["since"], since), pc.is_valid(moved["from_segment"]))
    used = ["customer_id", "since", "compared_with", "from_segment", "from_name"]
    return Kept(moved.filter(known).select(used), "customer_id")


def describe(features: Mapping[str, Any], window_days: int) -> list[str]:
    """A customer's features in words."""
    invoices, products = int(features["invoices"]), int(features["distinct_products"])
    sentences = [
        f"Last bought {counted(int(features['recency_days']), 'day')} ago.",
        f"{counted(invoices, 'invoice')} with {counted(products, 'product')} in {window_days} days.",
        f"Revenue {amount(features['revenue'])} net of returns, {amount(features['average_ticket'])} an invoice before "
        "them.",
    ]
    if invoices > 1:
        sentences.append(f"{counted(features['days_between_invoices'], 'day')} between invoices.")
    if features["cancellations"]:
        sentences.append(f"{percent(features['cancellation_rate'])} of the invoices are cancellations.")
    return sentences


ENDPOINT = EndpointSpec(
    name="customers",
    path="/customers",
    models=(SEGMENTS,),
    trusted_types=TRUSTED_TYPES,
    summary="All that is known of a customer",
    description=(
        "Segment, features in words, loyalty programme, expected value, both lists of products and earlier segments, "
        "from what the night kept."
    ),
    row=CustomerRow,
    answer=CustomerAnswer,
    build=CustomerPredictor,
    source=lambda settings: state_of(Lake(settings), TABLES),
    lookup="customer",
)
