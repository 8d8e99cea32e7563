"""The evidence stored with a model version: feature importance, partial effects, and errors in the backtest."""

from __future__ import annotations

from math import nan
from statistics import mean
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from pipeline.reports.charts import COLOURS, figure_json, stacked_figure, wrapped
from pipeline.reports.labels import label_of, metric_of
from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import (
    MISSING,
    WEEKDAYS,
    amount,
    count,
    counted,
    more_or_less,
    number,
    percent,
    percentage_points,
    signed_percent,
)
from pipeline.stores.labels import LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

BASELINE = "seasonal_median"
MAX_FEATURES = 15
"""Features in the chart."""
DOMINANT_RATIO = 10
"""Ratio to the next importance from which on the first feature is left out of the chart, which it would dominate."""
MIN_AXIS = 1.0
"""Per cent that the axis of a partial effect shows at least to either side, so that small effects look small."""
FLAT_SPAN = 0.005
"""Fraction of the forecast below which the span of a partial effect counts as none."""
HEADING_IMPORTANCE = "What drives the forecasts"
HEADING_PARTIAL = "Partial effects"
HEADING_BACKTEST = "Backtest: comparison of models"
HEADING_SLICES = "Backtest by type of day and store"
EFFECT_NAMES = {"promo": "promotion", "weekday": "weekday", "competition_distance": "competitor's distance"}
SHOWN_METRICS = ("rmspe", "rmse", "mae", "mape", "r2", "bias", "coverage_80", "width_80", "coverage_95", "width_95")


def importance_section(evidence: Mapping[str, Any]) -> Section:
    """Show permutation importance and mean contributions (SHAP)."""
    importance, contributions = (
        _ranked_features(evidence, "importance", "rmspe_rise"),
        _ranked_features(evidence, "contributions", "mean"),
    )
    sentences, titles, charts = [], [], []
    if importance:
        top = importance[:3]
        useless = sum(value <= 0 for _, value in importance)
        sentences.append(
            f"The most important feature is {_label(top[0][0])}: shuffling it among days that the model had not seen "
            f"increases the typical error (RMSPE) by {percentage_points(top[0][1])}"
            + (
                f", followed by {', '.join(f'{_label(name)} ({percentage_points(value)})' for name, value in top[1:])}."
                if top[1:]
                else "."
            )
            + f" Shuffling {useless} of {counted(len(importance), 'feature')} does not increase it. A feature whose "
            "information others repeat appears less important than it is."
        )
        alone = len(importance) > 1 and importance[0][1] > DOMINANT_RATIO * importance[1][1]
        titles.append(f"rise of the typical error (RMSPE), points{', without the first feature' if alone else ''}")
        charts.append((importance[alone:], 100.0, COLOURS[0]))
    if contributions:
        sentences.append(
            f"Within single forecasts, {_label(contributions[0][0])} contributes most: "
            f"{percent(contributions[0][1], 2)} of the linear forecast on average (mean absolute SHAP value)."
        )
        titles.append("mean contribution (SHAP), %")
        charts.append((contributions, 100.0, COLOURS[2]))
    if not charts:
        return Section(HEADING_IMPORTANCE, ["No feature importance was stored with this version."])
    figure = stacked_figure(titles)
    for row, (values, times, colour) in enumerate(charts, 1):
        shown = values[:MAX_FEATURES][::-1]
        figure.add_bar(
            y=[wrapped(_label(name)) for name, _ in shown],
            x=[times * value for _, value in shown],
            orientation="h",
            marker_color=colour,
            showlegend=False,
            row=row,
            col=1,
        )
    return Section(HEADING_IMPORTANCE, sentences, figure=figure_json(figure, heights=max(2, 1 + len(charts))))


