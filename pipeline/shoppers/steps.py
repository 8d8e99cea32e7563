"""What the nightly run does with shoppers: features, scores, page. What is common is in `pipeline.training`.

What is scored and monitored is a row a person: their next visit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import RefusedError
from pipeline.lake import engine
from pipeline.lake.tables import Lake
from pipeline.shoppers.domain import CHAIN, DOMAIN, PEOPLE, SEGMENTS

if TYPE_CHECKING:
    from datetime import date

    import pandas as pd
    import pyarrow as pa

    from pipeline.settings import Settings
    from pipeline.training.spec import Champions, Run


def build_features(run: Run) -> pa.Table:
    """Return the next visit of everybody who visited before a day.

    Raises:
        RefusedError: if there was no visit before that day.
    """
    from pipeline.shoppers.features import shopper_features
    from pipeline.shoppers.visits import known_brands

    lake, con = Lake(run.settings), engine.connect(run.settings)
    visits = engine.table(con, lake, DOMAIN.input_table, run.tables.get(DOMAIN.input_table), until=run.as_of)
    people = engine.table(con, lake, PEOPLE, run.tables[PEOPLE]) if PEOPLE in run.tables else None
    brands = known_brands(con, visits, run.as_of)
    return con.to_pyarrow(shopper_features(visits, run.as_of, brands, people)).sort_by("person")


def score(run: Run, champions: Champions) -> pa.Table:
    """Return what the champions expect of everybody's next visit.

    Raises:
        RefusedError: if the day's features are missing.
    """
    import numpy as np
    import pyarrow as pa

    from pipeline.shoppers.purchase_probability import predict

    as_of, shoppers = run.as_of, _shoppers(run.settings, run.as_of)
    probability, choice, quantity = (champions.load(name).model for name in CHAIN)
    chance, shares = predict(probability, shoppers), choice.shares(shoppers)
    likeliest = shares.argmax(axis=1)
    units = quantity.predict(shoppers.assign(brand=choice.brands_[likeliest].astype(str)))
    return pa.table(
        {
            "person": pa.array(shoppers["person"], pa.string()),
            "as_of": pa.array([as_of] * len(shoppers), pa.date32()),
            "segment": pa.array(_segments_of(champions, shoppers), pa.string()),
            "weekly_visits": pa.array(shoppers["weekly_visits"], pa.float64()),
            "purchase_probability": pa.array(chance, pa.float64()),
            "likely_brand": pa.array(choice.brands_[likeliest].astype(str), pa.string()),
            "likely_brand_share": pa.array(shares[np.arange(len(shares)), likeliest], pa.float64()),
            "units": pa.array(units, pa.float64()),
            "weekly_units": pa.array(shoppers["weekly_visits"].to_numpy() * chance * units, pa.float64()),
        }
    )


def write_report(settings: Settings, as_of: date) -> str:
    """Write the shoppers' page of a day and return its path below home.

    Raises:
        RefusedError: if the day is not scored.
    """
    from pipeline.shoppers.people_segments import SEGMENTS_FILE
    from pipeline.shoppers.report import ShoppersReport, write_shoppers_report
    from pipeline.shoppers.visits import read_visits
    from pipeline.shoppers.what_if import Models
    from pipeline.training.scoring import RegisteredChampions

    lake, champions, table = Lake(settings), RegisteredChampions(settings, DOMAIN), DOMAIN.results_table
    scores = lake.read(table, where={"as_of": [as_of]}).to_pandas() if lake.exists(table) else None
    if scores is None or scores.empty or not set(CHAIN) <= set(champions.versions):
        raise RefusedError("Nobody is scored as of that day", where=table, todo="run aisle score shoppers")
    tables = {name: lake.version(name) for name in (DOMAIN.input_table, PEOPLE) if lake.exists(name)}
    return write_shoppers_report(
        lake,
        ShoppersReport(
            as_of=as_of,
            versions={name: champions.versions[name] for name in CHAIN},
            models=Models(*(champions.load(name).model for name in CHAIN)),
            visits=read_visits(settings, as_of, tables),
            shoppers=_shoppers(settings, as_of),
            scores=scores,
            segments=champions.artefacts(SEGMENTS)[SEGMENTS_FILE] if champions.version(SEGMENTS) else None,
            seed=settings.seed,
        ),
    )


def _shoppers(settings: Settings, as_of: date) -> pd.DataFrame:
    from pipeline.shoppers.wide_frame import frame

    table = DOMAIN.features_table
    rows = Lake(settings).read(table, where={"as_of": [as_of]})
    if rows.num_rows == 0:
        raise RefusedError("There are no features to score", where=f"{table}, as of {as_of}", todo="build them first")
    return frame(rows)


def _segments_of(champions: Champions, shoppers: pd.DataFrame) -> list[str | None]:
    """The segment of each person, by the champion; None for people whose demographics are missing."""
    from pipeline.shoppers.features import DEMOGRAPHICS
    from pipeline.shoppers.people_segments import SEGMENTS_FILE, PeopleSegment, assign

    known = shoppers[["person", *DEMOGRAPHICS]].dropna()
    if known.empty or champions.version(SEGMENTS) is None:
        return [None] * len(shoppers)
    champion = champions.load(SEGMENTS)
    segments = [PeopleSegment(**segment) for segment in champion.artefacts[SEGMENTS_FILE]["segments"]]
    found = assign(champion.model, segments, known)
    names = dict(zip(found["person"], found["segment_name"], strict=True))
    return [names.get(person) for person in shoppers["person"]]
