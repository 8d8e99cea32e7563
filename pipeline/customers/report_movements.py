"""Section of the customers page about movements between segments, with a picture of the flows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import plotly.graph_objects as go

from pipeline.customers.movements import LAST_MONTH, LAST_TRAINING
from pipeline.reports.charts import COLOURS, GREY, figure_json, with_opacity
from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import count, counted, listed, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

ARRIVED, LEFT = "not a customer then", "no purchase in the window"
HEADINGS = {LAST_MONTH: "Movements since last month", LAST_TRAINING: "Movements since the last training"}


def movement_sections(rows: pd.DataFrame) -> list[Section]:
    """A section for each comparison that has rows.

    Args:
        rows: of the table `segment_movements`, of one day.
    """
    return [_section(heading, rows[rows["since"] == since]) for since, heading in HEADINGS.items() if _has(rows, since)]


def flows(rows: pd.DataFrame) -> pd.DataFrame:
    """Count the customers of each way.

    Returns:
        source, target (names of segments, or `ARRIVED` and `LEFT`) and customers, the largest number first.
    """
    named = rows.assign(source=rows["from_name"].fillna(ARRIVED), target=rows["to_name"].fillna(LEFT))
    counts = named.groupby(["source", "target"], as_index=False).size().rename(columns={"size": "customers"})
    ordered: pd.DataFrame = counts.sort_values(
        ["customers", "source", "target"], ascending=[False, True, True], ignore_index=True
    )
    return ordered


def _has(rows: pd.DataFrame, since: str) -> bool:
    return bool((rows["since"] == since).any())


def _section(heading: str, rows: pd.DataFrame) -> Section:
    before, both = rows["compared_with"].iloc[0], rows["from_name"].notna() & rows["to_name"].notna()
    stayed = int((both & (rows["from_segment"].eq(rows["to_segment"]))).sum())
    moved, arrived, left = int(both.sum()) - stayed, int(rows["from_name"].isna().sum()), rows["to_name"].isna().sum()
    sentences = [
        f"Compared with {before}: of {counted(int(both.sum()), 'customer')} on both days {count(stayed)} "
        f"({percent(stayed / max(1, both.sum()))}) are in the same segment and {count(moved)} in another; "
        f"{count(arrived)} have become customers, and {count(left)} have not bought anything in the window any more."
    ]
    for verb, names in (("appeared", _only(rows, "to", "from")), ("vanished", _only(rows, "from", "to"))):
        if names:
            sentences.append(f"Segments that {verb}: {listed(names)}.")
    counted_flows = flows(rows)
    total = {name: group["customers"].sum() for name, group in counted_flows.groupby("source")}
    table = Table(
        ("from", "to", "customers", "share of the segment they left"),
        [
            (row["source"], row["target"], count(row["customers"]), percent(row["customers"] / total[row["source"]]))
            for row in counted_flows.to_dict("records")
        ],
        frozenset({2, 3}),
    )
    return Section(heading, sentences, table, figure_json(_sankey(counted_flows), heights=1))


def _only(rows: pd.DataFrame, side: str, other: str) -> list[str]:
    """Names of segments that customers are in on one day and nobody on the other."""
    ids = rows[f"{side}_segment"].dropna()
    new = set(ids) - set(rows[f"{other}_segment"].dropna())
    return sorted(set(rows.loc[rows[f"{side}_segment"].isin(new), f"{side}_name"]))


def _sankey(counted_flows: pd.DataFrame) -> go.Figure:
    sources, targets = (_ordered(counted_flows, side, last) for side, last in (("source", ARRIVED), ("target", LEFT)))
    names = list(dict.fromkeys([*sources, *targets]))
    colours = {name: COLOURS[at % len(COLOURS)] for at, name in enumerate(n for n in names if n not in (ARRIVED, LEFT))}
    colours |= {ARRIVED: GREY, LEFT: GREY}
    rows = counted_flows.to_dict("records")
    return go.Figure(
        go.Sankey(
            node={
                "label": [*sources, *targets],
                "color": [colours[name] for name in (*sources, *targets)],
                "pad": 14,
                "thickness": 14,
            },
            link={
                "source": [sources.index(row["source"]) for row in rows],
                "target": [len(sources) + targets.index(row["target"]) for row in rows],
                "value": [int(row["customers"]) for row in rows],
                "color": [with_opacity(colours[row["source"]], 0.35) for row in rows],
            },
        )
    )


def _ordered(counted_flows: pd.DataFrame, side: str, last: str) -> Sequence[str]:
    """The names of a side, the largest first, and those outside the segments at the end."""
    sizes = counted_flows.groupby(side)["customers"].sum()
    return sorted(sizes.index, key=lambda name: (name == last, -sizes[name], name))
