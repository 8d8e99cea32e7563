"""Whether the segmentation finds the kinds of customers that are planted in the simulated shop.

    python -m benchmarks.planted_segments [--customers 900]

A year of two shops for each of three seeds: the usual one, whose kinds overlap in what they do, and one with
`distinct=1`, where a year of purchases tells them apart. All figures are adjusted Rand indices with the planted kinds:

    forest    a random forest that is told the kinds, cross-validated in five folds on all features
    own k     the segmentation as it is trained, with the number of segments that it chooses
    best k    the same k-means with the number of segments, 2 to 12, that agrees best
"""

from __future__ import annotations

import argparse
from datetime import date
from typing import TYPE_CHECKING

from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import cross_val_predict

from pipeline.customers.features import FEATURE_COLUMNS, customer_features
from pipeline.customers.segments import SEGMENT_FEATURES, build_pipeline, train
from pipeline.lake import engine
from pipeline.settings import Settings
from pipeline.simulate.shop import Shop
from tests.customers.shop import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

OPENED, AS_OF = date(2024, 1, 1), date(2025, 1, 1)
SEEDS = (7, 8, 9)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each shop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=900)
    customers = parser.parse_args(arguments).customers
    print("shop      seed  customers  forest  own k  index  best k  index")
    for distinct in (False, True):
        for seed in SEEDS:
            shop = Shop(seed=seed, customers=customers, opened=OPENED, distinct=distinct)
            features = features_of(shop)
            planted = shop.truth(AS_OF).set_index("customer_id").loc[features["customer_id"], "segment"].to_numpy()
            own = train(features, seed=seed)
            index = adjusted_rand_score(planted, own.model.predict(features))
            inputs = features[list(SEGMENT_FEATURES)]
            each = {k: adjusted_rand_score(planted, build_pipeline(k, seed).fit_predict(inputs)) for k in range(2, 13)}
            best = max(each, key=lambda k: each[k])
            told = cross_val_predict(
                RandomForestClassifier(200, min_samples_leaf=2, random_state=seed),
                features[list(FEATURE_COLUMNS)].fillna(0),
                planted,
                cv=5,
            )
            forest = adjusted_rand_score(planted, told)
            print(
                f"{'distinct' if distinct else 'usual':8}  {seed:4}  {len(features):9,}  {forest:6.3f}  "
                f"{own.choice.k:5}  {index:5.3f}  {best:6}  {each[best]:5.3f}"
            )


def features_of(shop: Shop) -> pd.DataFrame:
    """The features as of a year after the opening, by customer_id."""
    expression = customer_features(clean(shop.lines(OPENED, AS_OF)), AS_OF, home_country="United Kingdom")
    rows: pd.DataFrame = engine.connect(Settings()).to_pandas(expression)
    return rows.sort_values("customer_id", ignore_index=True)


if __name__ == "__main__":
    main()
