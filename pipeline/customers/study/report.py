"""The page of the study: what was measured, curves, pictures, a dendrogram, outliers, and what it amounts to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.customers.labels import LABELS
from pipeline.customers.study.clusterings import Clustering
from pipeline.customers.study.protocols import compared
from pipeline.customers.study.report_figures import (
    dendrogram_section,
    elbow_section,
    pictures_section,
    silhouette_section,
)
from pipeline.customers.study.spaces import UMAP_INSTALL
from pipeline.customers.study.study import (
    FEW,
    MIN_SEGMENTS,
    PICTURE_GAIN,
    Study,
    best_of_each,
    can_register,
    caution,
)
from pipeline.reports.page import Section, Table, Tile, write_page
from pipeline.reports.phrasing import count, counted, listed, percent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

    from pipeline.lake.tables import Lake

SHOWN_FEATURES = ("revenue", "invoices", "median_basket_units", "cancellation_rate", "recency_days")


def write_study_page(lake: Lake, study: Study, as_of: date, seed: int) -> str:
    """Write the page and return its path below home."""
    registrable = _best_registrable(study)
    tiles = [
        Tile("customers studied", count(study.customers)),
        Tile("spaces", str(len(study.spaces))),
        Tile("segmentations measured", count(len(study.clusterings))),
        Tile("highest silhouette that can be registered", f"{registrable.plain_silhouette:.3f}"),
        Tile("seconds", count(study.seconds)),
    ]
    sections = [
        _summary_section(study, registrable),
        _best_section(study),
        _protocol_section(study),
        elbow_section(study),
        silhouette_section(study),
        pictures_section(study, seed),
        dendrogram_section(study),
        _outliers_section(study),
        _everything_section(study),
    ]
    return write_page(
        lake,
        f"study/segments/{as_of}",
        "Study of segmentations",
        f"Customers as of {as_of}: {count(study.customers)} of {count(study.of)}. "
        "Nothing here is in use; the segments in use are on the customers' page.",
        sections,
        tiles,
        [f"{listed(study.left_out)} are left out, because UMAP is not installed: {UMAP_INSTALL}"]
        if study.left_out
        else (),
    )


def _best_registrable(study: Study) -> Clustering:
    plain = [one for one in study.clusterings if can_register(one, study.spaces) and one.k >= MIN_SEGMENTS]
    return max(plain, key=lambda one: (not caution(one, study.spaces), one.plain_silhouette))


def _summary_section(study: Study, registrable: Clustering) -> Section:
    best = max(study.clusterings, key=lambda one: one.silhouette)
    said = caution(best, study.spaces)
    sentences = [
        f"The highest silhouette in a space of its own is {best.silhouette:.3f}: {_named(best)}. Measured in the plain "
        f"features of the same customers it is {best.plain_silhouette:.3f}." + (f" Caution: {said}." if said else ""),
        "Of what can be registered, the highest silhouette in the plain features, without a caution and from three "
        f"segments up, is {registrable.plain_silhouette:.3f}, with stability {registrable.stability:.2f}: "
        f"{_named(registrable)}.",
        "The plain features are those of the champion: log of all but recency, unit variance. Only what assigns a new "
        "customer by arithmetic can be registered: k-means and Gaussian mixtures in the standardised spaces and in "
        "principal components. t-SNE has no place for a new customer; UMAP has, but only through an object that cannot "
        "be saved safely; Ward's tree knows only the customers that it was built from.",
        f"Only in the picture: the silhouette in the drawing is more than {PICTURE_GAIN:g} above that of the "
        f"same clusters in the features. Outliers are a cluster: the smallest has less than {percent(FEW, 0)} of "
        "the customers. Not found again: the adjusted Rand index with bootstrap samples is below 0.85.",
    ]
    return Section("What it amounts to", sentences)


def _best_section(study: Study) -> Section:
    return Section(
        "The best of each space and algorithm",
        ["By the silhouette in the space itself, as it is usually quoted. The columns beside it say what it hides."],
        _table(best_of_each(study), study, short=True),
    )


def _protocol_section(study: Study) -> Section:
    rows = [
        (one.protocol, f"{one.published:.4f}", "–" if one.ours is None else f"{one.ours.silhouette:.4f}", one.verdict)
        + (("–", "–") if one.ours is None else (f"{one.ours.plain_silhouette:.3f}", f"{one.ours.stability:.2f}"))
        for one in compared(study.clusterings)
    ]
    columns = ("protocol", "published silhouette", "here", "verdict", "in the plain features", "stability")
    return Section(
        "Published protocols",
        ["The same protocols run here on this shop's customers, so that they can be compared on UCI Online Retail."],
        Table(columns, rows, frozenset({1, 2, 4, 5}), {"reached": "good", "missed": "bad"}),
    )


def _outliers_section(study: Study) -> Section:
    rows = [
        (str(row["customer_id"]), f"{row['isolation']:.3f}", *(LABELS[name].bare(row[name]) for name in SHOWN_FEATURES))
        for row in study.outliers.to_dict("records")
    ]
    done = "They were set aside: nothing above includes them." if study.set_aside else "All figures above include them."
    return Section(
        "Customers who stand apart",
        [
            f"An isolation forest finds {counted(len(rows), 'customer')} whom few random cuts separate from the rest. "
            f"{done} They are never removed from the segmentation in use."
        ],
        Table(
            ("customer", "isolation", *(LABELS[name].title for name in SHOWN_FEATURES)),
            rows,
            frozenset(range(1, 2 + len(SHOWN_FEATURES))),
        ),
    )


def _everything_section(study: Study) -> Section:
    return Section("Everything that was measured", table=_table(study.clusterings, study))


def _table(clusterings: Sequence[Clustering], study: Study, *, short: bool = False) -> Table:
    """A row for each; a short one leaves out the figures that are seldom asked for."""
    figures: dict[str, Callable[[Clustering], str]] = {
        "silhouette": lambda one: f"{one.silhouette:.3f}",
        "in plain features": lambda one: f"{one.plain_silhouette:.3f}",
        "stability": lambda one: f"{one.stability:.2f}",
        "smallest share": lambda one: percent(one.smallest_share),
    }
    if not short:
        figures |= {
            "inertia": lambda one: count(one.inertia),
            "Davies–Bouldin": lambda one: f"{one.davies_bouldin:.2f}",
            "Calinski–Harabasz": lambda one: count(one.calinski_harabasz),
            "seconds": lambda one: f"{one.seconds:.1f}",
        }
    rows = [
        (
            one.space,
            one.algorithm,
            f"{one.k}, elbow" if one.elbow else str(one.k),
            "yes" if can_register(one, study.spaces) else "no",
            caution(one, study.spaces),
            *(write(one) for write in figures.values()),
        )
        for one in clusterings
    ]
    columns = ("space", "algorithm", "k", "can be registered", "caution", *figures)
    return Table(columns, rows, frozenset({2, *range(5, 5 + len(figures))}), {"yes": "good"})


def _named(one: Clustering) -> str:
    return f"{one.algorithm} with k = {one.k} in {one.space}"
