"""What columns and error figures are called on pages, with their units, and how their values are written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipeline.reports.phrasing import (
    MISSING,
    amount,
    decimal,
    number,
    percent,
    percent_change,
    readable,
    signed_percent,
    with_unit,
)

ASKED = " (asked)"
"""Ends the name of a column of requests to the prediction service, where it was compared."""
Kind = Literal["number", "amount", "share", "change", "log amount"]
"""What a value is: a number, money, a fraction, or the natural logarithm of a ratio or of money."""


@dataclass(frozen=True)
class Label:
    """What a column is called, and how its values are written.

    Attributes:
        text: its name in words, within a sentence.
        unit: the noun that follows a number, such as days.
        kind: what a value is.
        table: whose currency an amount has; that of the page if missing.
        codes: the word for each code, where values are codes.
    """

    text: str
    unit: str = ""
    kind: Kind = "number"
    table: str | None = None
    codes: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The name with its unit, for axes and headings of tables: recency, days."""
        if self.kind in ("amount", "log amount"):
            return with_unit(self.text, self.table)
        unit = "%" if self.kind in ("share", "change") else self.unit
        return f"{self.text}, {unit}" if unit and self.text.split()[-1] != unit else self.text

    def bare(self, value: float | None) -> str:
        """Write a value without its noun, for tables and axes that have it in their heading."""
        if value is None or not math.isfinite(value):
            return MISSING
        if self.codes:
            return self.word(str(value))
        if self.kind == "amount":
            return amount(value, self.table)
        if self.kind == "log amount":
            return amount(math.exp(value), self.table)
        if self.kind == "share":
            return percent(value)
        return signed_percent(percent_change(value)) if self.kind == "change" else number(value)

    def value(self, value: float | None) -> str:
        """Write a value with its unit: 12.3 days, £184, 12.5 %, Tuesday."""
        text = self.bare(value)
        return f"{text} {self.unit}" if self.unit and text != MISSING and not self.codes else text

    def word(self, code: str) -> str:
        """Write a category: the word for a code, or the category itself."""
        return self.codes.get(code.removesuffix(".0"), code)

    def mean(self, value: float | None) -> str:
        """Write a mean. That of codes 0 and 1 is the share of 1: 3.0 % women."""
        if self.codes and value is not None and math.isfinite(value):
            return f"{percent(value)} {self.codes['1']}" if set(self.codes) == {"0", "1"} else decimal(value, 2)
        return self.value(value)


def label_of(labels: Mapping[str, Label], column: str) -> Label:
    """The label of a column, or its readable name where the domain has none."""
    return labels.get(column) or Label(readable(column))


def column_text(labels: Mapping[str, Label], column: str) -> str:
    """What a column that was compared is called: a feature, the predictions, an error, or an input of requests."""
    name = column.removesuffix(ASKED)
    if name == "prediction":
        return "predictions"
    text = METRICS[name].text if name in METRICS and name not in labels else label_of(labels, name).text
    return f"{text} in requests" if column.endswith(ASKED) else text


@dataclass(frozen=True)
class Metric:
    """A figure that measures a model.

    Attributes:
        text: its name in words.
        meaning: what it measures and which values are good.
        kind: what a value is; an amount or a number may have the unit of what is predicted.
    """

    text: str
    meaning: str
    kind: Literal["number", "share", "change"] = "number"

    def value(self, value: float | None) -> str:
        """Write a value; fractions are written in per cent."""
        if value is None or not math.isfinite(value):
            return MISSING
        if self.kind == "share":
            return percent(value)
        return signed_percent(100 * value) if self.kind == "change" else number(value)


