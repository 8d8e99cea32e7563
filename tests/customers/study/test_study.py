"""The study on customers of known kinds: figures, cautions, outliers, the page, and what is left out without UMAP."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from pipeline.customers.features import FEATURE_COLUMNS
from pipeline.customers.study import spaces
from pipeline.customers.study.clusterings import ALGORITHMS, KMEANS, NUMBERS, WARD, Clustering, cluster, measure
from pipeline.customers.study.protocols import compared
from pipeline.customers.study.report import write_study_page
from pipeline.customers.study.spaces import COMPONENTS, LEAVES, LOG_STANDARDISED, TSNE_NAME, UMAP, make_space
from pipeline.customers.study.study import Study, can_register, caution, find_outliers, run_study
from pipeline.errors import RefusedError, UsageError
from pipeline.lake.tables import Lake
from pipeline.settings import Settings

ODD = ["C00003", "C00077"]
NUMBERS_TRIED = (2, 3, 4, 5)


def customers(rows: int = 120) -> tuple[pd.DataFrame, np.ndarray]:
    """Three kinds of customers, far apart in every feature, and the kind of each; two are like nobody."""
    rng = np.random.default_rng(3)
    kind = np.arange(rows) % 3
    centre = np.array([1.0, 20.0, 300.0])[kind][:, None]
    frame = pd.DataFrame(centre * rng.lognormal(0, 0.15, (rows, len(FEATURE_COLUMNS))), columns=list(FEATURE_COLUMNS))
    frame.insert(0, "customer_id", [f"C{n:05d}" for n in range(rows)])
    frame.loc[frame["customer_id"].isin(ODD), "revenue"] = 3e6
    return frame, kind


@pytest.fixture(scope="module")
def study() -> Study:
    """A whole study without the drawings, few customers as there are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.customers.study.study.SPACES", (LOG_STANDARDISED, COMPONENTS, TSNE_NAME))
        return run_study(customers()[0].sample(frac=1, random_state=1), seed=7)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_planted_kinds_are_found_and_all_figures_agree(algorithm: str) -> None:
    frame, kind = customers()
    usual = ~frame["customer_id"].isin(ODD).to_numpy()
    points, kind = make_space(LOG_STANDARDISED, frame[usual], 7).points, kind[usual]
    assert adjusted_rand_score(kind, cluster(points, algorithm, [3], 7)[3]) > 0.9
    curve = measure("a space", points, points, algorithm, 7, NUMBERS_TRIED)
    assert [one.k for one in curve] == list(NUMBERS_TRIED)
    assert max(curve, key=lambda one: one.silhouette).k == 3
    # The kinds lie on a line, the third far out, so the second cluster explains most.
    assert [one.k for one in curve if one.elbow] == [2]
    found = next(one for one in curve if one.k == 3)
    assert found.stability > 0.9
    assert found.silhouette == found.plain_silhouette
    assert (found.smallest_share, found.largest_share) == pytest.approx((1 / 3, 1 / 3), abs=0.02)
    assert found.inertia < curve[0].inertia


def test_noise_is_not_found_again() -> None:
    noise = np.random.default_rng(0).normal(size=(150, 6))
    assert all(one.stability < 0.85 for one in measure("noise", noise, noise, KMEANS, 7, (2, 3, 4)) if one.k > 2)


def test_every_space_and_number_is_measured_once(study: Study) -> None:
    tried = [(one.space, one.algorithm, one.k) for one in study.clusterings]
    assert len(set(tried)) == len(tried) == 3 * len(ALGORITHMS) * len(NUMBERS)
    assert {space.name: space.points.shape[1] for space in study.spaces}[TSNE_NAME] == 2
    assert study.customers == study.of == 120


def test_same_seed_same_figures_whatever_the_order_of_rows(study: Study) -> None:
    points = next(space.points for space in study.spaces if space.name == LOG_STANDARDISED)
    again = make_space(LOG_STANDARDISED, customers()[0], 7).points
    np.testing.assert_array_equal(points, again)
    first = [replace(one, seconds=0) for one in measure("s", points, points, KMEANS, 7, NUMBERS_TRIED)]
    assert first == [replace(one, seconds=0) for one in measure("s", again, again, KMEANS, 7, NUMBERS_TRIED)]


