"""Sales before, during and after holidays, and what Christmas and Easter do."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import plotly.graph_objects as go
from dateutil.easter import easter  # type: ignore[import-untyped]

from pipeline.reports.charts import COLOURS, DASHES, SYMBOLS, figure_json, stacked_figure
from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import above_or_below, counted, long_date, percent_change, signed_percent, was_or_were
from pipeline.stores.analysis.base import KINDS, largest

if TYPE_CHECKING:
    import ibis.expr.types as ir

AROUND = 7
"""Days before and after a holiday."""
SEASONS = {"Christmas": (-28, 14), "Easter": (-21, 14)}
"""Days around 25 December and Easter Sunday."""
WEEK_BEFORE = set(range(-AROUND, 0))
MIN_STORES = 0.1
"""Share of the most stores that ever sold on a day; of fewer (Sundays, holidays) a day's mean says nothing."""
NAMES = {"public": "public holidays", "easter": "Easter", "christmas": "Christmas"}
HEADING = "Sales before, during and after holidays"
HEADING_SEASONS = "Christmas and Easter"


@dataclass(frozen=True)
class Holidays:
    """Excess over the usual by days from the nearest state holiday.

    Attributes:
        days: kind (of `KINDS`, or "any"), offset, excess (mean), n (store days).
        open: by kind: store_days and open (of them) on the holiday itself.
        school: mean excess on school holidays less that on other days; None if there are only the one or the other.
    """

    days: pd.DataFrame
    open: pd.DataFrame
    school: float | None


@dataclass(frozen=True)
class Season:
    """One season: by year the mean excess over the usual, by days from the season's day."""

    name: str
    years: dict[int, pd.Series]


def holidays(store_days: ir.Table, open_days: ir.Table) -> Holidays:
    """Group the open days by kind of the nearest holiday and their distance from it."""
    near = open_days.filter(open_days.to_holiday.abs() <= AROUND)
    by_kind = near.group_by(kind="near", offset="to_holiday").agg(total=near.excess.sum(), n=near.excess.count())
    found = by_kind.to_pandas()
    every = found.groupby("offset", as_index=False)[["total", "n"]].sum().assign(kind="any")
    days = pd.concat([found, every], ignore_index=True)
    days = days[days["n"] > 0].assign(excess=lambda f: f["total"] / f["n"]).drop(columns="total")
    on = store_days.filter(store_days.state_holiday != "none")
    doors = on.group_by(kind="state_holiday").agg(store_days=on.count(), open=on.open.cast("int64").sum())
    school = open_days.group_by("school").agg(excess=open_days.excess.mean()).to_pandas().set_index("school")["excess"]
    return Holidays(
        days.sort_values(["kind", "offset"], ignore_index=True),
        doors.to_pandas().set_index("kind").reindex([*KINDS]).dropna(),
        float(school[True] - school[False]) if len(school) > 1 else None,
    )


def holidays_section(found: Holidays) -> Section:
    """A line a kind of holiday."""
    school = (
        "No school holiday is in the data, or nothing else is."
        if found.school is None
        else f"On school holidays sales are {above_or_below(percent_change(found.school))} what the store's other "
        "days of that "
        "weekday "
        "and promotion bring."
    )
    if found.open.empty:
        return Section(HEADING, ["No state holiday is in the data.", school])
    every = found.days[found.days["kind"] == "any"].set_index("offset")["excess"]
    sentences = []
    if {-1, 1} <= set(every.index):
        sentences.append(
            f"On the day before a state holiday stores sell {above_or_below(percent_change(every[-1]))} what is "
            "usual for them on "
            "that "
            "weekday, with or without promotion as it was; on the day after, "
            f"{above_or_below(percent_change(every[1]))} it."
        )
    doors, on = found.open.sum(), found.days[(found.days["kind"] == "any") & (found.days["offset"] == 0)]
    if doors["open"]:
        sold = f", and sold {above_or_below(percent_change(on['excess'].iloc[0]))} the usual" if len(on) else ""
        sentences.append(
            f"On the holiday itself {doors['open']:,.0f} of {counted(doors['store_days'], 'store day')} "
            f"{was_or_were(doors['open'])} "
            f"open{sold}."
        )
    else:
        sentences.append("On the holiday itself no store was open.")
    before = found.days[(found.days["offset"] == -1) & found.days["kind"].isin(KINDS)]
    if len(before) > 1:
        eves = before.set_index("kind")["excess"]
        sentences.append(
            f"The strongest eve is that of {NAMES[largest(eves)]}: {signed_percent(percent_change(eves.max()))}."
        )
    figure = go.Figure()
    for k, (kind, rows_of) in enumerate(found.days[found.days["kind"].isin(KINDS)].groupby("kind")):
        figure.add_scatter(
            name=NAMES[str(kind)],
            x=rows_of["offset"],
            y=[percent_change(value) for value in rows_of["excess"]],
            mode="lines+markers",
            line={"color": COLOURS[k], "dash": DASHES[k]},
            marker={"symbol": SYMBOLS[k], "size": 8},
        )
    return Section(
        HEADING,
        [*sentences, school],
        Table(
            ("holiday", "store days on it", "open", "eve", "day after"),
            [
                (
                    NAMES[str(kind)],
                    f"{row['store_days']:,.0f}",
                    f"{row['open']:,.0f}",
                    *(_of(found.days, str(kind), offset) for offset in (-1, 1)),
                )
                for kind, row in found.open.iterrows()
            ],
            frozenset(range(1, 5)),
        ),
        figure_json(
            figure,
            xaxis={"title": "days from the nearest holiday", "dtick": 1},
            yaxis={"title": "sales against the usual, %"},
        ),
    )


