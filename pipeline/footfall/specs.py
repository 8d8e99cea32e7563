"""The models of the domain as specifications: what is particular to each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.errors import RefusedError
from pipeline.footfall import buyers
from pipeline.footfall.domain import DOMAIN
from pipeline.footfall.features import FEATURE_COLUMNS, footfall_features
from pipeline.footfall.monitoring import MONITORED
from pipeline.lake import engine
from pipeline.lake.tables import Lake
from pipeline.reports.phrasing import counted, number
from pipeline.training.gate import BeatsBaseline, Better, Scores
from pipeline.training.spec import Contest, Fitted, ModelSpec, Run

if TYPE_CHECKING:
    from pipeline.registry.records import Loaded
    from pipeline.settings import Settings


def load(run: Run) -> pd.DataFrame:
    """Read the days known as of a day, in their order.

    Raises:
        RefusedError: if there are no features of that day.
    """
    table = DOMAIN.features_table
    rows = Lake(run.settings).read(table, run.tables[table], {"as_of": [run.as_of]})
    if rows.num_rows == 0:
        raise RefusedError("There are no features", where=f"{table}, as of {run.as_of}", todo="build them first")
    days: pd.DataFrame = rows.drop_columns(["as_of"]).to_pandas()
    return days.sort_values("number", ignore_index=True)


def fit(days: pd.DataFrame, run: Run, champion: Loaded | None) -> Fitted:  # noqa: ARG001 (the shape of every fit)
    """Fit the line; its error is measured leaving out one day at a time."""
    model, fitted = buyers.train(days)
    metrics = buyers.measure(days["buyers"].to_numpy(), buyers.leave_one_out(days))
    reason = (
        f"buyers = {number(fitted.intercept.value)} + {number(fitted.slope.value)} x visitors on "
        f"{counted(len(days), 'day')}; leaving out one day at a time its error is {number(metrics['rmse'])} buyers "
        "(RMSE)"
    )
    example = days[list(FEATURE_COLUMNS)]
    return Fitted(model, FEATURE_COLUMNS, example, metrics, reason, artefacts={buyers.FIT_FILE: fitted.to_record()})


def compare(contest: Contest[pd.DataFrame]) -> Scores:
    """Measure challenger, champion and the mean of the other days.

    The challenger predicts each day as fitted without it. The champion predicts the days after those it was made from,
    where there are enough of them; all days, its own included, where there are not. All three are measured on the same
    days.
    """
    days, champion = contest.data, contest.champion
    inputs, actual = days[list(FEATURE_COLUMNS)], days["buyers"].to_numpy()
    predicted = buyers.leave_one_out(days, contest.challenger.model.predict(inputs))
    judged = np.ones(len(days), dtype=bool)
    other = None
    if champion is not None:
        since = (pd.to_datetime(days["day"]) >= pd.Timestamp(champion.version.provenance.as_of)).to_numpy()
        judged = since if since.sum() >= buyers.MIN_DAYS else judged
        other = buyers.measure(actual[judged], champion.model.predict(inputs)[judged])
    mean = (actual.sum() - actual) / (len(actual) - 1)
    return Scores(
        buyers.measure(actual[judged], predicted[judged]), other, buyers.measure(actual[judged], mean[judged])
    )


def backtest(settings: Settings, candidates: Sequence[str] = ()) -> dict[str, Any]:  # noqa: ARG001 (of one kind)
    """The errors of each day as predicted from all others, and with a third of the days to train on.

    Returns:
        `{"model": …, "folds": [{"from": …, "to": …, "metrics": {…}}], "mean": {…}}`; days without a date give null.

    Raises:
        RefusedError: with too few days.
    """
    table = DOMAIN.input_table
    lake, con = Lake(settings), engine.connect(settings)
    known = lake.days(table)
    if not known:
        raise RefusedError("There is no footfall to test on", where=table, todo="aisle ingest footfall --all")
    as_of = max(known) + timedelta(days=1)
    days = con.to_pandas(footfall_features(engine.table(con, lake, table, until=as_of), as_of))
    metrics = buyers.measure(days["buyers"].to_numpy(), buyers.leave_one_out(days))
    _, fitted = buyers.train(days)
    metrics |= {
        "one_third_rmse": buyers.one_third(days),
        "intercept": fitted.intercept.value,
        "slope": fitted.slope.value,
    }
    dated = days["day"].dropna()
    first, last = (None, None) if dated.empty else (str(dated.min())[:10], str(dated.max())[:10])
    fold = {"from": first, "to": last, "metrics": metrics}
    return {"model": FOOTFALL_BUYERS.name, "folds": [fold], "mean": dict(metrics)}


FOOTFALL_BUYERS: ModelSpec[pd.DataFrame] = ModelSpec(
    name="footfall_buyers",
    table=DOMAIN.features_table,
    other_tables=(DOMAIN.input_table,),
    load=load,
    content=lambda days: [days],
    fit=fit,
    compare=compare,
    rules=(BeatsBaseline("rmse", 0.0, higher_is_better=False), Better("rmse", higher_is_better=False)),
    monitored=MONITORED,
    backtest=backtest,
)
