"""Who is in the loyalty programme, as the night keeps it for the page, its list of members and the prediction service.

The table `loyalty_programme` has the newest review as of a day (see `insiders`): a row for each customer who was known
on the day of the review, with the rule of its quarter, which is the same in all rows.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.customers.domain import DOMAIN
from pipeline.customers.insiders import Bounds, Review, Rule, reviews
from pipeline.customers.window_sums import first_day, sum_invoices
from pipeline.lake import engine
from pipeline.lake.tables import Lake
from pipeline.reports.phrasing import amount, counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.training.spec import Champions, Run

CONDITIONS = ("revenue", "invoices", "recency_days")
"""The features that the rule bounds, in the order of the fields of `Bounds`."""
SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()),
        ("member", pa.bool_()),
        ("member_since", pa.date32()),
        ("reviewed", pa.date32()),
        ("learned", pa.date32()),
        *((f"{verb}_{name}", pa.float64()) for verb in ("join", "stay") for name in CONDITIONS),
    ]
)


def score(run: Run, champions: Champions) -> pa.Table:  # noqa: ARG001 (the rule is no registered model)
    """Review the loyalty programme as of a day.

    Returns:
        One row for each customer who was known at the newest review: customer_id, member; member_since, the day of the
        review at which a member joined; reviewed, the day of the review; learned, the day on which its rule was
        learned; and the rule, join_<feature> and stay_<feature>. No rows while too few customers are known.
    """
    lake, con = Lake(run.settings), engine.connect(run.settings)
    since = first_day(run.as_of, run.settings.window_days)
    transactions = engine.table(con, lake, DOMAIN.input_table, since=since, until=run.as_of)
    by_invoice = sum_invoices(con, transactions, run.as_of, run.settings.window_days)
    found = reviews(con, by_invoice, run.as_of, run.settings.window_days)
    return rows_of(found[-1]) if found else SCHEMA.empty_table()


def rows_of(review: Review) -> pa.Table:
    """The rows of a review, in `SCHEMA`."""
    customers = sorted(str(customer) for customer in review.known)
    same = {
        "reviewed": review.day,
        "learned": review.rule.learned,
        **{f"join_{name}": getattr(review.rule.join, name) for name in CONDITIONS},
        **{f"stay_{name}": getattr(review.rule.stay, name) for name in CONDITIONS},
    }
    columns = {
        "customer_id": customers,
        "member": [customer in review.members for customer in customers],
        "member_since": [review.members.get(customer) for customer in customers],
        **{name: [value] * len(customers) for name, value in same.items()},
    }
    return pa.table(columns, schema=SCHEMA)


def review_of(rows: pa.Table | None) -> Review | None:
    """The review that rows of the table are of; None without rows."""
    if rows is None or not rows.num_rows:
        return None
    customers, since = rows["customer_id"].to_pylist(), rows["member_since"].to_pylist()
    return Review(
        day=rows["reviewed"][0].as_py(),
        rule=rule_of(rows),
        members={customer: day for customer, day in zip(customers, since, strict=True) if day is not None},
        known=rows["customer_id"].to_numpy(zero_copy_only=False),
    )


def rule_of(rows: pa.Table) -> Rule:
    """The rule that all rows of the table have."""
    first = rows.slice(0, 1).to_pylist()[0]
    join, stay = (Bounds(*(first[f"{verb}_{name}"] for name in CONDITIONS)) for verb in ("join", "stay"))
    return Rule(first["learned"], join, stay)


def next_review(as_of: dt.date) -> dt.date:
    """The day of the first review after a day."""
    return dt.date(as_of.year + as_of.month // 12, as_of.month % 12 + 1, 1)


def standing(since: dt.date | None, rule: Rule, features: Mapping[str, float], as_of: dt.date) -> list[str]:
    """Say whether a customer is a member, and what keeps the customer in or lets the customer in.

    Args:
        since: the day of the review at which a member joined; None for who is none.
        rule: of the newest review.
        features: of the customer as of a day: revenue, invoices and recency_days.
        as_of: the day.
    """
    bounds = rule.join if since is None else rule.stay
    lacking = {
        "revenue": f"{amount(bounds.revenue - features['revenue'])} more revenue",
        "invoices": counted(bounds.invoices - features["invoices"], "more invoice"),
        "recency_days": f"a purchase within {counted(bounds.recency_days, 'day')}",
    }
    wanted = [lacking[name] for name, fulfilled in bounds.reached(features).items() if not fulfilled]
    member = "Not a member of the loyalty programme." if since is None else f"Member since {since}."
    takes = (
        f"{'Joining' if since is None else 'Staying'} takes revenue of {amount(bounds.revenue)} on "
        f"{counted(bounds.invoices, 'invoice')}, and a purchase within {counted(bounds.recency_days, 'day')}."
    )
    review = f"at the review of {next_review(as_of)}"
    if since is None:
        outlook = f"Lacks {', '.join(wanted)}." if wanted else f"Fulfils this and joins {review}, if it stays so."
    else:
        outlook = f"Leaves {review} without {', '.join(wanted)}." if wanted else "Fulfils this."
    return [member, takes, outlook]
