"""The domain `stores`: sales of each store on each day -> a six-week forecast with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipeline.stores.candidates import CANDIDATES
from pipeline.training.spec import Domain, ModelEntry

if TYPE_CHECKING:
    from pipeline.endpoints import EndpointSpec
    from pipeline.training.spec import ModelSpec, Steps

MODEL = "store_sales"


def _sales() -> ModelSpec[Any]:
    from pipeline.stores.specs import STORE_SALES

    return STORE_SALES


def _steps() -> Steps:
    from pipeline.stores import steps

    return steps


def _endpoints() -> Sequence[EndpointSpec]:
    from pipeline.stores.endpoint import ENDPOINT

    return (ENDPOINT,)


DOMAIN = Domain(
    name="stores",
    input_table="store_days",
    other_inputs=("stores", "store_plans"),
    features_table="store_features",
    results_table="store_forecasts",
    models=(ModelEntry(MODEL, _sales, candidates=CANDIDATES),),
    steps=_steps,
    endpoints=_endpoints,
)
