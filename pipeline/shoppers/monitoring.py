"""What is watched of the domain's models, see `pipeline.monitoring.watch`.

Of the visit models it is the state of people before their next visit. The shelf is the same for all of them on a day:
its prices have no distribution to compare, and every promotion would move what the models say of everybody. So people
are asked about now as about then, in front of the shelf of then. Whether a model still has it right at today's prices
is told by its error on the visits that came.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.monitoring.drift import AMOUNT, FEW, NUMBER, Method, Performance
from pipeline.monitoring.watch import MonitoredModel
from pipeline.shoppers.features import DEMOGRAPHICS, SHELF
from pipeline.shoppers.steps import (
    CHOICE,
    FEATURES_TABLE,
    INPUT_TABLE,
    PEOPLE,
    PROBABILITY,
    QUANTITY,
    SCORES_TABLE,
    SEGMENTS,
    SEGMENTS_FILE,
)
from pipeline.shoppers.wide_frame import frame

if TYPE_CHECKING:
    from datetime import date

    from pipeline.registry.records import Loaded, ModelVersion
    from pipeline.settings import Settings

MIN_PEOPLE = 300
"""Fewer than elsewhere: two samples of 300 strangers pass the thresholds twice in a hundred times, but most people of
two days are the same."""
JUDGED_DAYS, KEPT_DAYS, MIN_VISITS = 28, 7, 300
"""Visits of the newest four weeks are judged by what was said of them at most a week before."""
MAX_ERROR_RATIO = 1.2
"""The log-loss of 300 visits strays from its true value by 6 % (one standard error), of purchase rates like ours."""

LIKELY = Method("jensenshannon", 0.1, categorical=True, kind="prediction")
PREDICTED = Method("wasserstein", 0.2, kind="prediction")


def align_shelf(then: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """The people of now in front of the shelf of then."""
    shelf = [name for name in then if name in SHELF or str(name).startswith(("prices:", "promotions:"))]
    return now.assign(**{str(name): then[name].iloc[0] for name in shelf})


def purchase_chances(champion: Loaded, shoppers: pd.DataFrame) -> list[float]:
    """The purchase probability of each person's next visit."""
    from pipeline.shoppers.purchase_probability import predict

    chances: list[float] = predict(champion.model, shoppers).tolist()
    return chances


def likely_brands(champion: Loaded, shoppers: pd.DataFrame) -> list[str]:
    """The brand that each person's next purchase most likely goes to."""
    brands: list[str] = champion.model.predict(shoppers).astype(str).tolist()
    return brands


def units(champion: Loaded, shoppers: pd.DataFrame) -> list[float]:
    """The units of each person's next purchase, if it is of the last brand again."""
    found: list[float] = champion.model.predict(shoppers.assign(brand=shoppers["last_brand"])).tolist()
    return found


def segment_names(champion: Loaded, people: pd.DataFrame) -> list[str]:
    """The name of each person's segment; unknown where something of them is."""
    names = np.array([segment["name"] for segment in champion.artefacts[SEGMENTS_FILE]["segments"]], dtype=object)
    values = people[list(DEMOGRAPHICS)].astype("float64")
    known = values.notna().all(axis=1).to_numpy()
    found = np.full(len(people), "(unknown)", dtype=object)
    if known.any():
        found[known] = names[champion.model.predict(values[known])]
    return found.tolist()


def log_loss_since(settings: Settings, champion: ModelVersion, day: date) -> Performance | None:
    """The log-loss of what the champion said of visits before they came; None while they are too few.

    Each visit of the newest four weeks is held against what was last said of its person, the shelf of that day taken
    for the shelf of the visit. Said by another version, or before the champion was made, does not count.
    """
    from sklearn.metrics import log_loss

    from pipeline.lake.tables import Lake

    lake, made = Lake(settings), champion.provenance.as_of
    since = max(made, day - timedelta(days=JUDGED_DAYS))
    oldest = max(made, since - timedelta(days=KEPT_DAYS))
    scored = [as_of for as_of in lake.days(SCORES_TABLE) if oldest <= as_of < day]
    visited = [known for known in lake.days(INPUT_TABLE) if since <= known < day]
    expected = champion.metrics.get("log_loss")
    if not scored or not visited or expected is None:
        return None
    said = lake.read(SCORES_TABLE, where={"as_of": scored}).to_pandas()
    said = said[said[f"{PROBABILITY}_version"] == champion.version]
    came = lake.read(INPUT_TABLE, where={"day": visited}).to_pandas()
    for rows, column in ((said, "as_of"), (came, "day")):
        rows[column] = pd.to_datetime(rows[column])
    both = pd.merge_asof(
        came[["person", "day", "bought"]].sort_values("day"),
        said[["person", "as_of", "purchase_probability"]].sort_values("as_of"),
        left_on="day",
        right_on="as_of",
        by="person",
        tolerance=pd.Timedelta(days=KEPT_DAYS),
    ).dropna(subset=["purchase_probability"])
    if len(both) < MIN_VISITS:
        return None
    observed = float(log_loss(both["bought"].astype(np.int64), both["purchase_probability"], labels=[0, 1]))
    return Performance("log_loss", observed, expected, len(both), MAX_ERROR_RATIO)


MONITORED = (
    MonitoredModel(
        name=PROBABILITY,
        table=FEATURES_TABLE,
        columns={
            "days_since_visit": NUMBER,
            "days_since_purchase": NUMBER,
            "bought_last_time": FEW,
            "visits_lately": AMOUNT,
            "purchase_rate": NUMBER,
            "purchase_rate_short": NUMBER,
        },
        key="person",
        predict=purchase_chances,
        prediction=PREDICTED,
        frame=frame,
        alike=align_shelf,
        performance=log_loss_since,
        minimum_rows=MIN_PEOPLE,
    ),
    MonitoredModel(
        name=CHOICE,
        table=FEATURES_TABLE,
        columns={"last_brand": FEW, "purchases": AMOUNT},
        key="person",
        predict=likely_brands,
        prediction=LIKELY,
        frame=frame,
        alike=align_shelf,
        minimum_rows=MIN_PEOPLE,
    ),
    MonitoredModel(
        name=QUANTITY,
        table=FEATURES_TABLE,
        columns={"last_brand": FEW, "purchases": AMOUNT, "units": AMOUNT, "purchase_rate": NUMBER},
        key="person",
        predict=units,
        prediction=PREDICTED,
        frame=frame,
        alike=align_shelf,
        minimum_rows=MIN_PEOPLE,
    ),
    MonitoredModel(
        name=SEGMENTS,
        table=PEOPLE,
        columns={
            "sex": FEW,
            "marital_status": FEW,
            "age": NUMBER,
            "education": FEW,
            "income": AMOUNT,
            "occupation": FEW,
            "settlement_size": FEW,
        },
        key="person",
        predict=segment_names,
        prediction=LIKELY,
        by_day=False,
        minimum_rows=MIN_PEOPLE,
    ),
)
