"""The domain `shoppers`: visits of known people -> purchase probability, brand choice, quantity, segments of people."""

from __future__ import annotations

from pipeline.training.spec import Domain, Headline, ModelEntry, imported

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

DOMAIN = Domain(
    name="shoppers",
    input_table="visits",
    other_inputs=(PEOPLE,),
    features_table="shopper_features",
    results_table="shopper_scores",
    models=(
        ModelEntry(PROBABILITY, imported("pipeline.shoppers.specs:PURCHASE_PROBABILITY")),
        ModelEntry(CHOICE, imported("pipeline.shoppers.specs:BRAND_CHOICE")),
        ModelEntry(QUANTITY, imported("pipeline.shoppers.specs:PURCHASE_QUANTITY")),
        ModelEntry(SEGMENTS, imported("pipeline.shoppers.specs:PEOPLE_SEGMENTS"), raw_input=PEOPLE, required=False),
    ),
    steps=imported("pipeline.shoppers.steps"),
    endpoints=(
        imported("pipeline.shoppers.endpoint:ENDPOINT"),
        imported("pipeline.shoppers.shelf_endpoint:ENDPOINT"),
    ),
    headlines=(
        Headline("people", "shopper_scores", "count(*)"),
        Headline("units expected next week", "shopper_scores", "sum(weekly_units)"),
    ),
    labels=imported("pipeline.shoppers.labels:LABELS"),
)
