"""The model `recommendations`: how it is loaded, fitted, measured and monitored.

The newest window (the 31 days before the as-of day) is never fitted: the gate measures challenger and champion on it.
The blend is fitted on the windows before it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd

from pipeline.customers.clean_lines import transactions_of
from pipeline.customers.domain import DOMAIN, RECOMMENDATIONS_TABLE
from pipeline.customers.recommendations.blend import CUSTOMER_FEATURES, Blend, fit_booster, fit_chance
from pipeline.customers.recommendations.evaluation import HORIZON, K, hits, metrics_of
from pipeline.customers.recommendations.methods import frequency, popular_lately, recommend
from pipeline.customers.recommendations.past import Past, bought_since, past_of
from pipeline.errors import RefusedError
from pipeline.lake import engine
from pipeline.lake.tables import Lake
from pipeline.reports.phrasing import count, percent
from pipeline.training.monitored import Performance
from pipeline.training.spec import Fitted, Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    import ibis.expr.types as ir
    import scipy.sparse as sp
    from ibis.backends.duckdb import Backend

    from pipeline.registry.records import Loaded
    from pipeline.settings import Settings
    from pipeline.training.gate import Metrics

EVALUATION_FILE = "evaluation.json"
WINDOWS = 3
"""Windows that the blend is fitted on, where the history is long enough."""
MIN_HISTORY = dt.timedelta(days=30)
"""What must be known before the first window."""
TRUSTED_TYPES = ("pipeline.customers.recommendations.blend.Blend",)
MIN_CUSTOMERS = 100
"""The share of lists without a hit then strays from its true value by 0.04 (one standard error)."""
MAX_ERROR_RATIO = 2.0
"""On Online Retail that share was between 0.12 and 0.21 from month to month."""

Window = tuple[Past, "sp.csr_matrix"]


@dataclass(frozen=True)
class Windows:
    """What was known on the first day of some windows, and what was bought in each.

    Attributes:
        newest: the window of the gate.
        earlier: the windows that the blend is fitted on, newest first.
    """

    newest: Window
    earlier: tuple[Window, ...]


def load(run: Run) -> Windows:
    """Read the newest window and the earlier ones.

    Raises:
        RefusedError: if the history is too short for a window to fit on and one to measure on.
    """
    con, transactions = transactions_of(run)
    return read_windows(con, transactions, run.as_of - HORIZON, run.settings.window_days)


def read_windows(con: Backend, transactions: ir.Table, cut: dt.date, window_days: int) -> Windows:
    """Read the window that starts on a day, and the earlier ones.

    Raises:
        RefusedError: as `load`.
    """
    first = con.to_pyarrow(transactions.filter(transactions.customer_id.notnull()).invoiced_at.min()).as_py()
    cuts = [cut - number * HORIZON for number in range(1, WINDOWS + 1)]
    usable = [start for start in cuts if first is not None and start - MIN_HISTORY >= first.date()]
    if not usable:
        needed = 2 * HORIZON + MIN_HISTORY
        raise RefusedError(
            "The history is too short to learn recommendations",
            where=f"{DOMAIN.input_table}, before {cut + HORIZON}",
            observed="no line of a known customer" if first is None else f"lines since {first.date()}",
            allowed=f"at least {needed.days} days",
            todo="ingest more days, or choose a later as-of day",
        )

    def window(start: dt.date) -> Window:
        past = past_of(con, transactions, start, window_days=window_days)
        return past, bought_since(con, transactions, past, start + HORIZON)

    return Windows(window(cut), tuple(window(start) for start in usable))


def content(data: Windows) -> list[pd.DataFrame]:
    """What decides what is learned: each customer's purchases, and what was bought in each window."""
    frames = []
    for past, bought in (data.newest, *data.earlier):
        frames += [
            pd.DataFrame(
                {
                    "customer": past.customers[past.customer],
                    "product": past.products[past.product],
                    **past.pairs,
                }
            ),
            pd.DataFrame(dict(zip(("customer", "product"), bought.nonzero(), strict=True))),
        ]
    return frames


