"""The domain `customers`: invoice lines -> features, segments, recommendations, expected value."""

from __future__ import annotations

from pipeline.training.spec import Domain, Headline, ModelEntry, OwnResults, imported

SEGMENTS, RECOMMENDATIONS = "customer_segments", "recommendations"
RECOMMENDATIONS_TABLE = "recommendations"
CUSTOMER_VALUE = "customer_value"
VALUE_TABLE = "customer_value"
MOVEMENTS_TABLE = "segment_movements"
PROGRAMME_TABLE = "loyalty_programme"

DOMAIN = Domain(
    name="customers",
    input_table="transactions",
    features_table="customer_features",
    results_table="customer_segments",
    models=(
        ModelEntry(
            SEGMENTS,
            imported("pipeline.customers.specs:CUSTOMER_SEGMENTS"),
            results=(
                OwnResults(MOVEMENTS_TABLE, imported("pipeline.customers.movements:score")),
                OwnResults(PROGRAMME_TABLE, imported("pipeline.customers.programme:score")),
            ),
        ),
        ModelEntry(
            RECOMMENDATIONS,
            imported("pipeline.customers.recommendations.specs:SPEC"),
            required=False,
            results=(OwnResults(RECOMMENDATIONS_TABLE, imported("pipeline.customers.recommendations.nightly:lists")),),
        ),
        ModelEntry(
            CUSTOMER_VALUE,
            imported("pipeline.customers.value.specs:SPEC"),
            required=False,
            results=(OwnResults(VALUE_TABLE, imported("pipeline.customers.value.specs:score")),),
        ),
    ),
    steps=imported("pipeline.customers.steps"),
    endpoints=(
        imported("pipeline.customers.endpoint:ENDPOINT"),
        imported("pipeline.customers.recommendations.endpoint:ENDPOINT"),
        imported("pipeline.customers.customer_endpoint:ENDPOINT"),
    ),
    headlines=(
        Headline("customers", "customer_features", "count(*)"),
        Headline("revenue of their year", "customer_features", "sum(revenue)", money=True),
    ),
    labels=imported("pipeline.customers.labels:LABELS"),
    search="customer",
)
