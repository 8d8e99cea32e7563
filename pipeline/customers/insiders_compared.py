"""Members of the loyalty programme compared with the other customers."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis
import numpy as np
from scipy.stats import rankdata, ttest_ind

from pipeline.customers.features import money

if TYPE_CHECKING:
    from collections.abc import Sequence

    import ibis.expr.types as ir
    import pandas as pd
    from ibis.backends.duckdb import Backend
    from numpy.typing import NDArray

    from pipeline.customers.insiders import Bounds, Review

AFTER_DAYS = 91
"""How long after a review what members brought since is compared with what others brought."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """Mean revenue of members and of the others, and the interval of the difference (Welch's t, 95 %).

    Attributes:
        since, until: the days of the revenue, the last one excluded.
        members, others: mean revenue (money) of each group.
        low, high: the interval of members - others.
    """

    since: dt.date
    until: dt.date
    members: float
    others: float
    low: float
    high: float


@dataclass(frozen=True)
class Trait:
    """How far a feature sets members apart.

    Attributes:
        feature: its name.
        members, others: the median of each group.
        higher: the chance that a member has more of it than another customer, ties counted half (the area under the
            ROC curve): 0.5 is no difference.
    """

    feature: str
    members: float
    others: float
    higher: float


@dataclass(frozen=True)
class Lacking:
    """Customers who lack one condition of the rule, or several.

    Attributes:
        condition: the feature; None for those who lack more than one.
        customers: how many.
        revenue: theirs together (money).
        gap: the median of what is missing: money, invoices, or days too many; NaN for those who lack more than one.
    """

    condition: str | None
    customers: int
    revenue: float
    gap: float


def difference(members: NDArray[np.float64], others: NDArray[np.float64], since: dt.date, until: dt.date) -> Difference:
    """Compare the mean revenue of two groups, whose variances may differ (Welch 1947).

    Args:
        members, others: (customers,), revenue of each.
        since, until: the days of the revenue.
    """
    interval = ttest_ind(members, others, equal_var=False).confidence_interval(CONFIDENCE)
    return Difference(
        since, until, float(members.mean()), float(others.mean()), float(interval.low), float(interval.high)
    )


def difference_after(
    con: Backend, by_invoice: ir.Table, reviews: Sequence[Review], as_of: dt.date
) -> Difference | None:
    """What the members of a review brought afterwards, compared with the others who were known on its day.

    The rule chose members by what they brought before, so only what came later can show whether it chose well.

    Args:
        con: the engine.
        by_invoice: see `window_sums.WindowSums`, of the same day.
        reviews: see `insiders.reviews`.
        as_of: the day.

    Returns:
        The comparison for the newest review whose `AFTER_DAYS` have passed; None if there is no such review, or fewer
        than two members or others.
    """
    passed = [review for review in reviews if review.day + dt.timedelta(days=AFTER_DAYS) <= as_of]
    if not passed or min(len(passed[-1].members), len(passed[-1].known) - len(passed[-1].members)) < 2:
        return None
    review, until = passed[-1], passed[-1].day + dt.timedelta(days=AFTER_DAYS)
    after = by_invoice.filter(
        by_invoice.day >= ibis.date(review.day), by_invoice.day < ibis.date(until), by_invoice.customer_id.notnull()
    )
    since = con.to_pandas(after.group_by("customer_id").agg(revenue=money(after.amount.sum())).order_by("customer_id"))
    revenue = since.set_index("customer_id")["revenue"].reindex(review.known).fillna(0.0).to_numpy(dtype=np.float64)
    member = np.isin(review.known, list(review.members))
    return difference(revenue[member], revenue[~member], review.day, until)


def traits(features: pd.DataFrame, member: NDArray[np.bool_], names: Sequence[str]) -> list[Trait]:
    """Features by how far they set members apart, the farthest first.

    Args:
        features: one row per customer.
        member: (customers,), whether each is a member; both groups have at least one customer.
        names: of the columns; missing values are left out.
    """
    found = []
    for name in names:
        values = features[name].to_numpy(dtype=np.float64)
        present = ~np.isnan(values)
        values, group = values[present], member[present]
        inside, outside = int(group.sum()), int((~group).sum())
        if not inside or not outside:
            continue
        # The rank sum of the members, as in the test of Mann and Whitney (1947).
        above = rankdata(values)[group].sum() - inside * (inside + 1) / 2
        higher = float(above / (inside * outside))
        found.append(Trait(name, float(np.median(values[group])), float(np.median(values[~group])), higher))
    return sorted(found, key=lambda trait: -abs(trait.higher - 0.5))


def lacking(features: pd.DataFrame, member: NDArray[np.bool_], bounds: Bounds) -> list[Lacking]:
    """What keeps the other customers out, by the conditions that they lack today.

    Args:
        features: one row per customer: revenue, invoices, recency_days.
        member: (customers,), whether each is a member.
        bounds: what it takes to join.

    Returns:
        One row for each single condition that customers lack, and the last for those who lack more than one. Customers
        who lack none, who may join at the next review, are left out.
    """
    reached = bounds.reached(features)
    missing = np.sum([~fulfilled for fulfilled in reached.values()], axis=0)
    revenue = features["revenue"].to_numpy(dtype=np.float64)
    rows = []
    for name, fulfilled in reached.items():
        only = ~member & (missing == 1) & ~fulfilled
        gap = np.abs(features[name].to_numpy(dtype=np.float64)[only] - getattr(bounds, name))
        rows.append(
            Lacking(name, int(only.sum()), float(revenue[only].sum()), float(np.median(gap)) if only.any() else np.nan)
        )
    several = ~member & (missing > 1)
    return [*rows, Lacking(None, int(several.sum()), float(revenue[several].sum()), np.nan)]
