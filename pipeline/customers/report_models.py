"""Sections of the customers page about recommendations and expected value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from pipeline.customers.product_names import product_name
from pipeline.customers.value.totals import total_interval
from pipeline.reports.charts import figure_json
from pipeline.reports.labels import metric_of
from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import (
    amount,
    count,
    counted,
    decimal,
    listed,
    percent,
    ranks,
    readable,
    share,
    was_or_were,
    with_unit,
)

SHOWN_PRODUCTS, SHOWN_WITH, SHOWN_CUSTOMERS = 15, 3, 15
METRICS = ("hit_rate", "recall", "ndcg", "coverage")


def recommendation_sections(
    rows: pd.DataFrame, evaluation: Mapping[str, Any], names: Mapping[str, str]
) -> list[Section]:
    """What is recommended as of a day, and how good such lists were.

    Args:
        rows: of the table `recommendations`.
        evaluation: the file of that name, stored with the model.
        names: stock code -> description.
    """
    lists = {name: group.set_index("subject") for name, group in rows.groupby("list")}
    popular = list(lists["popular"]["products"].iloc[0])
    together = lists.get("goes with")
    shown = [code for code in popular if together is not None and code in together.index]
    sentences = [
        f"{count(len(lists['best']))} customers have a list of what to buy again and one of what is new to "
        f"them, and {count(0 if together is None else len(together))} products a list of what goes with them: "
        "table recommendations, and POST /recommendations.",
        f"{percent(float(lists['best']['chance'].mean()))} of the customers are expected to buy something of their "
        f"list within {evaluation['days']} days.",
    ]
    goods = Table(
        ("popular lately", "goes with"),
        [
            (
                product_name(code, names),
                "; ".join(product_name(other, names) for other in together.loc[code, "products"][:SHOWN_WITH])
                if together is not None and code in shown
                else "",
            )
            for code in popular[:SHOWN_PRODUCTS]
        ],
    )
    return [Section("What to recommend", sentences, goods), _evaluation_section(evaluation)]


def _evaluation_section(evaluation: Mapping[str, Any]) -> Section:
    methods: Mapping[str, Mapping[str, float | None]] = evaluation["methods"]
    blend = methods["blend"]
    return Section(
        "How good the recommendations are",
        [
            f"Lists of {evaluation['k']} products as of {evaluation['from']}, compared with what was bought on that "
            f"day and the {evaluation['days'] - 1} days after it by {count(blend['customers'] or 0)} customers. The "
            f"model was not trained on these days. {_meanings(METRICS)}",
        ],
        Table(
            ("recommender", "lists", *(metric_of(name).text for name in METRICS)),
            [
                (
                    readable(name),
                    "new products" if prefix else "all products",
                    *(metric_of(metric).value(found.get(prefix + metric)) for metric in METRICS),
                )
                for prefix in ("", "new_")
                for name, found in methods.items()
            ],
            frozenset(range(2, 2 + len(METRICS))),
        ),
    )


def value_sections(rows: pd.DataFrame, evaluation: Mapping[str, Any]) -> list[Section]:
    """What is expected of customers, and how good such expectations were.

    Args:
        rows: of the table `customer_value`, with `segment_name`.
        evaluation: the file of that name, stored with the model.
    """
    total, days = float(rows["revenue"].sum()), evaluation["days"]
    biases = evaluation.get("total_biases", [])
    top = rows[rows["decile"] == 1]
    segments = rows.groupby("segment_name").agg(
        customers=("revenue", "size"),
        revenue=("revenue", "sum"),
        purchases=("purchases", "sum"),
        chance=("purchase_chance", "mean"),
    )
    best = rows.sort_values(["revenue", "customer_id"], ascending=[False, True]).head(SHOWN_CUSTOMERS)
    return [
        Section(
            f"What to expect of the next {days} days",
            [
                f"Customers are expected to bring {amount(total)} net of returns on {count(rows['purchases'].sum())} "
                f"invoices; the tenth with the highest expectation {share(float(top['revenue'].sum()), total)} of it. "
                "Customers who are not known yet, and guests, come on top.",
                *_interval_sentence(total, biases),
                f"The season makes it {decimal(float(rows['season'].iloc[0]), 2)} times that of other months.",
            ],
            Table(
                ("segment", "customers", "expected revenue", "share", "expected invoices", "will buy"),
                [
                    (
                        str(name),
                        count(row["customers"]),
                        amount(row["revenue"]),
                        share(row["revenue"], total),
                        count(row["purchases"]),
                        percent(row["chance"]),
                    )
                    for name, row in segments.sort_values("revenue", ascending=False).iterrows()
                ],
                frozenset(range(1, 6)),
            ),
        ),
        Section(
            "Customers with the highest expectation",
            ["The interval is to hold the revenue of 80 of 100 customers. Equal expectations share a rank."],
            Table(
                ("rank", "customer", "segment", "expected revenue", "from", "to", "expected invoices"),
                [
                    (
                        rank,
                        str(row["customer_id"]),
                        str(row["segment_name"]),
                        amount(row["revenue"]),
                        amount(row["revenue_low"]),
                        amount(row["revenue_high"]),
                        decimal(row["purchases"], 1),
                    )
                    for rank, row in zip(ranks(best["revenue"].tolist()), best.to_dict("records"), strict=True)
                ],
                frozenset({0, *range(3, 7)}),
            ),
        ),
        _deciles_section(rows),
        _calibration_section(evaluation),
    ]


def _interval_sentence(total: float, biases: Sequence[float | None]) -> list[str]:
    """The interval of an expected total; none for a model version of an earlier release."""
    interval = total_interval(total, biases)
    if interval is None:
        return []
    low, high = interval
    known = [bias for bias in biases if bias is not None]
    return [
        f"In 80 of 100 such cases the total is {amount(low)} to {amount(high)}: that follows from how far "
        f"{counted(len(known), 'earlier total')} {was_or_were(len(known))} off "
        f"({listed(metric_of('bias').value(bias) for bias in known)}). "
        f"{'One is little to go by, so the interval is wide. ' if len(known) == 1 else ''}"
        "Parts of the customers, such as segments, are less certain."
    ]


def _deciles_section(rows: pd.DataFrame) -> Section:
    """The tenths of the customers by expected revenue."""
    total = float(rows["revenue"].sum())
    tenths = rows.groupby("decile").agg(
        customers=("revenue", "size"),
        revenue=("revenue", "sum"),
        mean=("revenue", "mean"),
        purchases=("purchases", "mean"),
        chance=("purchase_chance", "mean"),
        alive=("alive", "mean"),
    )
    return Section(
        "Customers by tenths",
        [
            "The first tenth has the highest expectation. Will buy: the chance of a purchase within these days. Still "
            "a customer: the probability by BG/NBD that the customer has not left for good; that model knows no season "
            "and finds few who leave."
        ],
        Table(
            (
                "tenth", "customers", "expected revenue", "share", "each", "invoices each", "will buy",
                "still a customer",
            ),
            [
                (
                    str(tenth),
                    count(row["customers"]),
                    amount(row["revenue"]),
                    share(row["revenue"], total),
                    amount(row["mean"]),
                    decimal(row["purchases"], 1),
                    percent(row["chance"]),
                    percent(row["alive"]),
                )
                for tenth, row in tenths.iterrows()
            ],
            frozenset(range(1, 8)),
        ),
    )  # fmt: skip


def _calibration_section(evaluation: Mapping[str, Any]) -> Section:
    tenths, methods = evaluation["deciles"], evaluation["methods"]
    places = list(range(1, len(tenths) + 1))
    figure = go.Figure(
        [
            go.Bar(name="expected", x=places, y=[tenth["expected"] for tenth in tenths]),
            go.Bar(name="actual", x=places, y=[tenth["actual"] for tenth in tenths]),
        ],
        layout={
            "barmode": "group",
            "xaxis": {"title": "tenth of the customers, highest expectation first", "dtick": 1},
            "yaxis": {"title": with_unit("mean revenue of a customer")},
        },
    )
    columns = ("bias", "rank_correlation", "coverage_80", "top_decile_lift")
    return Section(
        "How good the expectations are",
        [
            f"Expected as of {evaluation['from']}, compared with the {evaluation['days']} days from then on, on which "
            "the model was not trained. BG/NBD with Gamma-Gamma is the usual model, which knows no season. "
            f"{_meanings(columns)}",
        ],
        Table(
            ("model", "mean error of a customer", *(metric_of(column).text for column in columns)),
            [
                (
                    readable(name),
                    amount(found.get("mae")),
                    *(metric_of(column).value(found.get(column)) for column in columns),
                )
                for name, found in methods.items()
            ],
            frozenset(range(1, 6)),
        ),
        figure_json(figure),
    )


def _meanings(names: Sequence[str]) -> str:
    """What the metrics of a table measure, as sentences."""
    metrics = (metric_of(name) for name in names)
    return " ".join(f"{metric.text[:1].upper()}{metric.text[1:]}: {metric.meaning}." for metric in metrics)
