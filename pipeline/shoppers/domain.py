"""The domain `shoppers`: visits of known people -> purchase probability, brand choice, quantity, segments of people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipeline.training.spec import Domain, ModelEntry

if TYPE_CHECKING:
    from pipeline.endpoints import EndpointSpec
    from pipeline.training.spec import ModelSpec, Steps

PEOPLE = "people"
PROBABILITY, CHOICE, QUANTITY = "purchase_probability", "brand_choice", "purchase_quantity"
CHAIN = (PROBABILITY, CHOICE, QUANTITY)
"""The models of a visit, in the order in which one needs the other (see `what_if`)."""
SEGMENTS = "people_segments"
TRUSTED_TYPES = (
    "pipeline.shoppers.brand_choice.BrandChoice",
    "pipeline.shoppers.estimation.ConditionalLogit",
    "pipeline.shoppers.estimation.Glm",
    "pipeline.shoppers.purchase_quantity.PurchaseQuantity",
    "pipeline.shoppers.splines.LinearSplines",
)
"""Types that the files of the visit models may hold."""


def _probability() -> ModelSpec[Any]:
    from pipeline.shoppers.specs import PURCHASE_PROBABILITY

    return PURCHASE_PROBABILITY


def _choice() -> ModelSpec[Any]:
    from pipeline.shoppers.specs import BRAND_CHOICE

    return BRAND_CHOICE


def _quantity() -> ModelSpec[Any]:
    from pipeline.shoppers.specs import PURCHASE_QUANTITY

    return PURCHASE_QUANTITY


def _segments() -> ModelSpec[Any]:
    from pipeline.shoppers.specs import PEOPLE_SEGMENTS

    return PEOPLE_SEGMENTS


def _steps() -> Steps:
    from pipeline.shoppers import steps

    return steps


def _endpoints() -> Sequence[EndpointSpec]:
    from pipeline.shoppers.endpoint import ENDPOINT

    return (ENDPOINT,)


DOMAIN = Domain(
    name="shoppers",
    input_table="visits",
    other_inputs=(PEOPLE,),
    features_table="shopper_features",
    results_table="shopper_scores",
    models=(
        ModelEntry(PROBABILITY, _probability),
        ModelEntry(CHOICE, _choice),
        ModelEntry(QUANTITY, _quantity),
        ModelEntry(SEGMENTS, _segments, raw_input=PEOPLE, required=False),
    ),
    steps=_steps,
    endpoints=_endpoints,
)
