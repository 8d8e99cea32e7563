"""The domain `customers`: invoice lines -> features, segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipeline.training.spec import Domain, ModelEntry

if TYPE_CHECKING:
    from pipeline.endpoints import EndpointSpec
    from pipeline.training.spec import ModelSpec, Steps


def _segments() -> ModelSpec[Any]:
    from pipeline.customers.specs import CUSTOMER_SEGMENTS

    return CUSTOMER_SEGMENTS


def _steps() -> Steps:
    from pipeline.customers import steps

    return steps


def _endpoints() -> Sequence[EndpointSpec]:
    from pipeline.customers.endpoint import ENDPOINT

    return (ENDPOINT,)


DOMAIN = Domain(
    name="customers",
    input_table="transactions",
    features_table="customer_features",
    results_table="customer_segments",
    models=(ModelEntry("customer_segments", _segments),),
    steps=_steps,
    endpoints=_endpoints,
)
