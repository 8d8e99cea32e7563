"""Sections of the customers page about the loyalty programme, and the list of its members as a CSV file."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.customers.insiders import JOIN_RECENT, JOIN_SHARE, STAY_RECENT, STAY_SHARE, Review
from pipeline.customers.insiders_compared import Difference, Lacking, Trait, lacking, traits
from pipeline.customers.labels import LABELS
from pipeline.customers.segment_names import INSIDERS
from pipeline.customers.value.model import HORIZON_DAYS
from pipeline.reports.csv_text import write_csv
from pipeline.reports.labels import Label, label_of
from pipeline.reports.page import REPORTS, Section, Table
from pipeline.reports.phrasing import amount, count, counted, percent, share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.lake.tables import Lake

TRAITS_SHOWN = 8

COMPARED = (
    "revenue", "invoices", "recency_days", "average_ticket", "distinct_products", "days_between_invoices",
    "cancellation_rate", "return_units", "monthly_spend_trend", "purchase_frequency", "median_basket_units",
    "is_home_country",
)  # fmt: skip
LIST_COLUMNS = (
    "customer_id", "segment_name", "member_since", "may_leave", "revenue", "invoices", "recency_days",
    "average_ticket", "distinct_products", "expected_revenue", "expected_revenue_low", "expected_revenue_high",
)  # fmt: skip


@dataclass(frozen=True)
class Insiders:
    """What the sections are made of.

    Attributes:
        as_of: the day of the page.
        reviews: see `insiders.reviews`; at least one.
        customers: one row per customer of the day, by `customer_id`: features and `segment_name`; and, where the model
            has scored the day, expected_revenue, expected_revenue_low and expected_revenue_high.
        within: revenue of members and others in the window, None if either group is too small.
        after: the same after an earlier review.
    """

    as_of: dt.date
    reviews: Sequence[Review]
    customers: pd.DataFrame
    within: Difference | None
    after: Difference | None

    @property
    def review(self) -> Review:
        """The newest review."""
        return self.reviews[-1]

    @cached_property
    def member(self) -> NDArray[np.bool_]:
        """(customers,), who is a member."""
        return self.customers["customer_id"].isin(list(self.review.members)).to_numpy()

    @property
    def staying(self) -> NDArray[np.bool_]:
        """(customers,), who would stay a member if the next review were today."""
        return self.review.rule.stay.all_reached(self.customers)


def insiders_sections(insiders: Insiders, list_file: str) -> list[Section]:
    """The sections: who is a member and by which rule, what members have in common, and what lets customers in or out.

    Args:
        insiders: the content.
        list_file: the address of the list relative to the page.
    """
    return [_programme(insiders, list_file), _in_common(insiders), _in_and_out(insiders)]


def write_list(lake: Lake, insiders: Insiders) -> str:
    """Write the list of members beside the page and return its address relative to the page."""
    name = f"{insiders.as_of}-insiders.csv"
    lake.write_blob(f"{REPORTS}/customers/{name}", member_list(insiders).encode())
    return name


def member_list(insiders: Insiders) -> str:
    """The members as CSV, the highest revenue first; no cell starts a formula."""
    since = insiders.review.members
    rows = insiders.customers.assign(
        may_leave=np.where(insiders.staying, "no", "yes"),
        member_since=insiders.customers["customer_id"].map(lambda customer: since.get(customer)),
    )[insiders.member].sort_values(["revenue", "customer_id"], ascending=[False, True])
    columns = [name for name in LIST_COLUMNS if name in rows]
    return write_csv([columns, *([_cell(value) for value in row] for row in rows[columns].itertuples(index=False))])


def _programme(insiders: Insiders, list_file: str) -> Section:
    review, customers, member = insiders.review, insiders.customers, insiders.member
    join, stay = review.rule.join, review.rule.stay
    inside, revenue = customers[member], float(customers["revenue"].sum())
    same = int((inside["segment_name"] == INSIDERS).sum())
    sentences = [
        f"Who may join: customers with revenue of at least {amount(join.revenue)} net of returns on at least "
        f"{counted(join.invoices, 'invoice')} in the window, and a purchase within "
        f"{counted(join.recency_days, 'day')}. A member stays with {amount(stay.revenue)}, "
        f"{counted(stay.invoices, 'invoice')} and a purchase within {counted(stay.recency_days, 'day')}.",
        f"The rule was learned from the customers of {review.rule.learned} and stays the same for the "
        f"quarter: joining takes revenue and invoices of the highest {percent(JOIN_SHARE, 0)} and a purchase "
        f"as recent as that of {percent(JOIN_RECENT, 0)} of the customers, staying of the highest "
        f"{percent(STAY_SHARE, 0)} and of {percent(STAY_RECENT, 0)}. Membership is reviewed on the first day of "
        f"each month, the last time on {review.day}.",
        f"There are {counted(len(inside), 'member')}, {share(len(inside), len(customers))} of the customers. They "
        f"bring {share(float(inside['revenue'].sum()), revenue)} of the revenue of the window.",
        f"{counted(same, 'member')} of the programme {'is' if same == 1 else 'are'} also in the segment {INSIDERS}. "
        "The segment follows from all features together and describes; the rule of the programme is one that a "
        "customer can be told.",
        *_expected(insiders, inside),
    ]
    differences = [found for found in (insiders.within, insiders.after) if found is not None]
    if insiders.after is not None:
        after = insiders.after
        sentences.append(
            "Their revenue in the window is higher because the rule asks for it. Whether the rule chose well is seen "
            f"afterwards: in the {(after.until - after.since).days} days from {after.since}, members of that day "
            f"brought {amount(after.members)} each, the others {amount(after.others)}; the difference is "
            f"{_clearly(after)}."
        )
    return Section(
        "Insiders: the loyalty programme",
        sentences,
        Table(
            ("mean revenue per customer", "members", "others", "difference", "95 % interval of the difference"),
            [
                (
                    f"{found.since} to {found.until - dt.timedelta(days=1)}",
                    amount(found.members),
                    amount(found.others),
                    amount(found.members - found.others),
                    f"{amount(found.low)} to {amount(found.high)}",
                )
                for found in differences
            ],
            frozenset(range(1, 5)),
        )
        if differences
        else None,
        markup=f'<p><a href="{list_file}" download>List of the members as CSV</a></p>',
    )


def _clearly(found: Difference) -> str:
    """Whether a difference is more than chance."""
    if found.low > 0:
        return f"more than chance: between {amount(found.low)} and {amount(found.high)} with 95 % confidence"
    return f"not more than chance allows: it may be anything from {amount(found.low)} to {amount(found.high)}"


def _expected(insiders: Insiders, inside: pd.DataFrame) -> list[str]:
    if "expected_revenue" not in inside or inside.empty:
        return []
    expected, total = float(inside["expected_revenue"].sum()), float(insiders.customers["expected_revenue"].sum())
    return [
        f"In the next {HORIZON_DAYS} days they are expected to bring {amount(expected)}, "
        f"{share(expected, total)} of what is expected of all customers, {amount(expected / len(inside))} each."
    ]


def _in_common(insiders: Insiders) -> Section:
    member = insiders.member
    found = traits(insiders.customers, member, COMPARED)[:TRAITS_SHOWN] if 0 < member.sum() < len(member) else []
    return Section(
        "What insiders have in common",
        [
            "The features that set members apart, the clearest first. The last column is the chance that a member has "
            "more of it than another customer: 50 % is no difference. Revenue, invoices and days since the last "
            "purchase do so by the rule itself."
        ],
        Table(
            ("feature", "median of members", "median of others", "a member has more"),
            [
                (
                    _label(trait).text,
                    *(_label(trait).value(value) for value in (trait.members, trait.others)),
                    percent(trait.higher, 0),
                )
                for trait in found
            ],
            frozenset(range(1, 4)),
        ),
    )


def _in_and_out(insiders: Insiders) -> Section:
    review, customers, member = insiders.review, insiders.customers, insiders.member
    joining = ~member & review.rule.join.all_reached(customers)
    leaving = member & ~insiders.staying
    sentences = [
        f"If the next review were today, {counted(int(joining.sum()), 'customer')} would join and "
        f"{counted(int(leaving.sum()), 'member')} would leave."
    ]
    if len(insiders.reviews) > 1:
        before = insiders.reviews[-2].members
        joined = sum(customer not in before for customer in review.members)
        left = sum(customer not in review.members for customer in before)
        sentences.insert(
            0,
            f"At the review of {review.day} {count(joined)} joined and {count(left)} left; "
            f"{count(len(review.members) - joined)} stayed.",
        )
    rows = lacking(customers, member, review.rule.join)
    near = sum(row.customers for row in rows if row.condition)
    sentences.append(
        f"{counted(near, 'other customer')} {'lacks' if near == 1 else 'lack'} a single condition: the offers "
        "that would raise most of the rest into the programme are in the table."
    )
    return Section(
        "What lets customers in or out",
        sentences,
        Table(
            ("lacks", "customers", "their revenue", "what is missing (median)", "what would raise them into it"),
            [(*_lack(row), _offer(row)) for row in rows],
            frozenset({1, 2}),
        ),
    )


def _lack(row: Lacking) -> tuple[str, str, str, str]:
    name = {"revenue": "revenue only", "invoices": "invoices only", "recency_days": "a recent purchase only"}
    return (
        name[row.condition] if row.condition else "more than one condition",
        count(row.customers),
        amount(row.revenue),
        _gap(row),
    )


def _gap(row: Lacking) -> str:
    if np.isnan(row.gap):
        return "–"
    if row.condition == "revenue":
        return amount(row.gap)
    return counted(row.gap, "invoice") if row.condition == "invoices" else f"{counted(row.gap, 'day')} too many"


def _offer(row: Lacking) -> str:
    if not row.customers:
        return "–"
    offers = {
        "revenue": "a larger basket: what goes with their purchases",
        "invoices": "another order before the next review",
        "recency_days": "a reminder: one order is enough",
    }
    return offers[row.condition] if row.condition else "first a second order"


def _label(trait: Trait) -> Label:
    return label_of(LABELS, trait.feature)


def _cell(value: object) -> object:
    return f"{value:.2f}" if isinstance(value, float) else value
