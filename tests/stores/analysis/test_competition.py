"""The effect of a competitor's opening, relative to stores without an opening."""

from __future__ import annotations

import pandas as pd
import pytest

from pipeline.reports.phrasing import more_or_less, percent_change
from pipeline.stores.analysis.competition import distance_section, opening_effect, opening_section
from pipeline.stores.analysis.promotions import measure_uplift
from pipeline.stores.analysis.store_types import store_means


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


def test_sales_by_distance_need_known_distances(planted) -> None:
    stores, rise = store_means(planted.days, planted.stores), measure_uplift(planted.days)
    section = distance_section(stores, rise)
    assert section.figure is not None
    assert "is known for 60 of 60 stores" in section.sentences[0]
    unknown = stores.assign(competition_distance=pd.Series(float("nan"), stores.index))
    assert "for too few stores" in distance_section(unknown, rise).sentences[0]
