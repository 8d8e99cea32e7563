"""What is monitored of the domain's models.

Of the visit models it is the state of people before their next visit. The shelf is the same for all of them on a day:
its prices have no distribution to compare, and every promotion would move the predictions for everybody. So current
people are put in front of the reference day's shelf. Whether a model is still right at today's prices shows in its
error on the visits that have happened since.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.shoppers.domain import CHOICE, DOMAIN, PEOPLE, PROBABILITY, QUANTITY, SEGMENTS
from pipeline.shoppers.features import DEMOGRAPHICS, SHELF
from pipeline.shoppers.labels import LABELS, PREDICTIONS
from pipeline.shoppers.people_segments import SEGMENTS_FILE
from pipeline.shoppers.wide_frame import frame
from pipeline.training.monitored import AMOUNT, FEW, NUMBER, Method, MonitoredModel, Performance

if TYPE_CHECKING:
    from datetime import date

    from pipeline.registry.records import Loaded
    from pipeline.settings import Settings

MIN_PEOPLE = 300
"""Fewer than for other models. Two independent samples of 300 people exceed the thresholds in 2 % of comparisons, and
most people of two days are the same."""
JUDGED_DAYS, KEPT_DAYS, MIN_VISITS = 28, 7, 300
"""Visits of the newest four weeks are compared with predictions made at most a week before them."""
MAX_ERROR_RATIO = 1.2
"""The log-loss of 300 visits strays from its true value by 6 % (one standard error), of purchase rates like ours."""

LIKELY = Method("jensenshannon", 0.1, categorical=True, kind="prediction")
PREDICTED = Method("wasserstein", 0.2, kind="prediction")


def align_shelf(reference: pd.DataFrame, current: pd.DataFrame) -> pd.DataFrame:
    """The current people with the prices and promotions of the reference day, so that these do not count as drift."""
    shelf = [name for name in reference if name in SHELF or str(name).startswith(("prices:", "promotions:"))]
    return current.assign(**{str(name): reference[name].iloc[0] for name in shelf})


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
    """The name of each person's segment; `(unknown)` if one of the demographics is missing."""
    names = np.array([segment["name"] for segment in champion.artefacts[SEGMENTS_FILE]["segments"]], dtype=object)
    values = people[list(DEMOGRAPHICS)].astype("float64")
    known = values.notna().all(axis=1).to_numpy()
    found = np.full(len(people), "(unknown)", dtype=object)
    if known.any():
        found[known] = names[champion.model.predict(values[known])]
    return found.tolist()


def log_loss_since(settings: Settings, champion: Loaded, day: date) -> Performance | None:
    """The log-loss of the champion's predictions of visits that have happened since; None while they are too few.

    Each visit of the newest four weeks is compared with the last prediction for its person, the shelf of that day taken
    for the shelf of the visit. Predictions of another version, or from before the champion was trained, do not count.
    """
    from sklearn.metrics import log_loss

    from pipeline.lake.tables import Lake

    lake, trained = Lake(settings), champion.version.provenance.as_of
    since = max(trained, day - timedelta(days=JUDGED_DAYS))
    oldest = max(trained, since - timedelta(days=KEPT_DAYS))
    scored = [as_of for as_of in lake.days(DOMAIN.results_table) if oldest <= as_of < day]
    visited = [known for known in lake.days(DOMAIN.input_table) if since <= known < day]
    expected = champion.version.metrics.get("log_loss")
    if not scored or not visited or expected is None:
        return None
    predicted = lake.read(DOMAIN.results_table, where={"as_of": scored}).to_pandas()
    predicted = predicted[predicted[f"{PROBABILITY}_version"] == champion.version.version]
    actual = lake.read(DOMAIN.input_table, where={"day": visited}).to_pandas()
    for rows, column in ((predicted, "as_of"), (actual, "day")):
        rows[column] = pd.to_datetime(rows[column])
    both = pd.merge_asof(
        actual[["person", "day", "bought"]].sort_values("day"),
        predicted[["person", "as_of", "purchase_probability"]].sort_values("as_of"),
        left_on="day",
        right_on="as_of",
        by="person",
        tolerance=pd.Timedelta(days=KEPT_DAYS),
    ).dropna(subset=["purchase_probability"])
    if len(both) < MIN_VISITS:
        return None
    observed = float(log_loss(both["bought"].astype(np.int64), both["purchase_probability"], labels=[0, 1]))
    return Performance("log_loss", observed, expected, len(both), MAX_ERROR_RATIO)


MONITORED_PROBABILITY = MonitoredModel(
    table=DOMAIN.features_table,
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
    align=align_shelf,
    performance=log_loss_since,
    minimum_rows=MIN_PEOPLE,
    labels={**LABELS, "prediction": PREDICTIONS[PROBABILITY]},
)

MONITORED_CHOICE = MonitoredModel(
    table=DOMAIN.features_table,
    columns={"last_brand": FEW, "purchases": AMOUNT},
    key="person",
    predict=likely_brands,
    prediction=LIKELY,
    frame=frame,
    align=align_shelf,
    minimum_rows=MIN_PEOPLE,
    labels={**LABELS, "prediction": PREDICTIONS[CHOICE]},
)

MONITORED_QUANTITY = MonitoredModel(
    table=DOMAIN.features_table,
    columns={"last_brand": FEW, "purchases": AMOUNT, "units": AMOUNT, "purchase_rate": NUMBER},
    key="person",
    predict=units,
    prediction=PREDICTED,
    frame=frame,
    align=align_shelf,
    minimum_rows=MIN_PEOPLE,
    labels={**LABELS, "prediction": PREDICTIONS[QUANTITY]},
)

MONITORED_SEGMENTS = MonitoredModel(
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
    labels={**LABELS, "prediction": PREDICTIONS[SEGMENTS]},
)