METRICS: Mapping[str, Metric] = {
    "accuracy": Metric("predicted correctly", "share of the cases; more is better", "share"),
    "auc": Metric(
        "ranked correctly",
        "of a case that happens and one that does not, how often the first has the higher probability (AUC); "
        "chance gives 50 %, more is better",
        "share",
    ),
    "base_log_loss": Metric(
        "log-loss of the mean", "of a guess that is the same for all; the model should be below it"
    ),
    "bias": Metric("bias", "mean deviation from the actual value; near 0 is better", "change"),
    "bias_total": Metric("bias of the total", "deviation of the sum from the actual one; near 0 is better", "change"),
    "brier": Metric("Brier score", "mean squared error of probabilities; less is better"),
    "calibration_error": Metric(
        "calibration error", "how far predicted probabilities are from what happens; less is better", "share"
    ),
    "coverage": Metric("assortment on lists", "share of the products that are on any list", "share"),
    "coverage_80": Metric("within the 80 % interval", "near 80 % is right", "share"),
    "coverage_95": Metric("within the 95 % interval", "near 95 % is right", "share"),
    "customers": Metric("customers", "how many were measured"),
    "hit_rate": Metric("lists with a hit", "lists of which something was bought; more is better", "share"),
    "log_loss": Metric("log-loss", "error of probabilities; less is better"),
    "mae": Metric("mean error", "in the unit of what is predicted (MAE); less is better"),
    "mape": Metric("mean error in per cent", "of the actual value (MAPE); less is better", "share"),
    "mean_probability": Metric("mean probability", "should be near the purchase rate", "share"),
    "miss_rate": Metric("lists without a hit", "lists of which nothing was bought; less is better", "share"),
    "ndcg": Metric("hits near the top", "1 is a perfect order (NDCG); more is better"),
    "price_only_auc": Metric(
        "ranked correctly by the price alone", "a simpler model; the model should be above it", "share"
    ),
    "price_only_r2": Metric(
        "variance explained by the price alone", "a simpler model; the model should be above it", "share"
    ),
    "prices_only_accuracy": Metric(
        "predicted correctly by the prices alone", "a simpler model; the model should be above it", "share"
    ),
    "purchase_rate": Metric("purchase rate", "of the visits that were measured", "share"),
    "purchases_bias": Metric("bias of the invoices", "deviation of their number; near 0 is better", "change"),
    "r2": Metric("variance explained", "100 % is perfect (R²); more is better", "share"),
    "rank_correlation": Metric("rank correlation", "1 is the same order, 0 is none; more is better"),
    "recall": Metric("purchases on the lists", "share of the purchases; more is better", "share"),
    "relative_mae": Metric("mean error, of the mean", "less is better", "share"),
    "rmse": Metric("typical error", "in the unit of what is predicted (RMSE), large errors count more; less is better"),
    "rmspe_difference_high": Metric(
        "typical error minus that of the model in use", "upper end of its 95 % interval; below 0 is better", "change"
    ),
    "rmspe": Metric("typical error in per cent", "large errors count more (RMSPE); less is better", "share"),
    "rows": Metric("rows", "how many were measured"),
    "same_brand_accuracy": Metric(
        "the last brand again", "how often that simple guess is right; the model should be above it", "share"
    ),
    "season_mape": Metric(
        "mean error on last year's coming season", "six weeks of a year ago (MAPE); less is better", "share"
    ),
    "segments": Metric("segments", "their number"),
    "silhouette": Metric("silhouette", "how clearly segments are apart, from -1 to 1; more is better"),
    "smallest_share": Metric("smallest segment", "its share of the customers or people", "share"),
    "stability": Metric(
        "stability", "how alike the segments of two samples are (adjusted Rand index), 1 is the same; more is better"
    ),
    "top_decile_lift": Metric(
        "lift of the first tenth", "its mean as a multiple of that of all customers; more is better"
    ),
    "total_error": Metric("error of the total", "less is better", "share"),
    "wape": Metric("error of the sum of days", "sum of the errors over the sum of the sales; less is better", "share"),
    "width_80": Metric("width of the 80 % interval", "of the forecast; less is better", "share"),
    "width_95": Metric("width of the 95 % interval", "of the forecast; less is better", "share"),
}
"""The error figures of all models, as `pipeline.training.metrics` and the domains name them."""


def metric_of(name: str) -> Metric:
    """The metric of that name, or one with its readable name; `new_…` is measured on products new to the customer."""
    if name in METRICS:
        return METRICS[name]
    base = METRICS.get(name.removeprefix("new_"))
    if base and name.startswith("new_"):
        return Metric(f"{base.text}, new products", base.meaning, base.kind)
    return Metric(readable(name), "")


def exact(name: str, value: float) -> str:
    """Write a metric with four digits, enough to tell it from the limit of a rule; fractions are in per cent."""
    return f"{value:.4g}" if metric_of(name).kind == "number" else percent(value, 2)


def exact_difference(name: str, value: float) -> str:
    """Write the difference of two values of a metric: that of fractions in percentage points."""
    return f"{value:g}" if metric_of(name).kind == "number" else f"{100 * value:g} points"
