"""The domain `footfall`: visitors and buyers a day -> description, buyers predicted from visitors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipeline.training.spec import Domain, ModelEntry

if TYPE_CHECKING:
    from pipeline.endpoints import EndpointSpec
    from pipeline.training.spec import ModelSpec, Steps


def _buyers() -> ModelSpec[Any]:
    from pipeline.footfall.specs import FOOTFALL_BUYERS

    return FOOTFALL_BUYERS


def _steps() -> Steps:
    from pipeline.footfall import steps

    return steps


def _endpoints() -> Sequence[EndpointSpec]:
    from pipeline.footfall.endpoint import ENDPOINT

    return (ENDPOINT,)


DOMAIN = Domain(
    name="footfall",
    input_table="footfall",
    features_table="footfall_features",
    results_table="footfall_predictions",
    models=(ModelEntry("footfall_buyers", _buyers),),
    steps=_steps,
    endpoints=_endpoints,
)
