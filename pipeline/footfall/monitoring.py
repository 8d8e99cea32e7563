"""What is watched of the domain's model, see `pipeline.monitoring.watch`.

The model knows days, and there are few: the days since it was made are compared with the days that it was made from.
Two samples of 56 days from one population are half a standard deviation apart once in a hundred times (99th
percentile of 400 draws: 0.40 to 0.52), hence that threshold and that minimum. Days without a date are never new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.footfall.steps import FEATURES_TABLE, MODEL
from pipeline.monitoring.drift import Method, Performance
from pipeline.monitoring.watch import MonitoredModel

if TYPE_CHECKING:
    from datetime import date

    from pipeline.registry.records import Loaded, ModelVersion
    from pipeline.settings import Settings

MIN_DAYS = 56
JUDGED_DAYS, MIN_JUDGED = 28, 14
MAX_ERROR_RATIO = 1.5
"""Of 14 days with normal errors the RMSE is 1.44 times its true value once in a hundred times."""


def buyers(champion: Loaded, days: pd.DataFrame) -> list[float]:
    """The buyers of each day."""
    said: list[float] = champion.model.predict(days[list(champion.version.provenance.features)]).tolist()
    return said


def error_since(settings: Settings, champion: ModelVersion, day: date) -> Performance | None:
    """The RMSE on the newest days that came after the champion was made; None while they are fewer than two weeks."""
    from pipeline.footfall.buyers import measure
    from pipeline.lake.tables import Lake
    from pipeline.registry.client import Registry

    days = Lake(settings).read(FEATURES_TABLE, where={"as_of": [day]}).to_pandas()
    came = days[pd.to_datetime(days["day"]) >= pd.Timestamp(champion.provenance.as_of)]
    expected = champion.metrics.get("rmse")
    if len(came) < MIN_JUDGED or expected is None:
        return None
    newest = came.sort_values("day").tail(JUDGED_DAYS)
    said = np.array(buyers(Registry(settings).load(MODEL, champion.version), newest))
    observed = measure(newest["buyers"].to_numpy(), said)["rmse"]
    return Performance("rmse", observed, expected, len(newest), MAX_ERROR_RATIO)


MONITORED = (
    MonitoredModel(
        name=MODEL,
        table=FEATURES_TABLE,
        columns={"visitors": Method("wasserstein", 0.5)},
        key="number",
        predict=buyers,
        prediction=Method("wasserstein", 0.5, kind="prediction"),
        arrived="day",
        performance=error_since,
        minimum_rows=MIN_DAYS,
    ),
)
