"""Names follow profiles, `insiders` follows revenue, and identity follows customers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.customers.segment_names import INSIDERS, TRAITS, match_segments, name_segments

FEATURES = sorted({feature for feature, _ in TRAITS})
PROFILES = st.lists(st.fixed_dictionaries({f: st.floats(-3, 3) for f in FEATURES}), min_size=2, max_size=12)


def one_hot(position: int, count: int) -> list[bool]:
    return [i == position for i in range(count)]


def test_names_say_what_the_profiles_show() -> None:
    profiles = [
        {"recency_days": 1.0, "revenue": -1.0, "invoices": -0.7},
        {"recency_days": -1.3, "revenue": 1.6, "invoices": 2.0},
        {"recency_days": -0.9, "purchase_frequency": 1.8, "invoices": -0.5, "revenue": -0.5},
        {"cancellation_rate": 1.8},
        {"median_basket_units": 0.7, "recency_days": 0.5, "invoices": -0.5},
        {"invoices": 0.8, "recency_days": -0.6},
        {"recency_days": 0.1},
    ]
    names = name_segments(profiles, [200, 9000, 500, 900, 800, 2000, 600])
    expected = ["lapsed", INSIDERS, "newcomers", "returners", "bulk buyers", "regulars", "typical customers"]
    assert names == expected


def test_second_of_a_kind_is_described_by_its_traits() -> None:
    twice = {"cancellation_rate": 1.8, "revenue": 0.1}
    names = name_segments([{"revenue": 2.0}, twice, {**twice, "cancellation_rate": 1.5}, {**twice}], [9, 1, 1, 1])
    assert names == [INSIDERS, "returners", "returning customers", "returning customers 2"]


@given(profiles=PROFILES, data=st.data())
def test_names_are_unique_and_insiders_have_the_highest_revenue(
    profiles: list[dict[str, float]], data: st.DataObject
) -> None:
    revenue = data.draw(st.lists(st.floats(-1e3, 1e6), min_size=len(profiles), max_size=len(profiles)))
    kept = data.draw(st.dictionaries(st.integers(0, len(profiles) - 1), st.just(INSIDERS), max_size=1))
    names = name_segments(profiles, revenue, kept)
    assert len(set(names)) == len(profiles)
    assert names[int(np.argmax(revenue))] == INSIDERS
    assert names == name_segments(profiles, revenue, kept)


def test_kept_names_stay_and_are_not_given_twice() -> None:
    returner = {"cancellation_rate": 1.5}
    assert name_segments([{}, returner, returner], [9, 1, 1], {2: "returners"})[2] == "returners"
    assert name_segments([{}, returner, returner], [9, 1, 1], {2: "returners"})[1] == "returning customers"


def test_insiders_move_to_the_revenue_and_their_old_segment_is_named_anew() -> None:
    regular = {"invoices": 1.0, "recency_days": -1.0}
    assert name_segments([regular, {"revenue": 2.0}], [10, 20], {0: INSIDERS, 1: "big spenders"}) == [
        "regulars",
        INSIDERS,
    ]


def test_same_customers_under_other_numbers_are_the_same_segments() -> None:
    old = np.repeat([0, 1, 2], 50)
    new = np.array([2, 0, 1])[old]
    matched = match_segments(old, new, old_insiders=one_hot(0, 3), new_insiders=one_hot(2, 3))
    assert matched == {2: (0, 1.0), 0: (1, 1.0), 1: (2, 1.0)}


def test_small_overlap_is_no_identity() -> None:
    old, new = np.repeat([0, 1], 50), np.tile([0, 1, 2, 3], 25)
    assert match_segments(old, new, old_insiders=one_hot(0, 2), new_insiders=one_hot(0, 4)) == {}


def test_insiders_who_split_stay_insiders() -> None:
    old = np.repeat([0, 1], [100, 100])
    new = np.repeat([0, 1, 2], [40, 60, 100])
    assert match_segments(old, new, old_insiders=one_hot(0, 2), new_insiders=one_hot(0, 3))[0] == (0, 0.4)
    # Without a role at stake the larger part is the heir.
    assert match_segments(old, new, old_insiders=one_hot(1, 2), new_insiders=one_hot(2, 3))[1] == (0, 0.6)


def test_empty_old_segment_has_no_heir() -> None:
    old, new = np.repeat([0, 1], 50), np.repeat([0, 1], 50)
    assert set(match_segments(old, new, old_insiders=one_hot(0, 3), new_insiders=one_hot(0, 2)).values()) == {
        (0, 1.0),
        (1, 1.0),
    }
