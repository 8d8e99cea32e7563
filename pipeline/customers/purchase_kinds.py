"""Personal, bulk and reseller purchases by their quantities, and what makes invoices large.

A purchase is an invoice with a sale, guests included, and is told by its units per line (units sold / lines). Its
logarithm is taken to be a mixture of three normal distributions with one variance (Gaussian mixture by expectation
maximisation: Dempster, Laird & Rubin 1977); a threshold is where two neighbouring ones are equally likely. One variance
for all gives exactly one threshold between two neighbours. The mixture is fitted on `POINTS` quantiles of the window's
purchases: as many numbers for a shop of any size, and the same for rows in any order.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis
import numpy as np

from pipeline.customers.features import MONEY_PARTS
from pipeline.lake import engine

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd
    from ibis.backends.duckdb import Backend
    from numpy.typing import NDArray

    from pipeline.customers.window_sums import WindowSums

KINDS = ("personal", "bulk", "reseller")
"""From few units per line to many."""
POINTS = 2_000
MIN_PURCHASES = 100
MIN_DISTINCT = 10
"""Different units per line from which a mixture can be fitted."""
SURE = 0.8
"""The probability from which on a purchase is surely of its kind."""
SEED = 7
FACTORS = ("lines", "units_per_line", "price")
"""The value of an invoice is the product of these: lines, units per line, and mean price per unit."""


@dataclass(frozen=True)
class Kinds:
    """The learned kinds.

    Attributes:
        thresholds: units per line from which on a purchase is bulk, and from which on it is of a reseller.
        centres: the median units per line of each kind, by the mixture.
        unsure: the share of purchases whose kind has a probability below `SURE`.
    """

    thresholds: tuple[float, float]
    centres: tuple[float, float, float]
    unsure: float


@dataclass(frozen=True)
class Invoices:
    """The purchases of a window, by kind.

    Attributes:
        kinds: the learned kinds.
        table: one row per kind that occurs: kind, invoices, customers (known ones), revenue (money, before returns),
            value (revenue / invoices), lines (per invoice), units_per_line, price (mean money per unit).
        explained: by factor, the share of the differences between invoices that goes with it; they add up to 1.
    """

    kinds: Kinds
    table: pd.DataFrame
    explained: dict[str, float]


def purchases_by_kind(con: Backend, sums: WindowSums) -> Invoices | None:
    """Learn the kinds of purchases, and describe each.

    Args:
        con: the engine.
        sums: of the window.

    Returns:
        The purchases by kind; None if there are too few of them, or quantities hardly differ.
    """
    purchases = _purchases(sums.in_window)
    measured = engine.kept(con, purchases.mutate(log_units=(purchases.units / purchases.lines).ln()))
    points = measured.agg(
        count=measured.count(), quantiles=measured.log_units.quantile(np.linspace(0, 1, POINTS).tolist())
    )
    (row,) = con.to_pyarrow(points).to_pylist()
    kinds = learn_kinds(np.array(row["quantiles"], dtype=np.float64)) if row["count"] >= MIN_PURCHASES else None
    if kinds is None:
        return None
    bulk, reseller = kinds.thresholds
    units = measured.units / measured.lines
    named = measured.mutate(kind=ibis.ifelse(units < bulk, KINDS[0], ibis.ifelse(units < reseller, KINDS[1], KINDS[2])))
    table = con.to_pandas(
        named.group_by("kind").agg(
            invoices=named.count(),
            customers=named.customer_id.nunique(),
            parts=named.amount.sum(),
            all_lines=named.lines.sum(),
            units=named.units.sum(),
        )
    )
    table = table.set_index("kind").reindex([kind for kind in KINDS if kind in set(table["kind"])]).reset_index()
    table["revenue"] = table["parts"].astype("float64") / MONEY_PARTS
    table["value"] = table["revenue"] / table["invoices"]
    table["lines"] = table["all_lines"] / table["invoices"]
    table["units_per_line"] = table["units"] / table["all_lines"]
    table["price"] = table["revenue"] / table["units"]
    return Invoices(kinds, table.drop(columns=["parts", "all_lines", "units"]), _explained(con, measured))


def learn_kinds(log_units: NDArray[np.float64]) -> Kinds | None:
    """Fit the mixture.

    Args:
        log_units: (purchases,), logarithms of units per line.

    Returns:
        The kinds; None if there are fewer than `MIN_DISTINCT` different values.
    """
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if len(np.unique(log_units)) < MIN_DISTINCT:
        return None
    values = np.sort(log_units)[:, None]
    # So few numbers are fitted in a hundredth of a second by one thread; several spend a second waiting for each other.
    with threadpool_limits(1):
        mixture = GaussianMixture(len(KINDS), covariance_type="tied", n_init=3, random_state=SEED).fit(values)
    order = np.argsort(mixture.means_.ravel())
    means, weights = mixture.means_.ravel()[order], mixture.weights_[order]
    variance = float(mixture.covariances_[0, 0])
    cuts = [
        float((low + high) / 2 + variance * np.log(weights[k] / weights[k + 1]) / (high - low))
        for k, (low, high) in enumerate(itertools.pairwise(means))
    ]
    if not cuts[0] < cuts[1]:
        return None
    sure = mixture.predict_proba(values).max(axis=1) >= SURE
    first, second = np.exp(cuts)
    low, middle, high = np.exp(means)
    return Kinds((float(first), float(second)), (float(low), float(middle), float(high)), float(1 - sure.mean()))


def levers(table: pd.DataFrame, rise: float) -> dict[str, float]:
    """What would raise the average invoice by a share, each by itself.

    Args:
        table: see `Invoices`.
        rise: the share, such as 0.1.

    Returns:
        `lines`, further lines of today's average value on each invoice; `units`, further units of today's average price
        on each invoice; `price`, the share by which prices would rise if nobody bought less; and for each kind but the
        last that occurs, `shift:<kind>`: the share of its invoices that would have to become invoices of the next kind
        (above 1: not enough by itself).
    """
    invoices, revenue = float(table["invoices"].sum()), float(table["revenue"].sum())
    lines = float((table["lines"] * table["invoices"]).sum())
    units = float((table["lines"] * table["units_per_line"] * table["invoices"]).sum())
    wanted = rise * revenue / invoices
    found = {"lines": wanted / (revenue / lines), "units": wanted / (revenue / units), "price": rise}
    rows = table.to_dict("records")
    for row, following in itertools.pairwise(rows):
        gain = following["value"] - row["value"]
        moved = rise * revenue / (gain * row["invoices"]) if gain > 0 else math.inf
        found[f"shift:{row['kind']}"] = float(moved)
    return found


def _purchases(by_invoice: ir.Table) -> ir.Table:
    sales = by_invoice.filter(by_invoice.sale_lines > 0)
    return sales.group_by("customer_id", "invoice").agg(
        lines=sales.sale_lines.sum().cast("int64"),
        units=sales.sale_units.sum().cast("int64"),
        amount=sales.sale_amount.sum().cast("int64"),
    )


def _explained(con: Backend, purchases: ir.Table) -> dict[str, float]:
    """Covariance of each factor's logarithm with that of the value, divided by the variance of the latter.

    The logarithms of the factors add up to that of the value, so the shares add up to 1.
    """
    value = (purchases.amount / MONEY_PARTS).ln()
    logs = {"lines": purchases.lines.ln(), "units_per_line": purchases.log_units}
    logs["price"] = value - logs["lines"] - logs["units_per_line"]
    shares = purchases.agg(
        variance=value.var(how="pop"), **{name: log.cov(value, how="pop") for name, log in logs.items()}
    )
    (row,) = con.to_pyarrow(shares).to_pylist()
    return {name: row[name] / row["variance"] if row["variance"] else math.nan for name in FACTORS}
