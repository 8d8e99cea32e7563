"""Promotions, openings and holidays in the days to forecast, compared with the days before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis
import pandas as pd
import plotly.graph_objects as go

from pipeline.reports.charts import COLOURS, GREY, figure_json
from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import NEGLIGIBLE, counted, percent
from pipeline.stores.analysis.base import largest, with_timestamps
from pipeline.stores.analysis.forecasts import HISTORY_DAYS

if TYPE_CHECKING:
    from datetime import date

    import ibis.expr.types as ir

HEADING_PLANS = "Planned promotions compared with the past"
FACT_NAMES = {
    "promo": "promotion",
    "open": "open",
    "state_holiday": "state holiday",
    "school_holiday": "school holiday",
}


@dataclass(frozen=True)
class PromotionPlans:
    """Shares of store days in the past and in the days to forecast, of the same stores.

    Attributes:
        shares: one row per fact of `FACT_NAMES`; columns past and planned, fractions.
        promoted: share of stores with a promotion by day, for `HISTORY_DAYS` past days and the days to forecast.
        promoted_days: days to forecast on which at least one store has a promotion.
        days: days to forecast.
    """

    shares: pd.DataFrame
    promoted: pd.Series
    promoted_days: int
    days: int


def compare_plans(store_days: ir.Table, planned: ir.Table, as_of: date) -> PromotionPlans:
    """Compare the planned days with the past of the same stores.

    Args:
        store_days: all days before as_of, open or not; those of stores without a planned day are left out.
        planned: the days to forecast; if there are none, all past days are described.
        as_of: the first day to forecast.
    """

    def shares(days: ir.Table) -> dict[str, float]:
        facts = {"promo": days.promo, "open": days.open, "school_holiday": days.school_holiday}
        facts["state_holiday"] = days.state_holiday != "none"
        row = days.agg(**{name: fact.cast("float64").mean() for name, fact in facts.items()}).to_pandas().iloc[0]
        return {name: float(row[name]) for name in FACT_NAMES}

    def promoted(days: ir.Table) -> pd.Series:
        daily = days.group_by("day").agg(promo=days.promo.cast("float64").mean()).order_by("day").to_pandas()
        return with_timestamps(daily).set_index("day")["promo"]

    promoted_ahead = promoted(planned)
    past = store_days.semi_join(planned, "store") if len(promoted_ahead) else store_days
    recent = past.filter(past.day >= ibis.date(as_of) - ibis.interval(days=HISTORY_DAYS))
    return PromotionPlans(
        pd.DataFrame({"past": shares(past), "planned": shares(planned)}),
        pd.concat([promoted(recent), promoted_ahead]),
        int((promoted_ahead > 0).sum()),
        len(promoted_ahead),
    )


def plans_section(plans: PromotionPlans, as_of: date) -> Section:
    """Show how often the stores have promotions, are open and have holidays, in the past and as planned."""
    per_cent = 100 * plans.shares
    past = plans.promoted[plans.promoted.index < pd.Timestamp(as_of)]
    planned = plans.promoted[plans.promoted.index >= pd.Timestamp(as_of)]
    figure = go.Figure(
        [
            go.Bar(name=name, x=part.index, y=100 * part.to_numpy(), marker_color=colour)
            for name, part, colour in (("past", past, GREY), ("planned", planned, COLOURS[0]))
        ]
    )
    return Section(
        HEADING_PLANS,
        [_promotion_sentence(plans, per_cent), *_other_sentences(plans, per_cent.drop("promo"))],
        Table(
            ("share of store days", "past", "planned"),
            [(FACT_NAMES[str(name)], *(percent(value / 100) for value in row)) for name, row in per_cent.iterrows()],
            frozenset({1, 2}),
        ),
        figure_json(figure, yaxis={"title": "stores with promotion, %", "range": [0, 103]}, bargap=0.1),
    )


def _promotion_sentence(plans: PromotionPlans, per_cent: pd.DataFrame) -> str:
    past, planned = per_cent["past"]["promo"], per_cent["planned"]["promo"]
    if not past > 0 and not planned > 0:
        return "No store had a promotion in the past, and none has one on the days to forecast."
    if not planned > 0:
        return (
            f"No store has a promotion on the {counted(plans.days, 'day')} to forecast; in the past, these stores had "
            f"one on {percent(past / 100)} of their store days."
        )
    if not past > 0:
        return (
            f"No store had a promotion in the past, but {percent(planned / 100)} of the planned store days have one: "
            "the model cannot know their effect."
        )
    frequency = "as often as" if abs(planned - past) < 1 else "more often than" if planned > past else "less often than"
    return (
        f"There are promotions on {plans.promoted_days} of the {counted(plans.days, 'day')} to forecast, on "
        f"{percent(planned / 100)} of the planned store days: {frequency} in the past of these stores, when it was "
        f"{percent(past / 100)}."
    )


def _other_sentences(plans: PromotionPlans, per_cent: pd.DataFrame) -> list[str]:
    if not plans.days:
        return []
    fact = largest((per_cent["planned"] - per_cent["past"]).abs())
    past, planned = per_cent["past"][fact], per_cent["planned"][fact]
    if abs(planned - past) < NEGLIGIBLE:
        return ["Openings and holidays are as frequent as in the past."]
    days = "open days" if fact == "open" else f"{FACT_NAMES[fact]}s"
    return [
        f"Of openings and holidays, the share of {days} differs most: {percent(planned / 100)} of the planned store "
        f"days, {percent(past / 100)} of the past ones."
    ]
