"""The domain `customers`: invoice lines -> features, segments, recommendations."""

from __future__ import annotations

from pipeline.training.spec import Domain, Headline, ModelEntry, OwnResults, imported

SEGMENTS, RECOMMENDATIONS = "customer_segments", "recommendations"
RECOMMENDATIONS_TABLE = "recommendations"

DOMAIN = Domain(
    name="customers",
    input_table="transactions",
    features_table="customer_features",
    results_table="customer_segments",
    models=(
        ModelEntry(SEGMENTS, imported("pipeline.customers.specs:CUSTOMER_SEGMENTS")),
        ModelEntry(
            RECOMMENDATIONS,
            imported("pipeline.customers.recommendations.specs:SPEC"),
            required=False,
            results=OwnResults(RECOMMENDATIONS_TABLE, imported("pipeline.customers.recommendations.nightly:lists")),
        ),
    ),
    steps=imported("pipeline.customers.steps"),
    endpoints=(imported("pipeline.customers.endpoint:ENDPOINT"),),
    headlines=(
        Headline("customers", "customer_features", "count(*)"),
        Headline("revenue of their year", "customer_features", "sum(revenue)"),
    ),
)
