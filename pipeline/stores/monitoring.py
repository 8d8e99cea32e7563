"""What is monitored of the domain's model.

Days drift by themselves: every December looks unlike the summer before. So it is stores that are compared, each once:
its level relative to its own linear model, which knows season, weekday and promotion, and by how much the champion
departs from that model on the same days of the year as at its training. Stores move together (a warm week is
warm for all) and departures are small, hence the wide thresholds. Six weeks of the open data in which the error grew by
5 % and nothing had happened moved levels by 0.34 and departures by 0.80.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.stores.calendar import CALENDAR_COLUMNS
from pipeline.stores.chain import relative_name
from pipeline.stores.domain import DOMAIN, MODEL
from pipeline.stores.labels import LABELS, PREDICTIONS
from pipeline.stores.levels import LAST_YEAR_COLUMNS
from pipeline.training.monitored import NUMBER, Method, MonitoredModel, Performance

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    import pyarrow as pa

    from pipeline.registry.records import Loaded
    from pipeline.settings import Settings

MIN_STORES = 300
JUDGED_DAYS, MIN_STORE_DAYS = 28, 200
MAX_ERROR_RATIO = 1.5
"""On the open data six weeks differ that much without a fault: RMSPE 0.157 in late winter, 0.102 before Easter."""
LEVEL = Method("wasserstein", 0.5)
OF_THE_DAY = (*CALENDAR_COLUMNS, *LAST_YEAR_COLUMNS, *map(relative_name, LAST_YEAR_COLUMNS), "ahead")
"""The features that describe the day, and last year around it, not how the store performs now."""


def departures(champion: Loaded, rows: pd.DataFrame) -> Sequence[float]:
    """By how much, in logs, the champion departs from each row's linear forecast."""
    departed: list[float] = (np.log(champion.model.predict(rows)) - rows["linear"]).tolist()
    return departed


def align_days(reference: pd.DataFrame, current: pd.DataFrame) -> pd.DataFrame:
    """The stores that the reference has too, in their current state but on the reference's days (`OF_THE_DAY`)."""
    common = current[current["store"].isin(reference["store"])]
    days = reference.set_index("store").loc[common["store"], list(OF_THE_DAY)]
    return common.assign(**{name: days[name].to_numpy() for name in OF_THE_DAY})


def first_days(rows: pa.Table) -> pd.DataFrame:
    """The first planned open day of each store: a store's state is the same on all of them."""
    features: pd.DataFrame = rows.to_pandas()
    return features.sort_values(["store", "day"]).drop_duplicates("store")


def error_since(settings: Settings, champion: Loaded, day: date) -> Performance | None:
    """RMSPE of the newest four weeks, each store day against its last forecast; None while there are too few.

    Forecasts of another version do not count.
    """
    from pipeline.lake.tables import Lake
    from pipeline.stores.backtest import error_metrics

    lake, version = Lake(settings), champion.version
    since = day - timedelta(days=JUDGED_DAYS)
    sold = [known for known in lake.days(DOMAIN.input_table) if since <= known < day]
    scored = [as_of for as_of in lake.days(DOMAIN.results_table) if version.provenance.as_of <= as_of < day]
    expected = version.metrics.get("rmspe")
    if not sold or not scored or expected is None:
        return None
    forecasts = lake.read(DOMAIN.results_table, where={"as_of": scored}).to_pandas()
    own = forecasts["model_version"] == version.version
    forecasts = forecasts[own & forecasts["open"] & (forecasts["day"] >= since)]
    last = forecasts.sort_values("as_of").drop_duplicates(["store", "day"], keep="last")
    actual = lake.read(DOMAIN.input_table, where={"day": sold}).to_pandas()
    both = last.merge(actual.loc[actual["sales"] > 0, ["store", "day", "sales"]], on=["store", "day"])
    if len(both) < MIN_STORE_DAYS:
        return None
    observed = error_metrics(both["sales"].to_numpy(float), both["mean"].to_numpy(float))["rmspe"]
    return Performance("rmspe", observed, expected, len(both), MAX_ERROR_RATIO)


MONITORED = MonitoredModel(
    table=DOMAIN.features_table,
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
    align=align_days,
    performance=error_since,
    minimum_rows=MIN_STORES,
    labels={**LABELS, "prediction": PREDICTIONS[MODEL]},
)
