"""A small shop with trained champions, for tests of the service and for attacks on it."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

from pipeline.domains import find_domain, spec_of
from pipeline.ingestion import steps as ingestion
from pipeline.registry.client import Registry
from pipeline.settings import Settings
from pipeline.training import lifecycle, scoring
from tests.serving.helpers import AS_OF, HANG_SECONDS, ROOT, START, TABLES, TRAINED
from tests.stores import simulated


def shop_settings(folder: Path) -> Settings:
    """The settings of a shop in a folder."""
    return Settings(
        home=str(folder / "home"),
        sources=folder / "sources.yaml",
        expectations=ROOT / "expectations",
        code_version="abc123",
        serve_timeout_seconds=HANG_SECONDS,
        serve_log_seconds=0.5,
    )


def train(settings: Settings, empty_mlflow: Path) -> None:
    """Ingest the data of the shop, train all champions and score with them."""
    settings.home_path.mkdir()
    shutil.copy(empty_mlflow, settings.home_path / "mlflow.db")
    text = (
        (ROOT / "sources.yaml")
        .read_text()
        .replace("customers=900", "customers=300")
        .replace("people=400", "people=150")
    )
    settings.sources.write_text(text)
    for table in TABLES:
        until = START + timedelta(days=1) if table == "people" else AS_OF
        for delivery in ingestion.pending(settings, table, since=START, until=until):
            ingestion.ingest(settings, delivery)
    simulated.write_chain(settings, simulated.AS_OF)
    for name, (as_of, models) in TRAINED.items():
        domain = find_domain(name)
        lifecycle.build_features(settings, domain, as_of)
        for model in models:
            # The gate's decision is tested elsewhere.
            version = lifecycle.train(settings, spec_of(model), as_of).version
            Registry(settings).promote(model, version, by="test", reason="to serve")
        scoring.score(settings, domain, as_of)
