"""The domain `customers`: invoice lines -> features, segments."""

from __future__ import annotations

from pipeline.training.spec import Domain, ModelEntry, imported

DOMAIN = Domain(
    name="customers",
    input_table="transactions",
    features_table="customer_features",
    results_table="customer_segments",
    models=(ModelEntry("customer_segments", imported("pipeline.customers.specs:CUSTOMER_SEGMENTS")),),
    steps=imported("pipeline.customers.steps"),
    endpoints=(imported("pipeline.customers.endpoint:ENDPOINT"),),
)
