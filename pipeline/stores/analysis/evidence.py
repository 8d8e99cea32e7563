"""What is known of the model: what drives its forecasts, and how good it was on days that had not come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from pipeline.reports.charts import COLOURS, figure_json, stacked_figure
from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import WEEKDAYS, counted, more_or_less, signed_percent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

BASELINE = "seasonal_median"
SHOWN = 15
"""Features in the picture."""
DOMINANT = 10
"""A feature that costs so many times what the next does is only told: beside it the picture would be empty."""
NARROWEST = 1.0
"""Per cent that the axis of a partial effect shows to either side at least, so that nothing looks like much."""
FLAT = 0.005
"""A partial effect that spans less than this share of the forecast is none."""
HEADING_IMPORTANCE = "What drives the forecasts"
HEADING_PARTIAL = "Partial effects"
HEADING_BACKTEST = "Backtest: models side by side"
HEADING_SLICES = "Backtest by kind of day and store"
PARTIAL = {"promo": "promotion", "weekday": "weekday", "competition_distance": "competitor's distance"}
METRICS = {
    "rmspe": "RMSPE", "rmse": "RMSE", "mae": "MAE", "mape": "MAPE", "r2": "R²", "bias": "bias",
    "coverage_80": "within 80 %", "width_80": "width 80 %", "coverage_95": "within 95 %", "width_95": "width 95 %",
}  # fmt: skip


def importance_section(evidence: Mapping[str, Any]) -> Section:
    """Permutation importance and mean contributions (SHAP)."""
    importance, contributions = _pairs(evidence, "importance", "rmspe_rise"), _pairs(evidence, "contributions", "mean")
    sentences, titles, pictures = [], [], []
    if importance:
        top = importance[:3]
        useless = sum(value <= 0 for _, value in importance)
        sentences.append(
            f"Shuffled among days the model had not seen, {_words(top[0][0])} costs most: RMSPE rises by "
            f"{top[0][1]:.4f}"
            + (f", then {', '.join(f'{_words(name)} ({value:.4f})' for name, value in top[1:])}." if top[1:] else ".")
            + f" {useless} of {counted(len(importance), 'feature')} cost nothing; one that others repeat seems small."
        )
        alone = len(importance) > 1 and importance[0][1] > DOMINANT * importance[1][1]
        titles.append(f"rise of RMSPE{', the others' if alone else ''}")
        pictures.append((importance[alone:], 1.0, COLOURS[0]))
    if contributions:
        sentences.append(
            f"In the forecasts themselves {_words(contributions[0][0])} moves most, by {100 * contributions[0][1]:.2f} "
            "% of the "
            "linear forecast on average (SHAP)."
        )
        titles.append("mean contribution (SHAP), %")
        pictures.append((contributions, 100.0, COLOURS[2]))
    if not pictures:
        return Section(HEADING_IMPORTANCE, ["Nothing was stored with this version of what drives its forecasts."])
    figure = stacked_figure(titles)
    for row, (values, times, colour) in enumerate(pictures, 1):
        shown = values[:SHOWN][::-1]
        figure.add_bar(
            y=[_words(name) for name, _ in shown],
            x=[times * value for _, value in shown],
            orientation="h",
            marker_color=colour,
            showlegend=False,
            row=row,
            col=1,
        )
    return Section(HEADING_IMPORTANCE, sentences, figure=figure_json(figure, heights=max(2, 1 + len(pictures))))


def partial_section(evidence: Mapping[str, Any], features: Sequence[str]) -> Section:
    """The mean forecast with one feature set to a value, against the forecast as it is.

    Args:
        features: of the model; with `linear` among them the effect is what the feature does beyond that.
    """
    partial = {name: values for name, values in (evidence.get("partial") or {}).items() if name in PARTIAL and values}
    if not partial:
        return Section(HEADING_PARTIAL, ["No partial effects were stored with this version."])
    sentences = []
    figure = stacked_figure([PARTIAL[name] for name in partial])
    for row, (name, points) in enumerate(partial.items(), 1):
        values, ratios = [point["value"] for point in points], np.array([point["ratio"] for point in points])
        labels = [_value(name, value) for value in values]
        low, high = int(ratios.argmin()), int(ratios.argmax())
        sentences.append(
            f"{PARTIAL[name].capitalize()}: "
            + (
                f"all values give the same forecast within {100 * (ratios.max() - ratios.min()):.2f} %."
                if ratios.max() - ratios.min() < FLAT
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
        figure.update_yaxes(range=_axis(100 * (ratios - 1)), row=row, col=1)
    figure.update_xaxes(type="category")
    figure.update_yaxes(title="%")
    if "linear" in features and "competition_distance" in partial:
        sentences.append(
            "Of the competitor it is what the model adds to each store's linear forecast, whose level has felt the "
            "competitor already: a flat line says that there is nothing to add."
        )
    return Section(HEADING_PARTIAL, sentences, figure=figure_json(figure, heights=len(partial)))


def backtest_section(evidence: Mapping[str, Any]) -> Section:
    """The means over folds, one row a model, and RMSPE fold by fold."""
    found = _backtest(evidence)
    if not found:
        return Section(HEADING_BACKTEST, ["No backtest was stored with this version."])
    ranked = sorted(found, key=lambda name: found[name]["mean"]["rmspe"])
    best, chosen = ranked[0], evidence.get("candidate")
    folds = found[best]["folds"]
    sentences = [
        f"{counted(len(folds), 'fold')} of days that had not come, from {min(fold['from'] for fold in folds)} to "
        f"{max(fold['to'] for fold in folds)}. Closest was {_words(best)} with an RMSPE of "
        f"{found[best]['mean']['rmspe']:.4f}"
        + (f", before {_words(ranked[1])} with {found[ranked[1]]['mean']['rmspe']:.4f}." if len(ranked) > 1 else ".")
    ]
    if BASELINE in found and best != BASELINE:
        gain = 1 - found[best]["mean"]["rmspe"] / found[BASELINE]["mean"]["rmspe"]
        sentences.append(f"That is {100 * gain:.1f} % less than the seasonal median, the baseline to beat.")
    elif BASELINE in found and len(ranked) > 1:
        sentences.append("No model is better than the seasonal median, the baseline to beat.")
    if "lstm" in found and BASELINE in found:
        ratio = found["lstm"]["mean"]["rmse"] / found[BASELINE]["mean"]["rmse"] - 1
        sentences.append(f"The LSTM's RMSE is {more_or_less(100 * ratio)} than the seasonal median's.")
    if chosen in found:
        sentences.append(f"The forecasts of this page are by {_words(str(chosen))}.")
    spans = sorted({(fold["from"], fold["to"]) for record in found.values() for fold in record["folds"]})
    figure = go.Figure(
        [
            go.Bar(
                name=_words(name),
                x=[f"from {start}" for start, _ in spans],
                y=[_of_fold(found[name], span) for span in spans],
                marker_color=COLOURS[k % len(COLOURS)],
            )
            for k, name in enumerate(ranked)
        ]
    )
    return Section(
        HEADING_BACKTEST,
        sentences,
        Table(
            ("model", *METRICS.values(), "fit, s", "forecast, s", "peak memory, MB"),
            [_row(name, found[name]) for name in ranked],
            frozenset(range(1, 4 + len(METRICS))),
        ),
        figure_json(figure, barmode="group", yaxis={"title": "RMSPE"}),
    )


def slices_section(evidence: Mapping[str, Any]) -> Section:
    """RMSPE by slice, one column a model, and the coverage of the best one."""
    found = {name: record for name, record in _backtest(evidence).items() if record["folds"][0].get("slices")}
    if not found:
        return Section(HEADING_SLICES, ["No backtest by slice was stored with this version."])
    ranked = sorted(found, key=lambda name: found[name]["mean"]["rmspe"])
    best = evidence["candidate"] if evidence.get("candidate") in found else ranked[0]
    slices = {name: {word: _slice(found[name], word, "rmspe") for word in _slice_words(found[name])} for name in ranked}
    own = {word: value for word, value in slices[best].items() if value is not None}
    worst, closest = max(own, key=lambda word: own[word]), min(own, key=lambda word: own[word])
    sentences = [
        f"{_words(best).capitalize()} is furthest off on “{worst}” (RMSPE {own[worst]:.4f}) and closest on “{closest}” "
        f"({own[closest]:.4f})."
    ]
    beaten = [word for word, value in own.items() if (slices.get(BASELINE, {}).get(word) or np.inf) < value]
    if best != BASELINE and BASELINE in slices:
        sentences.append(
            f"The seasonal median is better on {', '.join(f'“{word}”' for word in beaten)}."
            if beaten
            else "It is better than the seasonal median on every slice."
        )
    return Section(
        HEADING_SLICES,
        sentences,
        Table(
            ("RMSPE on", *(_words(name) for name in ranked), "within 80 %", "within 95 %"),
            [
                (
                    word,
                    *(_figure(slices[name].get(word), "rmspe") for name in ranked),
                    *(_figure(_slice(found[best], word, f"coverage_{level}"), "coverage") for level in (80, 95)),
                )
                for word in own
            ],
            frozenset(range(1, 3 + len(ranked))),
        ),
    )


def _backtest(evidence: Mapping[str, Any]) -> dict[str, Any]:
    return {name: record for name, record in (evidence.get("backtest") or {}).items() if record and record.get("folds")}


def _pairs(evidence: Mapping[str, Any], part: str, value: str) -> list[tuple[str, float]]:
    """Feature and value, largest first."""
    found = [(str(record["feature"]), float(record[value])) for record in evidence.get(part) or []]
    return sorted(found, key=lambda pair: -pair[1])


def _of_fold(record: Mapping[str, Any], span: tuple[str, str]) -> float | None:
    values = [fold["metrics"]["rmspe"] for fold in record["folds"] if (fold["from"], fold["to"]) == span]
    return float(values[0]) if values else None


def _row(name: str, record: Mapping[str, Any]) -> tuple[str, ...]:
    seconds = [fold.get("seconds") or {} for fold in record["folds"]]
    memory = [fold["peak_mb"] for fold in record["folds"] if fold.get("peak_mb")]
    return (
        _words(name),
        *(_figure(record["mean"].get(metric), metric) for metric in METRICS),
        *(_mean([s[step] for s in seconds if step in s]) for step in ("fit", "predict")),
        f"{max(memory):,.0f}" if memory else "–",
    )


def _slice_words(record: Mapping[str, Any]) -> dict[str, None]:
    return dict.fromkeys(word for fold in record["folds"] for word in fold.get("slices") or {})


def _slice(record: Mapping[str, Any], word: str, metric: str) -> float | None:
    values = [fold["slices"][word].get(metric) for fold in record["folds"] if word in (fold.get("slices") or {})]
    known = [value for value in values if value is not None and np.isfinite(value)]
    return float(np.mean(known)) if known else None


def _figure(value: float | None, metric: str) -> str:
    if value is None or not np.isfinite(value):
        return "–"
    if metric in ("rmse", "mae"):
        return f"{value:,.1f}"
    if metric == "bias":
        return signed_percent(100 * value, 2)
    return f"{100 * value:.1f} %" if metric.startswith(("coverage", "width", "mape")) else f"{value:.4f}"


def _axis(values: NDArray[np.float64]) -> list[float]:
    low, high = min(-NARROWEST, float(values.min())), max(NARROWEST, float(values.max()))
    return [1.1 * low, 1.1 * high]


def _mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):,.1f}" if values else "–"


def _value(name: str, value: float) -> str:
    if name == "weekday":
        return WEEKDAYS[int(value)]
    if name == "promo":
        return "promotion" if value else "none"
    return f"{value:,.0f} m"


def _words(name: str) -> str:
    return {"linear": "the linear forecast", "lstm": "LSTM"}.get(name, name.replace("_", " "))
