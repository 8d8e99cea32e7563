"""Sales before, on and after holidays, and in the Christmas and Easter seasons."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import plotly.graph_objects as go
from dateutil.easter import easter  # type: ignore[import-untyped]

from pipeline.reports.charts import COLOURS, DASHES, SYMBOLS, figure_json, stacked_figure
from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import (
    above_or_below,
    count,
    counted,
    long_date,
    percent_change,
    signed_percent,
    was_or_were,
)
from pipeline.stores.analysis.base import HOLIDAY_KINDS, largest

if TYPE_CHECKING:
    import ibis.expr.types as ir

DAYS_AROUND = 7
"""Days before and after a holiday that are shown."""
SEASON_DAYS = {"Christmas": (-28, 14), "Easter": (-21, 14)}
"""First and last day shown, counted from 25 December and Easter Sunday."""
WEEK_BEFORE = set(range(-DAYS_AROUND, 0))
MIN_STORE_SHARE = 0.1
"""Share of the largest number of open stores that must be open; with fewer (Sundays, holidays) means are not shown."""
HOLIDAY_NAMES = {"public": "public holidays", "easter": "Easter", "christmas": "Christmas"}
HEADING = "Sales before, during and after holidays"
HEADING_SEASONS = "Christmas and Easter"


@dataclass(frozen=True)
class HolidayEffects:
    """Excess over usual sales by days from the nearest state holiday.

    Attributes:
        days: kind (one of `HOLIDAY_KINDS`, or "any"), offset (days from the holiday), excess (mean), n (store days).
        open: by kind: store_days and open (how many of them were open) on the holiday itself.
        school: mean excess on school holidays minus that on other days; None without both.
    """

    days: pd.DataFrame
    open: pd.DataFrame
    school: float | None


@dataclass(frozen=True)
class Season:
    """One season: by year, the mean excess over usual sales by days from its main day."""

    name: str
    years: dict[int, pd.Series]


def holiday_effects(store_days: ir.Table, open_days: ir.Table) -> HolidayEffects:
    """Average the excess by the kind of the nearest holiday and the days from it."""
    near = open_days.filter(open_days.to_holiday.abs() <= DAYS_AROUND)
    by_kind = near.group_by(kind="near", offset="to_holiday").agg(total=near.excess.sum(), n=near.excess.count())
    found = by_kind.to_pandas()
    every = found.groupby("offset", as_index=False)[["total", "n"]].sum().assign(kind="any")
    days = pd.concat([found, every], ignore_index=True)
    days = days[days["n"] > 0].assign(excess=lambda f: f["total"] / f["n"]).drop(columns="total")
    on = store_days.filter(store_days.state_holiday != "none")
    openings = on.group_by(kind="state_holiday").agg(store_days=on.count(), open=on.open.cast("int64").sum())
    school = open_days.group_by("school").agg(excess=open_days.excess.mean()).to_pandas().set_index("school")["excess"]
    return HolidayEffects(
        days.sort_values(["kind", "offset"], ignore_index=True),
        openings.to_pandas().set_index("kind").reindex([*HOLIDAY_KINDS]).dropna(),
        float(school[True] - school[False]) if len(school) > 1 else None,
    )


def holidays_section(found: HolidayEffects) -> Section:
    """Show one line per kind of holiday."""
    school = (
        "The data do not have both school holidays and other days."
        if found.school is None
        else f"On school holidays sales are {above_or_below(percent_change(found.school))} those of the store's other "
        "days of the same weekday, with or without promotion as on the day."
    )
    if found.open.empty:
        return Section(HEADING, ["The data have no state holidays.", school])
    every = found.days[found.days["kind"] == "any"].set_index("offset")["excess"]
    sentences = []
    if {-1, 1} <= set(every.index):
        sentences.append(
            f"On the day before a state holiday, sales are {above_or_below(percent_change(every[-1]))} usual sales; on "
            f"the day after, they are {above_or_below(percent_change(every[1]))} usual sales."
        )
    totals, on_holiday = found.open.sum(), found.days[(found.days["kind"] == "any") & (found.days["offset"] == 0)]
    if totals["open"]:
        excess = percent_change(on_holiday["excess"].iloc[0]) if len(on_holiday) else None
        sentences.append(
            f"On state holidays {count(totals['open'])} of {counted(totals['store_days'], 'store day')} "
            f"{was_or_were(totals['open'])} open"
            + (f", with sales {above_or_below(excess)} usual sales." if excess is not None else ".")
        )
    else:
        sentences.append("On state holidays no store was open.")
    before = found.days[(found.days["offset"] == -1) & found.days["kind"].isin(HOLIDAY_KINDS)]
    if len(before) > 1:
        eves = before.set_index("kind")["excess"]
        sentences.append(
            f"Sales on the day before are highest before {HOLIDAY_NAMES[largest(eves)]}: "
            f"{signed_percent(percent_change(eves.max()))}."
        )
    figure = go.Figure()
    for k, (kind, rows_of) in enumerate(found.days[found.days["kind"].isin(HOLIDAY_KINDS)].groupby("kind")):
        figure.add_scatter(
            name=HOLIDAY_NAMES[str(kind)],
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
            ("holiday", "store days on it", "of these open", "sales on the day before", "sales on the day after"),
            [
                (
                    HOLIDAY_NAMES[str(kind)],
                    count(row["store_days"]),
                    count(row["open"]),
                    *(_effect_cell(found.days, str(kind), offset) for offset in (-1, 1)),
                )
                for kind, row in found.open.iterrows()
            ],
            frozenset(range(1, 5)),
        ),
        figure_json(
            figure,
            xaxis={"title": "days from the nearest holiday", "dtick": 1},
            yaxis={"title": "sales relative to usual, %"},
        ),
    )


def seasons(daily: pd.DataFrame) -> list[Season]:
    """Return the Christmas and Easter seasons of every year of `base.daily_means`."""
    enough = daily[daily["stores"] >= MIN_STORE_SHARE * daily["stores"].max()]["excess"]
    years = sorted(set(enough.index.year))
    found = []
    for name, (before, after) in SEASON_DAYS.items():
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
    """Show one line per year."""
    sentences = []
    for season in found:
        before = {year: line[line.index < 0] for year, line in season.years.items() if set(line.index) & WEEK_BEFORE}
        if not before:
            sentences.append(f"The data have no week before {season.name}.")
            continue
        mean = pd.DataFrame(before).mean(axis=1)
        peak = largest(mean)
        day = "Easter Sunday" if season.name == "Easter" else "25 December"
        week = pd.concat([line[line.index >= -DAYS_AROUND] for line in before.values()])
        after = pd.concat([line[(line.index > 0) & (line.index <= DAYS_AROUND)] for line in season.years.values()])
        sentences.append(
            f"In the week before {season.name}, sales are {above_or_below(percent_change(week.mean()))} usual sales"
            + (f", in the week after it {above_or_below(percent_change(after.mean()))}" if len(after) else "")
            + f" (mean of {counted(len(before), 'year')}). The best day of the season is "
            f"{counted(-peak, 'day')} before {day}: {signed_percent(percent_change(mean[peak]))}."
        )
        if season.name == "Christmas":
            last = max(before)
            top = largest(before[last])
            sentences.append(
                f"In {last} the best day was {long_date(dt.date(last, 12, 25) + dt.timedelta(days=int(top)))}, with "
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
    figure.update_yaxes(title="sales relative to usual, %")
    return Section(HEADING_SEASONS, sentences, figure=figure_json(figure, heights=2))


def _effect_cell(days: pd.DataFrame, kind: str, offset: int) -> str:
    found = days[(days["kind"] == kind) & (days["offset"] == offset)]["excess"]
    return signed_percent(percent_change(found.iloc[0])) if len(found) else "–"
