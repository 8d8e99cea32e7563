"""How numbers on the pages of a table are written, as `sources.yaml` says: its locale and the currencies."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.ingestion.sources import load_sources
from pipeline.logs import log_event
from pipeline.reports.phrasing import NumberStyle

if TYPE_CHECKING:
    from pipeline.settings import Settings

log = logging.getLogger(__name__)


def number_style(settings: Settings, table: str = "") -> NumberStyle:
    """Return the style of a page.

    A faulty `sources.yaml` is no reason to write no page: amounts then have no currency.

    Args:
        settings: where `sources.yaml` is.
        table: whose currency amounts on the page have when they name no other.
    """
    try:
        spec = load_sources(settings).spec
    except UsageError as error:
        log_event(log, "no currency", logging.WARNING, observed=error.what)
        return NumberStyle(table=table)
    return NumberStyle(spec.locale, spec.currencies, table)
