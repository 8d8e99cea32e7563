"""What is monitored of the domain's model.

The model is trained on days, of which there are few: the days since its training are compared with the days it was
trained on. Two samples of 56 days from one population are half a standard deviation apart once in a hundred times (99th
percentile of 400 draws: 0.40 to 0.52), hence that threshold and that minimum. Days without a date are never new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.footfall.domain import DOMAIN
from pipeline.footfall.labels import LABELS, PREDICTIONS
from pipeline.training.monitored import Method, MonitoredModel, Performance

if TYPE_CHECKING:
    from datetime import date

    from pipeline.registry.records import Loaded
    from pipeline.settings import Settings

MIN_DAYS = 56
JUDGED_DAYS, MIN_JUDGED = 28, 14
MAX_ERROR_RATIO = 1.5
"""Of 14 days with normal errors the RMSE is 1.44 times its true value once in a hundred times."""


def buyers(champion: Loaded, days: pd.DataFrame) -> list[float]:
    """The predicted buyers of each day."""
    predicted: list[float] = champion.model.predict(days[list(champion.version.provenance.features)]).tolist()
    return predicted


def error_since(settings: Settings, champion: Loaded, day: date) -> Performance | None:
    """The RMSE on the newest days from the champion's as-of day on; None while they are fewer than two weeks."""
    from pipeline.footfall.buyers import measure
    from pipeline.lake.tables import Lake

    days = Lake(settings).read(DOMAIN.features_table, where={"as_of": [day]}).to_pandas()
    new = days[pd.to_datetime(days["day"]) >= pd.Timestamp(champion.version.provenance.as_of)]
    expected = champion.version.metrics.get("rmse")
    if len(new) < MIN_JUDGED or expected is None:
        return None
    newest = new.sort_values("day").tail(JUDGED_DAYS)
    observed = measure(newest["buyers"].to_numpy(), np.array(buyers(champion, newest)))["rmse"]
    return Performance("rmse", observed, expected, len(newest), MAX_ERROR_RATIO)


MONITORED = MonitoredModel(
    table=DOMAIN.features_table,
    columns={"visitors": Method("wasserstein", 0.5)},
    key="number",
    predict=buyers,
    prediction=Method("wasserstein", 0.5, kind="prediction"),
    new_rows_since="day",
    performance=error_since,
    minimum_rows=MIN_DAYS,
    labels={**LABELS, "prediction": PREDICTIONS["footfall_buyers"]},
)
