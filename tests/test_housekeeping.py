"""Housekeeping keeps what the registered models were trained on, and removes nothing if it cannot know that."""

from __future__ import annotations

import os
import re
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pytest
from sklearn.linear_model import LinearRegression

from pipeline.errors import RefusedError
from pipeline.housekeeping import keep_house
from pipeline.lake.tables import Lake
from pipeline.registry.client import Registry
from pipeline.registry.records import Provenance

if TYPE_CHECKING:
    from pipeline.settings import Settings

TABLE, DAY = "customer_features", date(2025, 3, 3)
TRAINED_ON = 2


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What other processes left on this machine does not count."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))


def rows(value: int) -> pa.Table:
    return pa.table({"as_of": pa.array([DAY], pa.date32()), "value": pa.array([value])})


@pytest.fixture
def used(home: Settings) -> Settings:
    """A home of two months ago, with a model that was trained on version 2 of a table's five versions."""
    lake = Lake(home)
    for value in range(5):
        lake.replace(TABLE, {"as_of": [DAY]}, rows(value))
    provenance = Provenance(DAY, {TABLE: TRAINED_ON}, ("value",), seed=7, code="abc123")
    frame = pd.DataFrame({"value": [1.0, 2.0]})
    model = LinearRegression().fit(frame, [1.0, 2.0])
    Registry(home).log_challenger("some_model", model, provenance=provenance, metrics={}, example=frame)
    lake.write_blob("reports/customers/2025-03-03.html", b"page")
    past = time.time() - 60 * 86400
    for file in Path(home.home, "lake").rglob("*"):
        if file.suffix == ".json":
            text = re.sub(r'"(deletionTimestamp|timestamp)":\d+', rf'"\1":{int(past * 1000)}', file.read_text())
            file.write_text(text)
        os.utime(file, (past, past))
    for value in range(9):
        lake.append("appended", rows(value), ["as_of"])
    return home


def versions(settings: Settings) -> list[int]:
    """The versions of the table that can be read."""
    found = []
    for version in range(5):
        try:
            Lake(settings).read(TABLE, version)
        except RefusedError:
            continue
        found.append(version)
    return found


def test_what_models_were_trained_on_stays(used: Settings) -> None:
    planned = keep_house(used, dry_run=True)
    assert versions(used) == [0, 1, 2, 3, 4]
    done = keep_house(used)
    assert done == planned
    assert versions(used) == [TRAINED_ON, 4]
    assert (done.joined, done.versions[TABLE].files, done.reports.files) == ({"appended": 9}, 3, 0)
    assert done.removed == done.versions[TABLE]
    assert Lake(used).read("appended").num_rows == 9
    assert keep_house(used).removed.files == 0


def test_the_settings_say_what_is_old(used: Settings) -> None:
    assert keep_house(used.model_copy(update={"keep_versions_days": 90})).removed.files == 0
    assert keep_house(used, now=datetime.now(UTC) + timedelta(days=401)).reports.files == 1


def test_nothing_is_removed_if_the_registry_cannot_be_read(used: Settings) -> None:
    Path(used.home, "mlflow.db").write_bytes(b"no database")
    with pytest.raises(Exception, match=r"database|registry"):
        keep_house(used)
    assert versions(used) == [0, 1, 2, 3, 4]


def test_old_predictions_are_removed(home: Settings) -> None:
    """The oldest day that stays is the first of the days that the setting keeps."""
    today = date(2025, 6, 1)
    kept = today - timedelta(days=home.keep_predictions_days)
    lake = Lake(home)
    for day in (kept - timedelta(days=400), kept - timedelta(days=1), kept, today):
        lake.append("predictions", pa.table({"day": pa.array([day], pa.date32()), "inputs": ["{}"]}), ["day"])
    now = datetime(today.year, today.month, today.day, 12, tzinfo=UTC)
    assert keep_house(home, dry_run=True, now=now).predictions == 2
    assert len(lake.days("predictions")) == 4
    assert keep_house(home, now=now).predictions == 2
    assert lake.days("predictions") == [kept, today]
    assert keep_house(home, now=now).predictions == 0
