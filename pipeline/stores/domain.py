"""The domain `stores`: sales of each store on each day -> a six-week forecast with intervals."""

from __future__ import annotations

from pipeline.stores.candidates import CANDIDATES
from pipeline.training.spec import Domain, Headline, ModelEntry, OwnResults, imported

MODEL = "store_sales"
SUMS_TABLE = "store_forecast_sums"

DOMAIN = Domain(
    name="stores",
    input_table="store_days",
    other_inputs=("stores", "store_plans"),
    features_table="store_features",
    results_table="store_forecasts",
    models=(
        ModelEntry(
            MODEL,
            imported("pipeline.stores.specs:STORE_SALES"),
            candidates=CANDIDATES,
            results=(OwnResults(SUMS_TABLE, imported("pipeline.stores.planned_sums:score_sums")),),
        ),
    ),
    steps=imported("pipeline.stores.steps"),
    endpoints=(imported("pipeline.stores.endpoint:ENDPOINT"), imported("pipeline.stores.store_endpoint:ENDPOINT")),
    headlines=(
        Headline("stores with a forecast", "store_forecasts", "count(DISTINCT store)"),
        Headline("sales forecast for the planned days", "store_forecasts", "sum(mean)", money=True),
    ),
    labels=imported("pipeline.stores.labels:LABELS"),
    search="store",
)
