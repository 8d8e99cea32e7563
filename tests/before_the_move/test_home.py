"""A home that was written before modules moved is read, migrated and scored."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.domains import DOMAINS, find_domain, model_names, spec_of
from pipeline.ingestion import steps as ingestion
from pipeline.lake.migrations import migrate
from pipeline.lake.tables import Lake
from pipeline.monitoring.watch import checked_days
from pipeline.registry.client import Registry
from pipeline.settings import Settings
from pipeline.training import lifecycle, scoring
from tests.before_the_move.extracted import EXPECTED, extract_home
from tests.written_pages import written_pages

ROOT = Path(__file__).resolve().parents[2]
AS_OF = date(2025, 7, 1)


@pytest.fixture
def old(tmp_path: Path) -> Settings:
    home = extract_home(tmp_path)
    return Settings(
        home=str(home),
        sources=tmp_path / "sources.yaml",
        data=str(tmp_path / "data"),
        expectations=ROOT / "expectations",
        code_version="abc123",
    )


LATER_MODELS = ("recommendations", "customer_value")
"""Models that the earlier release did not have."""


def test_every_champion_loads(old: Settings) -> None:
    registry = Registry(old)
    assert not any(registry.champion(model) for model in LATER_MODELS)
    for model in (name for name in model_names() if name not in LATER_MODELS):
        loaded = registry.load(model, trusted_types=spec_of(model).trusted_types)
        assert len(loaded.model.predict(loaded.example)) == len(loaded.example)


def test_an_error_in_per_cent_is_read_as_a_fraction(old: Settings) -> None:
    saved = json.loads((EXPECTED / "footfall_buyers.json").read_text(encoding="utf-8"))["metrics"]
    read = Registry(old).get("footfall_buyers").metrics
    assert read["mape"] == pytest.approx(saved["mape"] / 100)
    assert read["rmse"] == pytest.approx(saved["rmse"])


def test_renamed_columns_are_migrated_once_and_rows_stay(old: Settings) -> None:
    lake = Lake(old)
    before = {table: lake.read(table) for table in ("store_forecasts", "drift")}
    assert "made_on" in before["store_forecasts"].column_names
    assert "checked_on" in before["drift"].column_names
    migrate(lake)
    versions = {table: lake.version(table) for table in before}
    for table, old_name in (("store_forecasts", "made_on"), ("drift", "checked_on")):
        rows = lake.read(table)
        assert lake.partition_columns(table)[0] == "as_of"
        names = ["as_of" if name == old_name else name for name in before[table].column_names]
        keys = [(name, "ascending") for name in names if name in ("as_of", "store", "day", "model", "column")]
        renamed = before[table].rename_columns(names)
        assert rows.select(names).sort_by(keys).equals(renamed.sort_by(keys))
    migrate(lake)
    assert {table: lake.version(table) for table in before} == versions


@pytest.mark.parametrize("other", ["migrates too", "writes a row"])
def test_a_migration_that_another_writer_overtakes_loses_nothing(
    old: Settings, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    lake, table, names = Lake(old), "store_forecasts", {"made_on": "as_of"}
    expected, whole = lake.read(table).num_rows, Lake.read
    more = lake.read(table)[:1] if other == "writes a row" else None

    def overtaken(self: Lake, *args: Any, **kwargs: Any) -> pa.Table:
        rows = whole(self, *args, **kwargs)
        monkeypatch.setattr(Lake, "read", whole)
        if more is None:
            assert Lake(old).rename_columns(table, names)
        else:
            Lake(old).append(table, more)
        return rows

    monkeypatch.setattr(Lake, "read", overtaken)
    lake.rename_columns(table, names)
    assert "made_on" not in lake.schema(table).names
    assert lake.read(table).num_rows == expected + (0 if more is None else 1)


def test_pages_are_written_from_what_was_scored_before(old: Settings, tmp_path_factory: pytest.TempPathFactory) -> None:
    lake, written = Lake(old), Lake(written_pages(tmp_path_factory))
    scored = {domain.name: lake.days(domain.results_table) for domain in DOMAINS}
    assert checked_days(lake, ["footfall_buyers"])
    migrate(lake)
    for domain in DOMAINS:
        days = scored[domain.name]
        assert days == lake.days(domain.results_table), "the same before the migration and after it"
        assert days, domain.name
        assert written.path(f"reports/{domain.name}/{days[-1]}.html").exists()


def test_the_next_day_is_scored_beside_the_old_ones(old: Settings) -> None:
    stores = find_domain("stores")
    days = Lake(old).days(stores.results_table)
    lifecycle.build_features(old, stores, AS_OF)
    assert scoring.score(old, stores, AS_OF) is not None
    assert Lake(old).days(stores.results_table) == sorted({*days, AS_OF})


@pytest.mark.parametrize("table", ["footfall", "people", "stores"])
def test_old_deliveries_that_come_again_give_the_same_rows(old: Settings, table: str) -> None:
    """The suites have other words since, so what comes again is judged again; nothing is lost or doubled by it."""
    lake = Lake(old)
    before = lake.read(table).sort_by([("delivery", "ascending"), ("row", "ascending")])
    for delivery in ingestion.pending(old, table):
        ingestion.ingest(old, delivery)
        assert ingestion.land(old, delivery).unchanged
    assert lake.read(table).sort_by([("delivery", "ascending"), ("row", "ascending")]).equals(before)