def seasons(daily: pd.DataFrame) -> list[Season]:
    """Christmas and Easter in every year of `base.by_day`'s frame."""
    enough = daily[daily["stores"] >= MIN_STORES * daily["stores"].max()]["excess"]
    years = sorted(set(enough.index.year))
    found = []
    for name, (before, after) in SEASONS.items():
        lines = {}
        for year in [years[0] - 1, *years] if years else []:
            centre = pd.Timestamp(dt.date(year, 12, 25) if name == "Christmas" else easter(year))
            around = enough[(enough.index >= centre + pd.Timedelta(days=before))]
            around = around[around.index <= centre + pd.Timedelta(days=after)]
            if len(around):
                lines[year] = pd.Series(around.to_numpy(), (around.index - centre).days)
        found.append(Season(name, lines))
    return found


def seasons_section(found: list[Season]) -> Section:
    """A line a year."""
    sentences = []
    for season in found:
        before = {year: line[line.index < 0] for year, line in season.years.items() if set(line.index) & WEEK_BEFORE}
        if not before:
            sentences.append(f"No week before {season.name} is in the data.")
            continue
        mean = pd.DataFrame(before).mean(axis=1)
        peak = largest(mean)
        day = "Easter Sunday" if season.name == "Easter" else "25 December"
        week = pd.concat([line[line.index >= -AROUND] for line in before.values()])
        after = pd.concat([line[(line.index > 0) & (line.index <= AROUND)] for line in season.years.values()])
        sentences.append(
            f"In the week before {season.name} stores sell {above_or_below(percent_change(week.mean()))} the usual"
            + (f", in the week after {above_or_below(percent_change(after.mean()))} it" if len(after) else "")
            + f" ({counted(len(before), 'year')}). The best day before is {counted(-peak, 'day')} before {day}: "
            f"{signed_percent(percent_change(mean[peak]))}."
        )
        if season.name == "Christmas":
            last = max(before)
            top = largest(before[last])
            sentences.append(
                f"In {last} it was {long_date(dt.date(last, 12, 25) + dt.timedelta(days=int(top)))}, with "
                f"{signed_percent(percent_change(before[last].max()))}."
            )
    figure = stacked_figure([f"days from {'25 December' if s.name == 'Christmas' else 'Easter Sunday'}" for s in found])
    years = sorted({year for season in found for year in season.years})
    for row, season in enumerate(found, 1):
        for year, line in season.years.items():
            k = years.index(year)
            figure.add_scatter(
                name=str(year),
                legendgroup=str(year),
                showlegend=row == 1 or year not in found[0].years,
                x=line.index.to_numpy(),
                y=[percent_change(value) for value in line],
                mode="lines+markers",
                line={"color": COLOURS[k % len(COLOURS)], "dash": DASHES[k % len(DASHES)]},
                marker={"symbol": SYMBOLS[k % len(SYMBOLS)]},
                row=row,
                col=1,
            )
    figure.update_yaxes(title="sales against the usual, %")
    return Section(HEADING_SEASONS, sentences, figure=figure_json(figure, heights=2))


def _of(days: pd.DataFrame, kind: str, offset: int) -> str:
    found = days[(days["kind"] == kind) & (days["offset"] == offset)]["excess"]
    return signed_percent(percent_change(found.iloc[0])) if len(found) else "–"
