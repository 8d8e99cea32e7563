"""Write the page of a backtest: every model in every fold, then means and slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from pipeline.reports.charts import COLOURS, figure_json
from pipeline.reports.labels import metric_of
from pipeline.reports.page import Section, Table, write_page
from pipeline.reports.phrasing import counted, percent
from pipeline.stores.analysis.evidence import backtest_section, slices_section
from pipeline.stores.candidates import BASELINES

if TYPE_CHECKING:
    from pipeline.lake.tables import Lake

HEADING_FOLDS = "Every fold"
HEADING_SUMS = "Intervals of sums"
COLUMNS = (
    "rmspe", "mape", "wape", "bias", "bias_total", "coverage_80", "width_80", "coverage_95", "width_95"
)  # fmt: skip


def write_backtest_page(lake: Lake, models: Mapping[str, Any], candidate: str) -> str:
    """Write the page and return its path below home.

    Args:
        lake: where the page is written.
        models: name of a model -> its result (`Backtest.as_dict`).
        candidate: the model that the page is about.
    """
    folds = models[candidate]["folds"]
    evidence = {"candidate": candidate, "backtest": models}
    return write_page(
        lake,
        f"stores_backtest/{folds[-1]['to']}",
        "Backtest of the stores' sales forecast",
        f"{counted(len(folds), 'fold')} from {folds[0]['from']} to {folds[-1]['to']}, each forecast from the days "
        "before it alone. The intervals of a fold are calibrated on the folds before it.",
        [folds_section(models, candidate), sums_section(folds), backtest_section(evidence), slices_section(evidence)],
    )


def folds_section(models: Mapping[str, Any], candidate: str) -> Section:
    """Show each model in each fold, and where the candidate is not better than a baseline."""
    folds = models[candidate]["folds"]
    baselines = [name for name in BASELINES if name in models and name != candidate]
    behind = [
        fold["from"]
        for k, fold in enumerate(folds)
        if any(fold["metrics"]["mape"] >= models[name]["folds"][k]["metrics"]["mape"] for name in baselines)
    ]
    worst = max(folds, key=lambda fold: fold["metrics"]["mape"])
    sentences = [
        f"The mean absolute error (MAPE) of {_label(candidate)} is largest in the fold from {worst['from']} to "
        f"{worst['to']}, {percent(worst['metrics']['mape'])} of a day's sales."
    ]
    if baselines:
        compared = " and ".join(_label(name) for name in baselines)
        sentences.append(
            f"It is smaller than that of {compared} in every fold."
            if not behind
            else f"It is not smaller than that of {compared} in the folds from {', '.join(behind)}."
        )
    figure = go.Figure(
        [
            go.Scatter(
                name=_label(name),
                x=[fold["from"] for fold in record["folds"]],
                y=[100 * fold["metrics"]["mape"] for fold in record["folds"]],
                mode="lines+markers",
                line={"color": COLOURS[k % len(COLOURS)]},
            )
            for k, (name, record) in enumerate(models.items())
        ]
    )
    shown = [name for name in COLUMNS if any(name in record["mean"] for record in models.values())]
    rows = [
        (f"{fold['from']} to {fold['to']}", _label(name), *(_cell(fold["metrics"], metric) for metric in shown))
        for same_fold in zip(*(record["folds"] for record in models.values()), strict=True)
        for name, fold in zip(models, same_fold, strict=True)
    ]
    return Section(
        HEADING_FOLDS,
        sentences,
        Table(("fold", "model", *(metric_of(name).text for name in shown)), rows, frozenset(range(2, 2 + len(shown)))),
        figure_json(
            figure,
            yaxis={"title": "mean error of a day (MAPE), %", "rangemode": "tozero"},
            xaxis={"title": "first day of the fold", "type": "category"},
        ),
    )


def sums_section(folds: Sequence[Mapping[str, Any]]) -> Section:
    """Show how often sums lay within their intervals, for each kind of sum: the mean, and from which fold to which."""
    known = [fold["sums"] for fold in folds if fold.get("sums")]
    if not known:
        return Section(HEADING_SUMS, ["No sums have intervals: there is no earlier fold to calibrate them."])
    names = ("coverage_80", "width_80", "coverage_95", "width_95")
    rows = [
        (_label(kind), *(_mean_and_range([sums[kind][name] for sums in known]) for name in names)) for kind in known[0]
    ]
    text = (
        "Intervals of sums come from the common parts of the errors of earlier folds, not from sums of intervals. Sums "
        "are of six weeks, or of one where the name says so. In brackets: the lowest and the highest fold."
    )
    table = Table(("sum of", *(metric_of(name).text for name in names)), rows, frozenset(range(1, 5)))
    return Section(HEADING_SUMS, [text], table)


def _mean_and_range(shares: Sequence[float]) -> str:
    mean = percent(float(np.mean(shares)))
    return mean if len(shares) == 1 else f"{mean} ({100 * min(shares):.0f} to {100 * max(shares):.0f})"


def _cell(metrics: Mapping[str, float], name: str) -> str:
    return metric_of(name).value(metrics.get(name))


def _label(name: str) -> str:
    return name.replace("_", " ")
