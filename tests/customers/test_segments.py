"""The model: planted customers found, identity kept, saved and loaded safely, the same each time."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import ibis
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.metrics import adjusted_rand_score

from pipeline.customers.choose_k import Floors, _decide
from pipeline.customers.features import FEATURE_COLUMNS, customer_features
from pipeline.customers.segments import (
    SEGMENT_FEATURES,
    TRUSTED_TYPES,
    LogSkewed,
    SegmentModel,
    _describe,
    build_pipeline,
    segment_quality,
    train,
)
from pipeline.errors import RefusedError
from pipeline.simulate.shop import Shop
from tests.customers.shop import clean

# recency_days, invoices, revenue, median_basket_units, cancellation_rate, purchase_frequency
KINDS = {
    "insiders": (8, 18, 12_000, 250, 0.05, 2.0),
    "newcomers": (12, 1.5, 400, 120, 0.02, 1.5),
    "lapsed": (220, 1.5, 150, 60, 0.02, 0.2),
    "returners": (90, 3, 900, 150, 0.45, 0.4),
    "bulk buyers": (120, 2, 2_500, 1_500, 0.02, 0.3),
}
SIZES = (60, 90, 150, 80, 70)


def shop(seed: int = 1, kinds: tuple[str, ...] = tuple(KINDS), first: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Customers of known kinds, lognormal around each kind's centre, in random order; and the kind of each."""
    rng = np.random.default_rng(seed)
    sizes = [size for kind, size in zip(KINDS, SIZES, strict=True) if kind in kinds]
    truth = rng.permutation(np.repeat(np.arange(len(kinds)), sizes))
    frame = pd.DataFrame(rng.lognormal(1, 0.5, (len(truth), len(FEATURE_COLUMNS))), columns=list(FEATURE_COLUMNS))
    for i, feature in enumerate(SEGMENT_FEATURES):
        frame[feature] = np.array([KINDS[kind][i] for kind in kinds])[truth] * rng.lognormal(0, 0.2, len(truth))
    frame.insert(0, "customer_id", [f"C{first + i:05d}" for i in range(len(truth))])
    return frame, truth


@pytest.fixture(scope="module")
def champion() -> SegmentModel:
    return train(shop()[0], seed=7).model


def identities(model: SegmentModel) -> dict[int, str]:
    return {segment.segment_id: segment.name for segment in model.map.segments}


def test_the_kinds_of_a_shop_that_tells_them_apart_are_found() -> None:
    shop, as_of = Shop(customers=250, opened=date(2024, 1, 1), distinct=True), date(2025, 1, 1)
    lines = clean(shop.lines(shop.opened, as_of))
    features = ibis.duckdb.connect().to_pandas(customer_features(lines, as_of, home_country="United Kingdom"))
    training = train(features, seed=7)
    planted = shop.truth(as_of).set_index("customer_id").loc[features["customer_id"], "segment"]
    assert adjusted_rand_score(planted, training.model.predict(features)) > 0.85


def test_planted_customers_are_recovered_and_named(champion: SegmentModel) -> None:
    frame, truth = shop()
    assert adjusted_rand_score(truth, champion.predict(frame)) > 0.95
    assert set(identities(champion).values()) == set(KINDS)
    named = pd.Series(champion.predict(frame)).map(identities(champion))
    assert (named == np.array(list(KINDS))[truth]).mean() > 0.97


def test_segments_add_up_to_all_customers(champion: SegmentModel) -> None:
    frame, _ = shop()
    segments = champion.map.segments
    assert sum(s.customers for s in segments) == len(frame)
    assert sum(s.revenue for s in segments) == pytest.approx(frame.revenue.sum())
    assert sum(s.share for s in segments) == pytest.approx(1)
    assert sum(s.revenue_share for s in segments) == pytest.approx(1)
    assert sorted(s.segment_id for s in segments) == list(range(1, len(segments) + 1))
    best = max(segments, key=lambda s: s.revenue_per_customer)
    assert (best.name, best.segment_id) == ("insiders", 1)
    assert set(best.profile) == set(FEATURE_COLUMNS)


def test_same_seed_same_model_whatever_the_order_of_rows(champion: SegmentModel) -> None:
    frame, _ = shop()
    again = train(frame.sample(frac=1, random_state=5), seed=7)
    assert again.model.map == champion.map


def test_identity_survives_other_customers_and_another_seed(champion: SegmentModel) -> None:
    again = train(shop(seed=2, first=10_000)[0], seed=99, champion=champion).model
    assert identities(again) == identities(champion)
    assert again.map.next_id == champion.map.next_id
    assert all(segment.overlap and segment.overlap > 0.8 for segment in again.map.segments)


def test_one_more_kind_of_customer_gets_a_new_id_and_leaves_the_others_theirs() -> None:
    fewer = tuple(kind for kind in KINDS if kind != "returners")
    before = train(shop(kinds=fewer)[0], seed=7).model
    after = train(shop()[0], seed=7, champion=before).model
    assert identities(before).items() <= identities(after).items()
    new = identities(after).keys() - identities(before).keys()
    assert new == {before.map.next_id}
    assert identities(after)[before.map.next_id] == "returners"


def test_id_of_a_segment_that_went_is_never_given_again(champion: SegmentModel) -> None:
    fewer = tuple(kind for kind in KINDS if kind != "returners")
    gone = next(s.segment_id for s in champion.map.segments if s.name == "returners")
    without = train(shop(kinds=fewer)[0], seed=7, champion=champion).model
    back = train(shop()[0], seed=7, champion=without).model
    assert gone not in identities(without)
    assert gone not in identities(back)
    assert max(identities(back)) == champion.map.next_id