def test_outliers_are_listed_and_lost_only_from_what_is_studied() -> None:
    frame, _ = customers()
    assert set(find_outliers(frame, 7)["customer_id"]) == set(ODD)


def test_setting_outliers_aside_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.customers.study.study.SPACES", (LOG_STANDARDISED,))
    monkeypatch.setattr("pipeline.customers.study.study.ALGORITHMS", (WARD,))
    aside = run_study(customers()[0], seed=7, set_aside=True)
    assert (aside.customers, aside.of, aside.set_aside) == (118, 120, True)
    assert set(aside.outliers["customer_id"]) == set(ODD)


def clustering(**figures: object) -> Clustering:
    usual = {"silhouette": 0.5, "plain_silhouette": 0.45, "stability": 0.9, "smallest_share": 0.1, "largest_share": 0.5}
    rest = {"inertia": 1.0, "elbow": False, "davies_bouldin": 1.0, "calinski_harabasz": 1.0, "seconds": 0.1}
    return Clustering(**{"space": TSNE_NAME, "algorithm": KMEANS, "k": 4} | usual | rest | figures)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({}, ""),
        ({"plain_silhouette": 0.39}, "only in the picture"),
        ({"plain_silhouette": 0.39, "space": LOG_STANDARDISED}, ""),
        ({"smallest_share": 0.009}, "outliers are a cluster"),
        ({"smallest_share": 0.01}, ""),
        ({"stability": 0.84}, "not found again"),
        ({"stability": 0.85}, ""),
    ],
)
def test_cautions_say_where_a_figure_deceives(study: Study, figures: dict[str, object], said: str) -> None:
    assert caution(clustering(**figures), study.spaces) == said


def test_only_what_can_place_a_new_customer_can_be_registered(study: Study) -> None:
    assert can_register(clustering(space=LOG_STANDARDISED), study.spaces)
    assert not can_register(clustering(space=LOG_STANDARDISED, algorithm=WARD), study.spaces)
    assert not can_register(clustering(space=TSNE_NAME), study.spaces)


def test_protocols_are_reached_missed_or_left_out() -> None:
    found = compared([clustering(space=COMPONENTS, k=4, silhouette=0.2315)])
    assert [one.verdict for one in found] == ["reached", "left out"]
    assert compared([clustering(space=LEAVES, k=10, silhouette=0.57)])[1].verdict == "missed"


def test_page_shows_every_figure_and_escapes_names(study: Study, tmp_path: Path) -> None:
    lake = Lake(Settings(home=str(tmp_path)))
    hostile = study.outliers.assign(customer_id="<script>alert(1)</script>")
    left_out = replace(study, outliers=hostile, left_out=(UMAP, LEAVES))
    path = write_study_page(lake, left_out, date(2024, 5, 1), 7)
    html = lake.path(path).read_text()
    assert path == "reports/study/segments/2024-05-01.html"
    assert html.count("<tr>") > len(study.clusterings)
    assert "<script>alert(1)" not in html
    assert "UMAP and forest leaves + UMAP are left out, because UMAP is not installed: pip install" in html
    assert "The highest silhouette in a space of its own" in html


@pytest.mark.parametrize(("rows", "copies"), [(99, 1), (20, 6)])
def test_too_few_customers_or_too_few_different_ones_are_refused(rows: int, copies: int) -> None:
    with pytest.raises(RefusedError, match="too few customers"):
        run_study(pd.concat([customers(rows)[0]] * copies), seed=7)


def test_without_umap_its_spaces_say_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spaces, "has_umap", lambda: False)
    with pytest.raises(UsageError, match=r"requirements-study\.txt"):
        make_space(UMAP, customers()[0], 7)


@pytest.mark.parametrize("name", [UMAP, LEAVES])
def test_umap_draws_every_customer_in_two_dimensions(name: str) -> None:
    pytest.importorskip("umap", reason="UMAP is an optional extra: requirements-study.txt")
    space = make_space(name, customers()[0], 7)
    assert space.points.shape == (120, 2)
    assert np.isfinite(space.points).all()
    assert space.picture