def fit(data: Windows, run: Run, champion: Loaded | None) -> Fitted:  # noqa: ARG001 (the shape of every fit)
    """Fit the blend on the earlier windows, and the chance of a hit on the newest."""
    settings, (past, bought) = run.settings, data.newest
    booster = fit_booster(data.earlier, seed=settings.seed, threads=settings.threads)
    scorers = {
        "blend": Blend.scorer_of(booster, past, settings.threads),
        "personal frequency": frequency(past),
        "popular lately": popular_lately(past),
    }
    measured = {}
    for name, scorer in scorers.items():
        lists = recommend(past, scorer, ("all", "new"), K)
        measured[name] = metrics_of(past, lists, bought)
        if name == "blend":
            hit = np.any(hits(lists["all"], bought), axis=1)
    example = pd.DataFrame(
        dict(zip(CUSTOMER_FEATURES, (past.last_days, past.invoices, past.by_customer()), strict=True)), dtype="float64"
    )
    metrics = measured["blend"]
    return Fitted(
        model=Blend(booster, fit_chance(past, hit)),
        features=CUSTOMER_FEATURES,
        example=example,
        metrics=metrics,
        reason=(
            f"fitted on {len(data.earlier)} windows, measured on the {count(metrics['customers'])} customers who "
            f"bought from {past.as_of}: {percent(metrics['hit_rate'])} of their lists hold something they bought, "
            f"{percent(metrics['new_hit_rate'])} of the lists of new products do"
        ),
        folds={f"{past.as_of} to {past.as_of + HORIZON - dt.timedelta(days=1)}": metrics},
        artefacts={
            EVALUATION_FILE: {
                "from": past.as_of.isoformat(),
                "days": HORIZON.days,
                "k": K,
                "methods": {name: _plain(values) for name, values in measured.items()},
            }
        },
        candidates=measured,
    )


def evaluate(contestant: Loaded, data: Windows, run: Run) -> Metrics:
    """Metrics of the lists on the newest window."""
    past, bought = data.newest
    lists = recommend(past, contestant.model.scorer(past, run.settings.threads), ("all", "new"), K)
    return metrics_of(past, lists, bought)


def baseline(data: Windows) -> Metrics:
    """The better of personal frequency, and for new products what is popular lately."""
    past, bought = data.newest
    own, lately = (
        metrics_of(past, recommend(past, learned(past), ("all", "new"), K), bought)
        for learned in (frequency, popular_lately)
    )
    return {"ndcg": own["ndcg"], "new_ndcg": lately["new_ndcg"]}


def chances(champion: Loaded, customers: pd.DataFrame) -> list[float]:
    """The chance that each customer buys something of the list."""
    found: list[float] = champion.model.predict(customers[list(CUSTOMER_FEATURES)]).tolist()
    return found


def misses_since(settings: Settings, champion: Loaded, day: dt.date) -> Performance | None:
    """The share of lists of which nothing was bought, of the champion's newest lists whose horizon has passed.

    Customers who bought nothing do not count. None while there are no such lists, or fewer than `MIN_CUSTOMERS`.
    """
    lake = Lake(settings)
    expected = champion.version.metrics.get("hit_rate")
    if not lake.exists(RECOMMENDATIONS_TABLE) or expected is None:
        return None
    scored = [
        as_of
        for as_of in lake.days(RECOMMENDATIONS_TABLE)
        if champion.version.provenance.as_of <= as_of <= day - HORIZON
    ]
    if not scored:
        return None
    kept = lake.read(RECOMMENDATIONS_TABLE, where={"as_of": [scored[-1]]}).to_pandas()
    kept = kept[(kept["list"] == "best") & (kept["model_version"] == champion.version.version)]
    con = engine.connect(settings)
    since, until = scored[-1], scored[-1] + HORIZON
    t = engine.table(con, lake, DOMAIN.input_table, since=since, until=until)
    sold = t.filter(
        t.invoiced_at >= ibis.timestamp(dt.datetime.combine(since, dt.time.min)),
        t.invoiced_at < ibis.timestamp(dt.datetime.combine(until, dt.time.min)),
        t.is_product,
        t.kind == "sale",
        t.customer_id.notnull(),
    )
    bought: Mapping[str, set[str]] = (
        con.to_pandas(sold.select("customer_id", "stock_code").distinct())
        .groupby("customer_id")["stock_code"]
        .agg(set)
        .to_dict()
    )
    missed = [
        bought[customer].isdisjoint(products)
        for customer, products in zip(kept["subject"], kept["products"], strict=True)
        if customer in bought
    ]
    if len(missed) < MIN_CUSTOMERS:
        return None
    return Performance("miss_rate", float(np.mean(missed)), 1 - expected, len(missed), MAX_ERROR_RATIO)


def _plain(metrics: Metrics) -> dict[str, float | None]:
    """Metrics as JSON can hold them."""
    return {name: float(value) if np.isfinite(value) else None for name, value in metrics.items()}