def test_insiders_follow_the_revenue_when_another_segment_overtakes(champion: SegmentModel) -> None:
    frame, truth = shop()
    bulk = list(KINDS).index("bulk buyers")
    frame.loc[truth == bulk, "revenue"] *= 20
    after = train(frame, seed=7, champion=champion).model
    best = max(after.map.segments, key=lambda s: s.revenue_per_customer)
    assert best.name == "insiders"
    assert len(set(identities(after).values())) == len(after.map.segments)


def test_missing_column_and_values_that_are_no_numbers_are_refused() -> None:
    frame, _ = shop()
    with pytest.raises(RefusedError, match="invoices"):
        train(frame.drop(columns="invoices"), seed=7)
    frame.loc[3, "revenue"] = np.nan
    with pytest.raises(RefusedError, match="'revenue': 1"):
        train(frame, seed=7)


def test_skops_round_trip_trusts_exactly_our_list(champion: SegmentModel) -> None:
    frame = shop()[0][list(SEGMENT_FEATURES)]
    saved = skops.io.dumps(champion.pipeline)
    assert set(skops.io.get_untrusted_types(data=saved)) <= set(TRUSTED_TYPES)
    loaded = skops.io.loads(saved, trusted=list(TRUSTED_TYPES))
    np.testing.assert_array_equal(loaded.predict(frame), champion.pipeline.predict(frame))
    assert list(loaded.feature_names_in_) == list(SEGMENT_FEATURES)


def test_without_countries_customers_are_segmented_in_the_same_way(champion: SegmentModel) -> None:
    unknown = shop()[0].assign(is_home_country=np.nan)
    model = train(unknown, seed=7).model
    assert model.predict(unknown).tolist() == champion.predict(shop()[0]).tolist()
    assert {segment.profile["is_home_country"] for segment in model.map.segments} == {None}
    json.dumps(model.map.to_record(), allow_nan=False)


def test_log_goes_where_it_takes_skewness_away() -> None:
    rng = np.random.default_rng(0)
    long_right = rng.lognormal(3, 1.5, 2_000)
    columns = (
        rng.normal(size=2_000),
        long_right,
        -long_right,
        -(rng.exponential(size=2_000) ** 2) + 90,
        np.ones(2_000),
    )
    values = np.column_stack(columns)
    log = LogSkewed().fit(values)
    assert log.logged_.tolist() == [False, True, True, False, False]
    np.testing.assert_allclose(log.transform(values)[:, 2], -np.log1p(long_right))
    np.testing.assert_array_equal(log.transform(values)[:, 0], values[:, 0])


def test_the_model_logs_the_same_columns_whatever_their_skewness(champion: SegmentModel) -> None:
    assert champion.map.logged == (False, True, True, True, True, True)
    frame, _ = shop()
    skewed = frame.assign(recency_days=np.exp(frame.recency_days / 40), revenue=frame.index + 0.0)
    assert train(skewed, seed=7).model.map.logged == champion.map.logged


def test_number_of_segments_in_use_stays_in_a_cloud_that_has_no_number() -> None:
    frame, _ = shop(kinds=("lapsed",))
    floors = Floors(stability=0, smallest_share=0)
    alone = train(frame, seed=7, floors=floors).choice
    other = next(p.k for p in alone.curve if p.k != alone.k and _decide(alone.curve, alone.elbow, p.k)[0] == p.k)
    pipeline = build_pipeline(other, 7).fit(frame[list(SEGMENT_FEATURES)])
    labels = pipeline.predict(frame[list(SEGMENT_FEATURES)])
    in_use = SegmentModel(pipeline, _describe(pipeline, frame, labels, None))
    assert train(frame, seed=7, champion=in_use, floors=floors).choice.k == other


def test_quality_separates_the_fitting_model_from_worse_ones(champion: SegmentModel) -> None:
    frame, _truth = shop()
    good = segment_quality(champion.pipeline, frame, 7)
    assert good["stability"] > 0.95
    assert good["silhouette"] > 0.4
    assert good["smallest_share"] == pytest.approx(60 / 450, abs=0.02)
    assert good == segment_quality(champion.pipeline, frame, 7)
    too_many = segment_quality(build_pipeline(11, 7).fit(frame[list(SEGMENT_FEATURES)]), frame, 7)
    assert too_many["silhouette"] < good["silhouette"]
    assert too_many["stability"] < good["stability"]
    assert too_many["smallest_share"] < good["smallest_share"]


def test_quality_of_a_model_of_other_times_falls(champion: SegmentModel) -> None:
    frame, _ = shop()
    moved = frame.assign(recency_days=frame.recency_days * 30, revenue=frame.revenue / 50)
    old = segment_quality(champion.pipeline, moved, 7)
    fresh = segment_quality(train(moved, seed=7).model.pipeline, moved, 7)
    assert old["stability"] < fresh["stability"]
    assert old["silhouette"] < fresh["silhouette"]


def test_quality_counts_a_segment_that_nobody_is_in_as_a_share_of_nothing(champion: SegmentModel) -> None:
    frame, truth = shop()
    quality = segment_quality(champion.pipeline, frame[truth == 2], 7)
    assert quality["smallest_share"] == 0


def test_map_is_the_pipeline_in_numbers(champion: SegmentModel) -> None:
    frame, _ = shop()
    values = frame[list(champion.map.features)].to_numpy()
    logged = np.where(champion.map.logged, np.sign(values) * np.log1p(np.abs(values)), values)
    scaled = (logged - champion.map.means) / champion.map.scales
    np.testing.assert_allclose(scaled, champion.pipeline[:-1].transform(frame[list(SEGMENT_FEATURES)]))
    assert type(champion.map).from_record(champion.map.to_record()) == champion.map
    assert replace(champion.map, next_id=99) != champion.map
