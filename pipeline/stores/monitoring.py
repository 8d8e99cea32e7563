"""What is watched of the domain's model, see `pipeline.monitoring.watch`.

Days drift by themselves: every December looks unlike the summer before. So it is stores that are compared, each once:
where it stands against its own linear model, which knows season, weekday and promotion, and by how much the champion
departs from that model, asked about the same days of the year as at its training. Stores move together (a warm week is
warm for all) and departures are small, hence the wide thresholds. Six weeks of the open data in which the error grew by
5 % and nothing had happened moved levels by 0.34 and departures by 0.80.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.monitoring.drift import NUMBER, Method, Performance
from pipeline.monitoring.watch import MonitoredModel
from pipeline.stores.calendar import CALENDAR_COLUMNS
from pipeline.stores.levels import LAST_YEAR_COLUMNS
from pipeline.stores.steps import FEATURES_TABLE, INPUT_TABLE, MODEL, SCORES_TABLE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    import pyarrow as pa

    from pipeline.registry.records import Loaded, ModelVersion
    from pipeline.settings import Settings

MIN_STORES = 300
JUDGED_DAYS, MIN_STORE_DAYS = 28, 200
MAX_ERROR_RATIO = 1.5
"""On the open data six weeks differ that much without a fault: RMSPE 0.157 in late winter, 0.102 before Easter."""
LEVEL = Method("wasserstein", 0.5)
OF_THE_DAY = (*CALENDAR_COLUMNS, *LAST_YEAR_COLUMNS, "ahead")
"""The features that tell of the day, and of last year around it, not of how the store fares now."""


def departures(champion: Loaded, rows: pd.DataFrame) -> Sequence[float]:
    """By how much, in logs, the champion departs from each row's linear forecast."""
    said: list[float] = (np.log(champion.model.predict(rows)) - rows["linear"]).tolist()
    return said


def align_days(then: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """The stores of now that were there then, before the days of then."""
    there = now[now["store"].isin(then["store"])]
    days = then.set_index("store").loc[there["store"], list(OF_THE_DAY)]
    return there.assign(**{name: days[name].to_numpy() for name in OF_THE_DAY})


def first_days(rows: pa.Table) -> pd.DataFrame:
    """The first planned open day of each store: what a store's state is, is the same on all of them."""
    features: pd.DataFrame = rows.to_pandas()
    return features.sort_values(["store", "day"]).drop_duplicates("store")


def error_since(settings: Settings, champion: ModelVersion, day: date) -> Performance | None:
    """RMSPE of the newest four weeks, each store day against the last forecast of it; None while they are too few.

    What another version forecast does not count.
    """
    from pipeline.lake.tables import Lake
    from pipeline.stores.backtest import error_metrics

    lake = Lake(settings)
    since = day - timedelta(days=JUDGED_DAYS)
    came = [known for known in lake.days(INPUT_TABLE) if since <= known < day]
    made = [known for known in lake.days(SCORES_TABLE) if champion.provenance.as_of <= known < day]
    expected = champion.metrics.get("rmspe")
    if not came or not made or expected is None:
        return None
    said = lake.read(SCORES_TABLE, where={"made_on": made}).to_pandas()
    said = said[(said["model_version"] == champion.version) & said["open"] & (said["day"] >= since)]
    last = said.sort_values("made_on").drop_duplicates(["store", "day"], keep="last")
    sold = lake.read(INPUT_TABLE, where={"day": came}).to_pandas()
    both = last.merge(sold.loc[sold["sales"] > 0, ["store", "day", "sales"]], on=["store", "day"])
    if len(both) < MIN_STORE_DAYS:
        return None
    observed = error_metrics(both["sales"].to_numpy(float), both["mean"].to_numpy(float))["rmspe"]
    return Performance("rmspe", observed, expected, len(both), MAX_ERROR_RATIO)


MONITORED = (
    MonitoredModel(
        name=MODEL,
        table=FEATURES_TABLE,
        columns={
            "level_28": LEVEL,
            "effect_promo": NUMBER,
            "sales_a_customer": NUMBER,
            "scale": NUMBER,
            "store_level": NUMBER,
        },
        key="store",
        predict=departures,
        prediction=Method("wasserstein", 1.5, kind="prediction"),
        frame=first_days,
        alike=align_days,
        performance=error_since,
        minimum_rows=MIN_STORES,
    ),
)
