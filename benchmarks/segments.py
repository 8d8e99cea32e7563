"""Whether the choice of segments stays: one training after another on UCI Online Retail, each as of a later day.

    AISLE_SOURCES=examples/open-data/sources.yaml AISLE_DATA=… AISLE_HOME=… aisle ingest transactions --all
    python -m benchmarks.segments

Each training has the one before as its champion. `agreement` is the adjusted Rand index of the two on the same
customers; the other figures are those that the gate measures. `alone` is the k of the same training without a champion.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from sklearn.metrics import adjusted_rand_score

from pipeline.customers.segments import SegmentModel, segment_quality, train
from pipeline.customers.steps import build_features
from pipeline.lake.tables import Lake
from pipeline.settings import Settings
from pipeline.training.spec import Run

if TYPE_CHECKING:
    import pandas as pd

DAYS = (
    *(date(2011, month, 1) for month in range(6, 12)),
    *(date(2011, 11, 15), date(2011, 12, 1), date(2011, 12, 10)),
)


def features_as_of(settings: Settings, day: date) -> pd.DataFrame:
    """The features of `transactions` in the home of the settings."""
    version = Lake(settings).version("transactions")
    return build_features(Run(settings, day, {"transactions": version})).to_pandas()


def main() -> None:
    """Train as of each day and print a row for it."""
    settings = Settings()
    champion: SegmentModel | None = None
    print("as of       customers  k  alone  silhouette  stability  smallest  agreement  names")
    for day in DAYS:
        features = features_as_of(settings, day)
        training = train(features, seed=settings.seed, champion=champion)
        quality = segment_quality(training.model.pipeline, features, settings.seed)
        agreement = adjusted_rand_score(champion.predict(features), training.model.predict(features)) if champion else 1
        alone = train(features, seed=settings.seed).choice.k if champion else training.choice.k
        names = ", ".join(sorted(segment.name for segment in training.model.map.segments))
        print(
            f"{day}  {len(features):9,}  {training.choice.k}  {alone:5}  {quality['silhouette']:10.3f}  "
            f"{quality['stability']:9.3f}  {quality['smallest_share']:8.1%}  {agreement:9.3f}  {names}"
        )
        champion = training.model


if __name__ == "__main__":
    main()
