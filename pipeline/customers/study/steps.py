"""Run the study as of a day and write its page."""

from __future__ import annotations

import logging
from datetime import date
from typing import TYPE_CHECKING, Any

from pipeline.logs import log_step

if TYPE_CHECKING:
    from pipeline.settings import Settings

log = logging.getLogger(__name__)


def study_segments(settings: Settings, as_of: date, *, set_aside: bool = False) -> dict[str, Any]:
    """Study the customers as of a day. Only the page is written; running again replaces it.

    Args:
        settings: the home, the window and the seed.
        as_of: everything strictly before this day is known.
        set_aside: leave outliers out of what is studied.

    Returns:
        as_of, customers, seconds, path of the page below home, spaces that were left out, `best`: the figures of the
        best number of clusters of each space and algorithm, `outliers`: their customer ids.

    Raises:
        RefusedError: there are too few customers.
    """
    from dataclasses import asdict

    from pipeline.customers.domain import DOMAIN
    from pipeline.customers.steps import build_features
    from pipeline.customers.study.report import write_study_page
    from pipeline.customers.study.study import best_of_each, can_register, caution, run_study
    from pipeline.ingestion.number_style import number_style
    from pipeline.lake.tables import Lake
    from pipeline.reports.page import framed
    from pipeline.reports.phrasing import written_in
    from pipeline.training.related_pages import related_pages
    from pipeline.training.spec import Run

    lake = Lake(settings)
    with log_step(log, "study segments", as_of=as_of) as result:
        run = Run(settings, as_of, {DOMAIN.input_table: lake.version(DOMAIN.input_table)})
        study = run_study(build_features(run).to_pandas(), seed=settings.seed, set_aside=set_aside)
        with (
            written_in(number_style(settings, DOMAIN.input_table)),
            framed(related=related_pages(DOMAIN)),
        ):
            path = write_study_page(lake, study, as_of, settings.seed)
        result |= {"customers": study.customers, "page": path}
    best = [
        asdict(one) | {"can_register": can_register(one, study.spaces), "caution": caution(one, study.spaces)}
        for one in best_of_each(study)
    ]
    return {
        "as_of": as_of,
        "customers": study.customers,
        "page": path,
        "left_out": list(study.left_out),
        "outliers": study.outliers["customer_id"].tolist(),
        "best": best,
        "seconds": round(study.seconds, 1),
    }
