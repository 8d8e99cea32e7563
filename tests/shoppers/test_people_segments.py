"""Segments of people: the published figures, the same model from the same people, and unique names."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipeline.errors import RefusedError
from pipeline.shoppers import people_segments
from pipeline.shoppers.features import DEMOGRAPHICS
from pipeline.shoppers.people_segments import Segmentation


@pytest.fixture(scope="module")
def people(clean_people: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = clean_people.to_pandas()
    return frame


@pytest.fixture(scope="module")
def segmentation(people: pd.DataFrame) -> Segmentation:
    return people_segments.train(people, seed=7)


@pytest.mark.open_data
def test_the_courses_people(course_people: pd.DataFrame) -> None:
    segmentation = people_segments.train(course_people, seed=7)
    assert len(segmentation.segments) == 4
    assert len(segmentation.components) == 3
    assert round(segmentation.silhouettes[4], 3) >= 0.347


def test_the_planted_kinds_are_found(segmentation: Segmentation) -> None:
    assert len(segmentation.segments) == 4
    assert sum(segment.people for segment in segmentation.segments) == 400
    assert sum(segment.share for segment in segmentation.segments) == pytest.approx(1)
    oldest = max(segmentation.segments, key=lambda segment: segment.means["age"])
    assert "older" in oldest.name or "more schooled" in oldest.name


def test_names_are_unique(segmentation: Segmentation) -> None:
    assert len({segment.name for segment in segmentation.segments}) == len(segmentation.segments)


def test_components_are_named_by_their_loadings(segmentation: Segmentation) -> None:
    for component in segmentation.components:
        assert set(component.loadings) == set(DEMOGRAPHICS)
        assert max(component.loadings.values(), key=abs) > 0
        assert np.square(list(component.loadings.values())).sum() == pytest.approx(1)
    assert sum(component.variance for component in segmentation.components) >= people_segments.VARIANCE


def test_people_in_another_order_give_the_same_segments(people: pd.DataFrame, segmentation: Segmentation) -> None:
    again = people_segments.train(people.sample(frac=1, random_state=3), seed=7)
    assert again.segments == segmentation.segments
    assert again.to_record() == segmentation.to_record()


def test_people_are_assigned_to_the_nearest_centre(people: pd.DataFrame, segmentation: Segmentation) -> None:
    rows = people_segments.assign(segmentation.model, segmentation.segments, people)
    assert rows["segment_name"].value_counts().to_dict() == {s.name: s.people for s in segmentation.segments}
    holed = people.assign(income=people["income"].where(people.index > 9))
    assert len(people_segments.assign(segmentation.model, segmentation.segments, holed)) == len(people) - 10


def test_the_number_of_segments_can_be_given(people: pd.DataFrame) -> None:
    assert len(people_segments.train(people, seed=7, k=3).segments) == 3


@pytest.mark.parametrize("spoil", ["few", "same", "missing"])
def test_people_who_cannot_be_segmented_are_refused(people: pd.DataFrame, spoil: str) -> None:
    spoilt = {"few": people.head(49), "same": people.assign(age=30), "missing": people.drop(columns="sex")}[spoil]
    with pytest.raises(RefusedError, match="cannot be segmented"):
        people_segments.train(spoilt, seed=7)


def test_quality(people: pd.DataFrame, segmentation: Segmentation) -> None:
    measured = people_segments.measure(segmentation.model, people, 7)
    assert measured["silhouette"] == pytest.approx(segmentation.silhouettes[4])
    assert measured["stability"] > 0.6
    assert measured["smallest_share"] == pytest.approx(min(segment.share for segment in segmentation.segments))
