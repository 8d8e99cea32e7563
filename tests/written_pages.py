"""A home with the pages of every domain, of deliveries and of drift checks, made once in a test run."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.domains import DOMAINS
from pipeline.errors import RefusedError
from pipeline.ingestion import steps as ingestion
from pipeline.lake.tables import Lake
from pipeline.monitoring.watch import watch
from pipeline.morning.page import write_morning_page
from pipeline.reports.page import framed
from pipeline.settings import Settings
from pipeline.training import scoring
from pipeline.training.related_pages import related_pages
from tests.before_the_move.extracted import extract_home
from tests.helpers import made_once

ROOT = Path(__file__).resolve().parents[1]
MLFLOW = "https://mlflow.example.org"
WATCHED = ("customers", "footfall")


def pages_settings(folder: Path) -> Settings:
    """The settings of the home in a folder."""
    return Settings(
        home=str(folder / "home"),
        sources=folder / "sources.yaml",
        data=str(folder / "data"),
        expectations=ROOT / "expectations",
        code_version="abc123",
        mlflow_url=MLFLOW,
    )


def written_pages(factory: pytest.TempPathFactory) -> Settings:
    """The settings of a home whose pages are written; only read it."""
    return pages_settings(made_once(factory, "written-pages", _write))


def _write(folder: Path) -> None:
    extract_home(folder)
    settings = pages_settings(folder)
    lake = Lake(settings)
    # A delivery that comes again, and one that is refused.
    (folder / "data" / "transactions" / "2025-07-01.csv").write_text("no,such,columns\n1,2,3\n")
    for delivery in ingestion.pending(settings, "transactions")[-2:]:
        try:
            ingestion.ingest(settings, delivery, force=True)
        except RefusedError:
            continue
    for domain in DOMAINS:
        day = lake.days(domain.results_table)[-1]
        scoring.write_report(settings, domain, day)
        if domain.name in WATCHED:
            with framed(related=related_pages(domain)):
                watch(settings, day, domain.specs())
    write_morning_page(settings)
