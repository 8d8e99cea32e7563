"""The specification of `customer_value`: what is particular to it, its backtest, and what the night writes."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.customers.clean_lines import transactions_of
from pipeline.customers.domain import CUSTOMER_VALUE, DOMAIN
from pipeline.customers.labels import LABELS, PREDICTIONS
from pipeline.customers.value.bgnbd import fit_baseline
from pipeline.customers.value.history import (
    HORIZON,
    ValueData,
    load,
    read_windows,
    season_on,
    visits_of,
)
from pipeline.customers.value.model import COLUMNS, HORIZON_DAYS, deciles, fit_value, measure
from pipeline.customers.value.totals import earlier_folds
from pipeline.errors import RefusedError
from pipeline.lake.tables import Lake
from pipeline.reports.labels import metric_of
from pipeline.training.gate import BeatsBaseline, Better, Ceiling, Floor, Metrics, NotWorse, Within
from pipeline.training.monitored import AMOUNT, NUMBER, Method, MonitoredModel
from pipeline.training.spec import Champions, Fitted, ModelSpec, Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.registry.records import Loaded
    from pipeline.settings import Settings

EVALUATION_FILE = "evaluation.json"
TRUSTED_TYPES = ("pipeline.customers.value.model.CustomerValue",)


def content(data: ValueData) -> list[pd.DataFrame]:
    """What decides what is learned: features and outcomes of each window."""
    return [
        window.features.assign(purchases=window.purchases, outcome=window.revenue, season=window.season)
        for window in (data.newest, *data.earlier)
    ]


def fit(data: ValueData, run: Run, champion: Loaded | None) -> Fitted:  # noqa: ARG001 (the shape of every fit)
    """Fit on the earlier windows; measured on the newest, beside the baseline."""
    model, newest = fit_value(data.earlier, run.settings.seed), data.newest
    expected = model.expect(newest.features, newest.season)
    metrics = measure(expected, newest)
    plain = measure_baseline(data)
    folds = earlier_folds(data, run.settings.seed) | {newest.as_of: metrics}
    return Fitted(
        model=model,
        features=COLUMNS,
        example=newest.features[list(COLUMNS)].astype("float64"),
        metrics=metrics,
        reason=(
            f"fitted on {len(data.earlier)} windows, measured on {HORIZON_DAYS} days from {newest.as_of}: the total is "
            f"off by {metric_of('bias').value(metrics['bias'])} (BG/NBD: {metric_of('bias').value(plain['bias'])}), "
            f"rank correlation {metric_of('rank_correlation').value(metrics['rank_correlation'])}"
        ),
        artefacts={
            EVALUATION_FILE: {
                "from": newest.as_of.isoformat(),
                "days": HORIZON_DAYS,
                "season": newest.season,
                "methods": {"customer_value": plain_numbers(metrics), "BG/NBD + Gamma-Gamma": plain_numbers(plain)},
                "deciles": deciles(expected["revenue"].to_numpy(), newest.revenue),
                "total_biases": [plain_numbers(fold)["bias"] for fold in folds.values()],
            }
        },
        folds={f"{day} to {day + HORIZON - dt.timedelta(days=1)}": fold for day, fold in folds.items()},
        candidates={"customer_value": metrics, "BG/NBD + Gamma-Gamma": plain},
    )


def evaluate(contestant: Loaded, data: ValueData, run: Run) -> Metrics:  # noqa: ARG001
    """Metrics on the newest window."""
    return measure(contestant.model.expect(data.newest.features, data.newest.season), data.newest)


def measure_baseline(data: ValueData) -> dict[str, float]:
    """BG/NBD and Gamma-Gamma on the newest window."""
    fitted = fit_baseline(data.visits)
    expected = {
        "revenue": fitted.revenue(data.visits, HORIZON_DAYS),
        "purchases": fitted.purchases(data.visits, HORIZON_DAYS),
    }
    return measure(pd.DataFrame(expected), data.newest)


def same_for_all(data: ValueData) -> Metrics:
    """The mean of the earlier windows for everybody."""
    mean = float(np.concatenate([window.revenue for window in data.earlier]).mean())
    return measure(pd.DataFrame({"revenue": np.full(len(data.newest.revenue), mean)}), data.newest)


def backtest(settings: Settings, candidates: Sequence[str] = ()) -> dict[str, Any]:  # noqa: ARG001
    """The last 92 days of the data, expected from what was known before them, and the baseline beside it.

    Raises:
        RefusedError: if the history is too short.
    """
    lake, table = Lake(settings), DOMAIN.input_table
    days = lake.days(table) if lake.exists(table) else []
    if not days:
        raise RefusedError("There are no purchases to test on", where=table, todo=f"aisle ingest {table} --all")
    con, transactions = transactions_of(Run(settings, days[-1], {table: lake.version(table)}))
    cut = days[-1] + dt.timedelta(days=1) - HORIZON
    data = read_windows(con, transactions, cut, settings)
    expected = fit_value(data.earlier, settings.seed).expect(data.newest.features, data.newest.season)
    metrics = measure(expected, data.newest)
    baseline = {f"baseline_{name}": value for name, value in measure_baseline(data).items() if name != "customers"}
    metrics |= baseline
    fold = {"from": cut.isoformat(), "to": days[-1].isoformat(), "metrics": metrics}
    return {
        "model": CUSTOMER_VALUE,
        "folds": [fold],
        "mean": dict(metrics),
        "deciles": deciles(expected["revenue"].to_numpy(), data.newest.revenue),
    }


def score(run: Run, champions: Champions) -> pa.Table:
    """What to expect of every customer as of a day: the rows of the table `customer_value`.

    `decile` is 1 for the tenth with the highest expected revenue; `alive` is the BG/NBD's probability.
    """
    settings, table = run.settings, DOMAIN.features_table
    lake = Lake(settings)
    version = lake.inputs(table, {"as_of": [run.as_of]}, run.tables[table])
    con, transactions = transactions_of(Run(settings, run.as_of, version))
    features = lake.read(table, run.tables[table], {"as_of": [run.as_of]}).to_pandas().sort_values("customer_id")
    season = season_on(con, transactions, run.as_of)
    expected = champions.load(CUSTOMER_VALUE).model.expect(features, season)
    visits = visits_of(con, transactions, run.as_of, features["customer_id"], settings.window_days)
    rank = expected["revenue"].rank(ascending=False, method="first")
    expected = expected.assign(
        customer_id=features["customer_id"],
        alive=fit_baseline(visits).alive(visits),
        decile=np.ceil(10 * rank / len(rank)).astype("int64"),
        season=season,
    )
    return pa.Table.from_pandas(expected, preserve_index=False)


def expected_revenue(champion: Loaded, customers: pd.DataFrame) -> list[float]:
    """The expected revenue of each customer out of season."""
    found: list[float] = champion.model.predict(customers).tolist()
    return found


def plain_numbers(metrics: Metrics) -> dict[str, float | None]:
    """Metrics as JSON can hold them."""
    return {name: float(value) if np.isfinite(value) else None for name, value in metrics.items()}


SPEC: ModelSpec[ValueData] = ModelSpec(
    name=CUSTOMER_VALUE,
    table=DOMAIN.input_table,
    other_tables=(DOMAIN.features_table,),
    load=load,
    content=content,
    fit=fit,
    evaluate=evaluate,
    baseline=same_for_all,
    rules=(
        # Trained on the truth of other customers, the order of customers is chance.
        Floor("rank_correlation", 0.3),
        BeatsBaseline("relative_mae", 0.1, higher_is_better=False),
        Within("coverage_80", 0.7, 0.9),
        Ceiling("total_error", 0.5),
        NotWorse("rank_correlation", 0.02),
        Better("relative_mae", by=0.005, higher_is_better=False),
    ),
    monitored=MonitoredModel(
        table=DOMAIN.features_table,
        columns={
            "recency_days": NUMBER,
            "invoices": AMOUNT,
            "revenue": AMOUNT,
            "average_ticket": AMOUNT,
            "monthly_spend_mean": AMOUNT,
            "purchase_frequency": AMOUNT,
        },
        key="customer_id",
        predict=expected_revenue,
        prediction=Method("wasserstein", 0.2, log=True, kind="prediction"),
        labels={**LABELS, "prediction": PREDICTIONS[CUSTOMER_VALUE]},
    ),
    trusted_types=TRUSTED_TYPES,
    backtest=backtest,
)
