"""Outliers are shown with a sample of other days."""

from __future__ import annotations

import datetime as dt

from pipeline.stores.analysis.outliers import MAX_SAMPLE, outliers_section, summarise_outliers

AS_OF = dt.date(2025, 1, 1)


def test_outliers_are_shown_relative_to_usual_sales(by_hand, plain_days) -> None:
    _, table = by_hand
    records = plain_days(71)
    records[35] |= {"sales": 900.0}
    records[36] |= {"sales": 50.0}
    found = summarise_outliers(table(records), AS_OF, seed=1)
    assert (found.days, found.above, found.below, len(found.sample)) == (71, 1, 1, 69)
    section = outliers_section(found)
    assert "2 open store days are outliers, 2.8 % of all: 1 above and 1 below" in section.sentences[0]
    assert section.table is not None
    assert section.table.rows[0][:5] == ("store 1", "5 February 2024", "900", "100", "+800.0 %")


def test_the_sample_is_drawn_by_the_seed_alone(planted) -> None:
    first, again, other = (summarise_outliers(planted.store_days, AS_OF, seed=seed).sample for seed in (1, 1, 2))
    assert len(first) == MAX_SAMPLE
    assert first.equals(again)
    assert not first.equals(other)


def test_without_outliers_the_section_says_so(by_hand, plain_days) -> None:
    _, table = by_hand
    section = outliers_section(summarise_outliers(table(plain_days(71)), AS_OF, seed=1))
    assert section.sentences == ["None of 71 open store days is an outlier."]
    assert section.figure is None
