"""What is monitored of the domain's model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.customers.domain import DOMAIN, SEGMENTS
from pipeline.customers.labels import LABELS, PREDICTIONS
from pipeline.customers.segment_map import SEGMENTS_FILE
from pipeline.training.monitored import AMOUNT, FEW, MANY, NUMBER, Method, MonitoredModel

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.registry.records import Loaded


def segment_names(champion: Loaded, features: pd.DataFrame) -> list[str]:
    """The name of each customer's segment."""
    names = [segment["name"] for segment in champion.artefacts[SEGMENTS_FILE]["segments"]]
    positions = champion.model.predict(features[list(champion.version.provenance.features)])
    return [names[position] for position in positions]


MONITORED = MonitoredModel(
    table=DOMAIN.features_table,
    columns={
        "recency_days": NUMBER,
        "invoices": AMOUNT,
        "units": AMOUNT,
        "revenue": AMOUNT,
        "average_ticket": AMOUNT,
        "distinct_products": AMOUNT,
        "days_between_invoices": NUMBER,
        "favourite_weekday": FEW,
        "favourite_hour": MANY,
        "is_home_country": FEW,
        "cancellations": AMOUNT,
        "cancellation_rate": NUMBER,
        "monthly_spend_mean": AMOUNT,
        "monthly_spend_std": AMOUNT,
        "monthly_spend_trend": AMOUNT,
        "return_units": AMOUNT,
        "purchase_frequency": AMOUNT,
        "median_basket_units": AMOUNT,
    },
    key="customer_id",
    predict=segment_names,
    prediction=Method("jensenshannon", 0.1, categorical=True, kind="prediction"),
    labels={**LABELS, "prediction": PREDICTIONS[SEGMENTS]},
)
