"""Segments of people: the course's figures, the same model from the same people, and names that tell them apart."""

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
def found(people: pd.DataFrame) -> Segmentation:
    return people_segments.train(people, seed=7)


@pytest.mark.open_data
def test_the_courses_people(course_people: pd.DataFrame) -> None:
    found = people_segments.train(course_people, seed=7)
    assert len(found.segments) == 4
    assert len(found.components) == 3
    assert round(found.silhouettes[4], 3) >= 0.347


def test_the_planted_kinds_are_found(found: Segmentation) -> None:
    assert len(found.segments) == 4
    assert sum(segment.people for segment in found.segments) == 400
    assert sum(segment.share for segment in found.segments) == pytest.approx(1)
    oldest = max(found.segments, key=lambda segment: segment.means["age"])
    assert "older" in oldest.name or "more schooled" in oldest.name


def test_names_tell_segments_apart(found: Segmentation) -> None:
    assert len({segment.name for segment in found.segments}) == len(found.segments)


def test_components_are_named_by_their_loadings(found: Segmentation) -> None:
    for component in found.components:
        assert set(component.loadings) == set(DEMOGRAPHICS)
        assert max(component.loadings.values(), key=abs) > 0
        assert np.square(list(component.loadings.values())).sum() == pytest.approx(1)
    assert sum(component.variance for component in found.components) >= people_segments.VARIANCE


def test_the_same_people_in_another_order_give_the_same_segments(people: pd.DataFrame, found: Segmentation) -> None:
    again = people_segments.train(people.sample(frac=1, random_state=3), seed=7)
    assert again.segments == found.segments
    assert again.to_record() == found.to_record()


def test_people_are_assigned_to_the_nearest_centre(people: pd.DataFrame, found: Segmentation) -> None:
    rows = people_segments.assign(found.model, found.segments, people)
    assert rows["segment_name"].value_counts().to_dict() == {s.name: s.people for s in found.segments}
    holed = people.assign(income=people["income"].where(people.index > 9))
    assert len(people_segments.assign(found.model, found.segments, holed)) == len(people) - 10


def test_a_number_of_segments_can_be_asked_for(people: pd.DataFrame) -> None:
    assert len(people_segments.train(people, seed=7, k=3).segments) == 3


@pytest.mark.parametrize("spoil", ["few", "same", "missing"])
def test_people_who_cannot_be_segmented_are_refused(people: pd.DataFrame, spoil: str) -> None:
    spoilt = {"few": people.head(49), "same": people.assign(age=30), "missing": people.drop(columns="sex")}[spoil]
    with pytest.raises(RefusedError, match="cannot be segmented"):
        people_segments.train(spoilt, seed=7)


def test_quality(people: pd.DataFrame, found: Segmentation) -> None:
    measured = people_segments.measure(found.model, people, 7)
    assert measured["silhouette"] == pytest.approx(found.silhouettes[4])
    assert measured["stability"] > 0.6
    assert measured["smallest_share"] == pytest.approx(min(segment.share for segment in found.segments))
