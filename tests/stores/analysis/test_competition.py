"""The effect of a competitor's opening, relative to stores without an opening."""

from __future__ import annotations

import datetime as dt

import ibis
import pandas as pd
import pytest

from pipeline.reports.phrasing import more_or_less, percent_change
from pipeline.stores.analysis.competition import BANDS, distance_section, opening_effect, opening_section
from pipeline.stores.analysis.promotions import measure_uplift
from pipeline.stores.analysis.store_types import store_means
from tests.stores.analysis.helpers import AS_OF


def test_the_planted_effect_is_found_store_by_store(planted) -> None:
    found = opening_effect(planted.days, planted.stores)
    truth = planted.chain.truth().set_index("store")["competitor"]
    assert len(found.stores) >= 8
    off = found.stores["effect"] - truth.reindex(found.stores.index)
    assert off.abs().max() < 0.035
    assert off.mean() == pytest.approx(0, abs=0.012)
    assert found.low < truth.reindex(found.stores.index).mean() < found.high
    months = found.months["excess"]
    assert months[months.index < 0].abs().max() < 0.02, "before the opening there is nothing"
    assert months[2] == pytest.approx(found.effect, abs=0.02)


def test_the_sentence_states_the_significance(planted) -> None:
    found = opening_effect(planted.days, planted.stores)
    text = opening_section(found).sentences[0]
    assert f"they sold {more_or_less(percent_change(found.effect))} than" in text
    assert "a significant loss" in text


def test_without_an_opening_or_control_stores_the_section_says_so(planted) -> None:
    never = planted.stores.mutate(
        competition_since=planted.stores.competition_since.nullif(planted.stores.competition_since)
    )
    found = opening_effect(planted.days, never)
    assert found.stores.empty
    assert "No competitor opened near a store" in opening_section(found).sentences[0]
    everywhere = planted.stores.mutate(competition_since=ibis.date(2014, 2, 3))
    without_controls = opening_effect(planted.days, everywhere)
    assert without_controls.controls == 0
    assert without_controls.stores.empty


def test_a_store_needs_enough_open_days_before_and_after_the_opening(planted) -> None:
    """Openings so near to the first or last day that one side has fewer than `MIN_OPEN_DAYS` days do not count."""
    for since, counts in ((AS_OF - dt.timedelta(days=30), False), (AS_OF - dt.timedelta(days=100), True)):
        stores = planted.stores.mutate(
            competition_since=ibis.ifelse(planted.stores.store == 1, ibis.date(since), ibis.null("date"))
        )
        assert (1 in opening_effect(planted.days, stores).stores.index) is counts


def test_sales_by_distance_need_known_distances(planted) -> None:
    stores, rise = store_means(planted.days, planted.stores), measure_uplift(planted.days)
    section = distance_section(stores, rise)
    assert section.figure is not None
    assert "is known for 60 of 60 stores" in section.sentences[0]
    unknown = stores.assign(competition_distance=pd.Series(float("nan"), stores.index))
    assert "for too few stores" in distance_section(unknown, rise).sentences[0]
    few = stores.assign(competition_distance=stores["competition_distance"].where(stores.index < BANDS))
    assert "for too few stores" in distance_section(few, rise).sentences[0]
