"""The domain `footfall`: visitors and buyers a day -> description, buyers predicted from visitors."""

from __future__ import annotations

from pipeline.training.spec import Domain, Headline, ModelEntry, imported

DOMAIN = Domain(
    name="footfall",
    input_table="footfall",
    features_table="footfall_features",
    results_table="footfall_predictions",
    models=(ModelEntry("footfall_buyers", imported("pipeline.footfall.specs:FOOTFALL_BUYERS")),),
    steps=imported("pipeline.footfall.steps"),
    endpoints=(imported("pipeline.footfall.endpoint:ENDPOINT"),),
    headlines=(
        Headline("days", "footfall_predictions", "count(*)"),
        Headline("visitors a day", "footfall_predictions", "avg(visitors)"),
        Headline("buyers a day", "footfall_predictions", "avg(buyers)"),
    ),
    labels=imported("pipeline.footfall.labels:LABELS"),
)