def partial_section(evidence: Mapping[str, Any], features: Sequence[str]) -> Section:
    """Show the mean forecast with one feature set to a value, relative to the mean forecast.

    Args:
        evidence: what was stored with the version.
        features: of the model; if `linear` is among them, effects are in addition to the linear forecast.
    """
    partial = {
        name: values for name, values in (evidence.get("partial") or {}).items() if name in EFFECT_NAMES and values
    }
    if not partial:
        return Section(HEADING_PARTIAL, ["No partial effects were stored with this version."])
    sentences = []
    figure = stacked_figure([EFFECT_NAMES[name] for name in partial])
    for row, (name, points) in enumerate(partial.items(), 1):
        values, ratios = [point["value"] for point in points], np.array([point["ratio"] for point in points])
        labels = [_value_label(name, value) for value in values]
        low, high = int(ratios.argmin()), int(ratios.argmax())
        sentences.append(
            f"{EFFECT_NAMES[name].capitalize()}: "
            + (
                f"all values give the same forecast within {percent(ratios.max() - ratios.min(), 2)}."
                if ratios.max() - ratios.min() < FLAT_SPAN
                else f"from {signed_percent(100 * (ratios[low] - 1))} ({labels[low]}) to "
                f"{signed_percent(100 * (ratios[high] - 1))} "
                f"({labels[high]})."
            )
        )
        figure.add_scatter(
            x=[label[:3] for label in labels] if name == "weekday" else labels,
            y=100 * (ratios - 1),
            mode="lines+markers",
            marker={"size": 9},
            line={"color": COLOURS[row - 1]},
            showlegend=False,
            row=row,
            col=1,
        )
        figure.update_yaxes(range=_axis_range(100 * (ratios - 1)), row=row, col=1)
    figure.update_xaxes(type="category")
    figure.update_yaxes(title="%")
    if "linear" in features and "competition_distance" in partial:
        sentences.append(
            "The effect of the competitor's distance is what the model adds to each store's linear forecast. The level "
            "of that forecast includes the effect of the competitor already, so a flat line means no further effect."
        )
    return Section(HEADING_PARTIAL, sentences, figure=figure_json(figure, heights=len(partial)))


def backtest_section(evidence: Mapping[str, Any]) -> Section:
    """Show the means over folds, one row per model, and the RMSPE by fold."""
    found = _backtest(evidence)
    if not found:
        return Section(HEADING_BACKTEST, ["No backtest was stored with this version."])
    ranked = sorted(found, key=lambda name: found[name]["mean"]["rmspe"])
    best, chosen = ranked[0], evidence.get("candidate")
    folds = found[best]["folds"]
    sentences = [
        f"The models forecast {counted(len(folds), 'fold')} that they had not seen, from "
        f"{min(fold['from'] for fold in folds)} to {max(fold['to'] for fold in folds)}. The smallest error is that of "
        f"{_label(best)} with a typical error (RMSPE) of {percent(found[best]['mean']['rmspe'], 2)}"
        + (
            f", followed by {_label(ranked[1])} with {percent(found[ranked[1]]['mean']['rmspe'], 2)}."
            if len(ranked) > 1
            else "."
        )
    ]
    if BASELINE in found and best != BASELINE:
        gain = 1 - found[best]["mean"]["rmspe"] / found[BASELINE]["mean"]["rmspe"]
        sentences.append(f"That is {percent(gain)} less than the error of the baseline, the seasonal median.")
    elif BASELINE in found and len(ranked) > 1:
        sentences.append("No model is better than the baseline, the seasonal median.")
    if "lstm" in found and BASELINE in found:
        ratio = found["lstm"]["mean"]["rmse"] / found[BASELINE]["mean"]["rmse"] - 1
        sentences.append(f"The RMSE of the LSTM is {more_or_less(100 * ratio)} than that of the seasonal median.")
    if chosen in found:
        sentences.append(f"The forecasts on this page are made by {_label(str(chosen))}.")
    spans = sorted({(fold["from"], fold["to"]) for record in found.values() for fold in record["folds"]})
    figure = go.Figure(
        [
            go.Bar(
                name=_label(name),
                x=[f"from {start}" for start, _ in spans],
                y=[_fold_error(found[name], span) for span in spans],
                marker_color=COLOURS[k % len(COLOURS)],
            )
            for k, name in enumerate(ranked)
        ]
    )
    return Section(
        HEADING_BACKTEST,
        sentences,
        Table(
            ("model", *(metric_of(name).text for name in SHOWN_METRICS), "fitting, s", "forecasting, s", "memory, MB"),
            [_model_row(name, found[name]) for name in ranked],
            frozenset(range(1, 4 + len(SHOWN_METRICS))),
        ),
        figure_json(figure, barmode="group", yaxis={"title": "typical error (RMSPE), %"}),
    )


