"""Assignment in the engine is the Pipeline's own predict, and the profiles add up."""

from __future__ import annotations

import datetime as dt
import json

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.customers.choose_k import Floors
from pipeline.customers.segment_map import Segment, SegmentMap, assign, profile
from pipeline.customers.segments import SEGMENT_FEATURES, SegmentModel, train

ANY = st.floats(-1e6, 1e6, allow_nan=False)


def customers(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.lognormal(3, 1.3, (rows, len(SEGMENT_FEATURES))), columns=list(SEGMENT_FEATURES))
    frame["revenue"] -= 15  # some gave back more than they bought
    frame["cancellation_rate"] = rng.uniform(0, 1, rows) * (rng.uniform(0, 1, rows) < 0.4)
    frame["invoices"] = frame["invoices"].round()
    frame.insert(0, "customer_id", [f"C{i:06d}" for i in range(rows)])
    frame.insert(1, "as_of", dt.date(2011, 12, 10))
    return frame


def plain(centres: list[tuple[float, ...]]) -> SegmentMap:
    """A map without log or scaling, so that a row is a point."""
    segments = tuple(Segment(10 + i, f"s{i}", 1, 0.1, 1.0, 0.1, 1.0, {}, {}) for i in range(len(centres)))
    names = tuple("xy"[: len(centres[0])])
    return SegmentMap(
        names, (False,) * len(names), (0.0,) * len(names), (1.0,) * len(names), tuple(centres), segments, 99
    )


def at(*points: tuple[float | None, float | None]) -> ibis.Table:
    frame = pd.DataFrame(points, columns=["x", "y"], dtype=float)
    frame.insert(0, "customer_id", [str(i) for i in range(len(points))])
    frame.insert(1, "as_of", dt.date(2011, 12, 10))
    return ibis.memtable(frame, schema={"customer_id": "string", "as_of": "date", "x": "float64", "y": "float64"})


def run(expression: ibis.Table) -> pd.DataFrame:
    return ibis.duckdb.connect(threads=2).to_pandas(expression)


@pytest.fixture(scope="module")
def model() -> SegmentModel:
    # Floors at nothing: these customers are one cloud on purpose, with as many borders as possible.
    return train(customers(600, 1), seed=7, floors=Floors(stability=0, smallest_share=0)).model


def test_equal_to_predict_on_100_000_customers(model: SegmentModel) -> None:
    frame = customers(100_000, 2)
    assigned = run(assign(ibis.memtable(frame), model.map)).sort_values("customer_id")
    assert list(assigned.columns) == ["customer_id", "as_of", "segment", "segment_name", "distance", "next_distance"]
    np.testing.assert_array_equal(assigned["segment"], model.predict(frame))
    distances = np.sort(model.pipeline.transform(frame[list(model.map.features)]), axis=1)
    np.testing.assert_allclose(assigned[["distance", "next_distance"]], distances[:, :2], rtol=1e-9, atol=1e-9)
    names = {segment.segment_id: segment.name for segment in model.map.segments}
    assert (assigned["segment_name"] == assigned["segment"].map(names)).all()


def test_column_types_are_those_of_the_table(model: SegmentModel) -> None:
    schema = assign(ibis.memtable(customers(3, 1)), model.map).schema()
    assert [str(schema[name]) for name in ("segment", "segment_name", "distance", "next_distance")] == [
        "int64",
        "string",
        "float64",
        "float64",
    ]


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(st.tuples(*[ANY] * len(SEGMENT_FEATURES)), min_size=1, max_size=40))
def test_equal_to_predict_on_any_numbers_but_for_ties(model: SegmentModel, rows: list[tuple[float, ...]]) -> None:
    frame = pd.DataFrame(rows, columns=list(SEGMENT_FEATURES), dtype=float)
    frame.insert(0, "customer_id", [f"{i:03d}" for i in range(len(rows))])
    frame.insert(1, "as_of", dt.date(2011, 12, 10))
    assigned = run(assign(ibis.memtable(frame), model.map)).sort_values("customer_id")
    margin = (assigned["next_distance"] - assigned["distance"]).to_numpy()
    clear = margin > 1e-9 * (1 + assigned["distance"].to_numpy())
    np.testing.assert_array_equal(assigned["segment"].to_numpy()[clear], model.predict(frame)[clear])
    assert (margin >= 0).all()


def test_tie_goes_to_the_first_centre_and_a_hair_decides() -> None:
    to = plain([(-1.0, 0.0), (1.0, 0.0), (0.0, 9.0)])
    assigned = run(assign(at((0, 0), (1e-9, 0), (-1e-9, 0), (0, 9)), to)).sort_values("customer_id")
    assert assigned["segment"].tolist() == [10, 11, 10, 12]
    assert assigned["distance"].iloc[0] == assigned["next_distance"].iloc[0] == 1.0
    assert assigned["next_distance"].iloc[3] == pytest.approx(np.sqrt(82))


def test_missing_feature_gives_a_missing_segment_rather_than_a_wrong_one() -> None:
    assigned = run(assign(at((None, 1.0), (1.0, 1.0)), plain([(0.0, 0.0), (1.0, 1.0)]))).sort_values("customer_id")
    assert assigned["segment"].isna().tolist() == [True, False]
    assert assigned["segment_name"].isna().tolist() == [True, False]


def test_profile_adds_up_and_leads_with_the_best_customers() -> None:
    rows = pd.DataFrame(
        {
            "segment": [1, 1, 2, 2, 2],
            "segment_name": ["insiders", "insiders", "lapsed", "lapsed", "lapsed"],
            "revenue": [100.0, 200.0, 10.0, 20.0, 0.0],
            "invoices": [4.0, 6.0, 1.0, 1.0, 1.0],
        }
    )
    found = run(profile(ibis.memtable(rows), features=["revenue", "invoices"]))
    assert found["segment_name"].tolist() == ["insiders", "lapsed"]
    assert found["customers"].tolist() == [2, 3]
    assert found["share"].tolist() == [0.4, 0.6]
    assert found["revenue"].tolist() == [300, 30]
    assert found["revenue_share"].sum() == pytest.approx(1)
    assert found["revenue_per_customer"].tolist() == [150, 10]
    assert found["mean_invoices"].tolist() == [5, 1]


def test_map_survives_its_json(model: SegmentModel) -> None:
    assert SegmentMap.from_record(json.loads(json.dumps(model.map.to_record()))) == model.map
