"""Visits and people as the models read them: from pinned versions of their tables, split into earlier and later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import RefusedError
from pipeline.lake import engine
from pipeline.lake.tables import Lake
from pipeline.shoppers.domain import DOMAIN, PEOPLE
from pipeline.shoppers.features import brands_of, visit_features
from pipeline.shoppers.wide_frame import earlier_later, frame, split_at

if TYPE_CHECKING:
    from datetime import date

    import pandas as pd

    from pipeline.settings import Settings
    from pipeline.training.spec import Run

WINDOW_DAYS = 56
"""The newest days, on which the gate measures; a fifth of all days where that is less."""
MIN_SHARE = 0.2


@dataclass(frozen=True)
class SplitVisits:
    """Visit features before a window of days, and in it."""

    earlier: pd.DataFrame
    window: pd.DataFrame


def load_split(run: Run) -> SplitVisits:
    """Read the visits known as of a day and split off the newest days.

    Raises:
        RefusedError: if there are no visits, or too few days.
    """
    visits = read_visits(run.settings, run.as_of, run.tables)
    days = (visits["day"].max() - visits["day"].min()).days + 1
    return SplitVisits(*earlier_later(visits, split_at(visits, min(MIN_SHARE, WINDOW_DAYS / days))))


def read_visits(settings: Settings, as_of: date, tables: Mapping[str, int]) -> pd.DataFrame:
    """The features of all visits before a day.

    Args:
        settings: where the lake is.
        as_of: only visits before this day.
        tables: the versions of the tables to read; the newest of `visits` where it is not named, nothing of `people`.

    Raises:
        RefusedError: if there was no visit before that day.
    """
    lake, con = Lake(settings), engine.connect(settings)
    visits = engine.table(con, lake, DOMAIN.input_table, tables.get(DOMAIN.input_table), until=as_of)
    people = engine.table(con, lake, PEOPLE, tables[PEOPLE]) if PEOPLE in tables else None
    return frame(con.to_pyarrow(visit_features(visits, as_of, known_brands(con, visits, as_of), people)))


def known_brands(con: Any, visits: Any, as_of: date) -> list[str]:
    """The brands that were on the shelf before a day.

    Raises:
        RefusedError: if there was no visit before that day.
    """
    found: list[str] = con.to_pyarrow(brands_of(visits, as_of))["brand"].to_pylist()
    if not found:
        raise RefusedError(
            "There is no visit before that day",
            where=f"{DOMAIN.input_table}, as of {as_of}",
            todo="ingest visits first, or choose a later as-of day",
        )
    return found


def load_people(run: Run) -> pd.DataFrame:
    """Read the table of people, one row a person."""
    people: pd.DataFrame = Lake(run.settings).read(PEOPLE, run.tables[PEOPLE]).to_pandas()
    return people