def slices_section(evidence: Mapping[str, Any]) -> Section:
    """Show the RMSPE by slice, one column per model, and the coverage of the candidate's intervals."""
    found = {name: record for name, record in _backtest(evidence).items() if record["folds"][0].get("slices")}
    if not found:
        return Section(HEADING_SLICES, ["No backtest by slice was stored with this version."])
    ranked = sorted(found, key=lambda name: found[name]["mean"]["rmspe"])
    best = evidence["candidate"] if evidence.get("candidate") in found else ranked[0]
    slices = {
        name: {part: _slice_mean(found[name], part, "rmspe") for part in _slice_names(found[name])} for name in ranked
    }
    own = {word: value for word, value in slices[best].items() if value is not None}
    worst, closest = max(own, key=lambda word: own[word]), min(own, key=lambda word: own[word])
    sentences = [
        f"The error of {_label(best)} is largest for “{worst}” (RMSPE {percent(own[worst])}) and smallest for "
        f"“{closest}” ({percent(own[closest])})."
    ]
    beaten = [word for word, value in own.items() if (slices.get(BASELINE, {}).get(word) or np.inf) < value]
    if best != BASELINE and BASELINE in slices:
        sentences.append(
            f"The seasonal median is better for {', '.join(f'“{word}”' for word in beaten)}."
            if beaten
            else "It is better than the seasonal median for every slice."
        )
    return Section(
        HEADING_SLICES,
        sentences,
        Table(
            ("typical error (RMSPE) for", *(_label(name) for name in ranked), "within 80 %", "within 95 %"),
            [
                (
                    word,
                    *(_format_metric(slices[name].get(word), "rmspe") for name in ranked),
                    *(
                        _format_metric(_slice_mean(found[best], word, f"coverage_{level}"), f"coverage_{level}")
                        for level in (80, 95)
                    ),
                )
                for word in own
            ],
            frozenset(range(1, 3 + len(ranked))),
        ),
    )


def _backtest(evidence: Mapping[str, Any]) -> dict[str, Any]:
    return {name: record for name, record in (evidence.get("backtest") or {}).items() if record and record.get("folds")}


def _ranked_features(evidence: Mapping[str, Any], part: str, value: str) -> list[tuple[str, float]]:
    """Return the features with their values, largest first."""
    found = [(str(record["feature"]), float(record[value])) for record in evidence.get(part) or []]
    return sorted(found, key=lambda pair: -pair[1])


def _fold_error(record: Mapping[str, Any], span: tuple[str, str]) -> float | None:
    """The RMSPE of a fold, in per cent."""
    values = [fold["metrics"]["rmspe"] for fold in record["folds"] if (fold["from"], fold["to"]) == span]
    return 100 * float(values[0]) if values else None


def _model_row(name: str, record: Mapping[str, Any]) -> tuple[str, ...]:
    seconds = [fold.get("seconds") or {} for fold in record["folds"]]
    memory = [fold["peak_mb"] for fold in record["folds"] if fold.get("peak_mb")]
    return (
        _label(name),
        *(_format_metric(record["mean"].get(metric), metric) for metric in SHOWN_METRICS),
        *(number(mean([s[step] for s in seconds if step in s] or [nan])) for step in ("fit", "predict")),
        count(max(memory)) if memory else MISSING,
    )


def _slice_names(record: Mapping[str, Any]) -> dict[str, None]:
    return dict.fromkeys(word for fold in record["folds"] for word in fold.get("slices") or {})


def _slice_mean(record: Mapping[str, Any], word: str, metric: str) -> float | None:
    values = [fold["slices"][word].get(metric) for fold in record["folds"] if word in (fold.get("slices") or {})]
    known = [value for value in values if value is not None and np.isfinite(value)]
    return float(np.mean(known)) if known else None


def _format_metric(value: float | None, metric: str) -> str:
    return amount(value) if metric in ("rmse", "mae") else metric_of(metric).value(value)


def _axis_range(values: NDArray[np.float64]) -> list[float]:
    low, high = min(-MIN_AXIS, float(values.min())), max(MIN_AXIS, float(values.max()))
    return [1.1 * low, 1.1 * high]


def _value_label(name: str, value: float) -> str:
    if name == "weekday":
        return WEEKDAYS[int(value)]
    if name == "promo":
        return "promotion" if value else "none"
    return f"{count(value)} m"


def _label(name: str) -> str:
    return {"lstm": "LSTM"}.get(name) or label_of(LABELS, name).text
