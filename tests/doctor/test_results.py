"""What is made from the clean tables, and the registry: whatever breaks is noticed, and the advice puts it right."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from mlflow.store.model_registry import sqlalchemy_store as model_registry
from mlflow.store.tracking import sqlalchemy_store as tracking

from pipeline.doctor.comparisons import shared_faults
from pipeline.doctor.derived import repair_derived
from pipeline.lake.tables import Lake
from pipeline.registry.client import Registry
from pipeline.settings import Settings, load_settings
from pipeline.stores.evaluation_store import TRIALS_TABLE
from tests.doctor.helpers import aisle, faults, follow
from tests.helpers import made_once

ROOT = Path(__file__).resolve().parents[2]
MODEL, DOMAIN, TRAINED, DAY = "footfall_buyers", "footfall", "2024-03-01", "2024-04-01"
FEATURES, RESULTS = "footfall_features", "footfall_predictions"


def environment(patch: pytest.MonkeyPatch, home: Path) -> None:
    patch.setenv("AISLE_HOME", str(home))
    patch.setenv("AISLE_SOURCES", str(ROOT / "sources.yaml"))
    patch.setenv("AISLE_EXPECTATIONS", str(ROOT / "expectations"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Path:
    """A home with three months of footfall, scored, reported and watched."""

    def make(folder: Path) -> None:
        shutil.copy(empty_mlflow, folder / "mlflow.db")
        with pytest.MonkeyPatch.context() as patch:
            environment(patch, folder)
            for command in (
                ("ingest", "footfall", "--from", "2024-01-01", "--until", DAY),
                ("train", MODEL, "--as-of", TRAINED),
                ("score", DOMAIN),
                ("watch",),
            ):
                done = aisle(*command)
                assert done.exit_code == 0, (command, done.output, done.exception)

    return made_once(tmp_path_factory, "doctor-footfall", make)


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A copy of it: the registry's addresses are rewritten when it is opened."""
    shutil.copytree(made, tmp_path / "copy")
    environment(monkeypatch, tmp_path / "copy")
    return load_settings()


def state(settings: Settings) -> dict[str, Any]:
    lake = Lake(settings)
    tables = {name: sorted(lake.read(name).to_pylist(), key=str) for name in (FEATURES, RESULTS, "drift")}
    return {**tables, "champion": Registry(settings).champion(MODEL) is not None}


def files(settings: Settings, table: str, pattern: str) -> list[Path]:
    return sorted(Path(settings.home, "lake", table).rglob(pattern))


def lose_table(table: str) -> Callable[[Settings], None]:
    return lambda settings: shutil.rmtree(Path(settings.home, "lake", table))


def empty_log(table: str) -> Callable[[Settings], None]:
    return lambda settings: [file.unlink() for file in files(settings, table, "*.json")] and None


def lose_data(table: str) -> Callable[[Settings], None]:
    return lambda settings: Path(Lake(settings).files(table)[0]).unlink()


def rewrite(table: str, change: Callable[[pa.Table], pa.Table]) -> Callable[[Settings], None]:
    def write(settings: Settings) -> None:
        write_deltalake(str(Path(settings.home, "lake", table)), change(Lake(settings).read(table)), mode="overwrite")

    return write


def half(rows: pa.Table) -> pa.Table:
    return rows[: rows.num_rows // 2]


def doubled(rows: pa.Table) -> pa.Table:
    return pa.concat_tables([rows, rows])


def changed(rows: pa.Table) -> pa.Table:
    name = next(field.name for field in rows.schema if pa.types.is_floating(field.type))
    cells = [(value or 0.0) + 1 for value in rows[name].to_pylist()]
    return rows.set_column(rows.schema.get_field_index(name), name, pa.array(cells, rows[name].type))


def cut_page(settings: Settings) -> None:
    page = Path(settings.home, "reports", DOMAIN, f"{DAY}.html")
    page.write_bytes(page.read_bytes()[:500])


def cut_summary(settings: Settings) -> None:
    (summary,) = Path(settings.home, "reports", "drift", MODEL).glob("*.json")
    summary.write_bytes(summary.read_bytes()[:20])


def disconnect() -> None:
    """Close what MLflow keeps open in this process; the next command would be another process."""
    for store in (tracking.SqlAlchemyStore, model_registry.SqlAlchemyStore):
        for engine in store._engine_map.values():
            engine.dispose()


def lose_database(settings: Settings) -> None:
    disconnect()
    Path(settings.home, "mlflow.db").unlink()


def spoil_database(settings: Settings) -> None:
    disconnect()
    Path(settings.home, "mlflow.db").write_bytes(b"no database at all" * 500)


def model_file(settings: Settings) -> Path:
    (file,) = Path(settings.home, "mlflow-artifacts").rglob("model.skops")
    return file


def lose_models(settings: Settings) -> None:
    shutil.rmtree(Path(settings.home, "mlflow-artifacts"))


def lose_model(settings: Settings) -> None:
    model_file(settings).unlink()


def change_model(settings: Settings) -> None:
    model_file(settings).write_bytes(model_file(settings).read_bytes() + b" ")


DEEP = ("--deep",)
CORRUPTIONS: dict[str, tuple[Callable[[Settings], None], tuple[str, ...]]] = {
    "the features are gone": (lose_table(FEATURES), ()),
    "the features' log is emptied": (empty_log(FEATURES), ()),
    "a data file of the features is missing": (lose_data(FEATURES), ()),
    "rows of the features are lost": (rewrite(FEATURES, half), ()),
    "rows of the features are changed": (rewrite(FEATURES, changed), DEEP),
    "the results are gone": (lose_table(RESULTS), ()),
    "the results' log is emptied": (empty_log(RESULTS), ()),
    "rows of the results are doubled": (rewrite(RESULTS, doubled), ()),
    "rows of the results are changed": (rewrite(RESULTS, changed), DEEP),
    "a page is half written": (cut_page, ()),
    "the table of drift is gone": (lose_table("drift"), ()),
    "a data file of the table of drift is missing": (lose_data("drift"), ()),
    "rows of the table of drift are changed": (rewrite("drift", changed), DEEP),
    "a summary of drift is half written": (cut_summary, ()),
    "the record of promotions is gone": (lose_table("promotions"), ()),
    "the log of the record of promotions is emptied": (empty_log("promotions"), ()),
    "a data file of the record of promotions is missing": (lose_data("promotions"), ()),
    "the registry's database is missing": (lose_database, ()),
    "the registry's database is broken": (spoil_database, ()),
    "every model file is missing": (lose_models, ()),
    "a model file is missing": (lose_model, ()),
    "a model file is changed": (change_model, ()),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_is_noticed_and_what_the_doctor_advises_mends_it(home: Settings, name: str) -> None:
    corrupt, options = CORRUPTIONS[name]
    before = state(home)
    corrupt(home)
    found = faults(*options)
    assert found, "the doctor says that all is well"
    follow(found)
    if name == "a data file of the record of promotions is missing":
        # The record is written anew first; then the champion has none.
        follow(faults())
    assert faults("--deep") == []
    assert state(home) == before


def test_a_home_that_is_well_is_said_to_be(home: Settings) -> None:
    assert faults("--deep") == []


def test_an_evaluation_without_its_rows_or_its_evidence_is_made_again(home: Settings) -> None:
    lake = Lake(home)
    rows = pa.table({"store": [1], "forecast": [2.0], "as_of": [DAY], "candidate": ["linear"]})
    lake.replace(TRIALS_TABLE, {"as_of": [DAY], "candidate": ["linear"]}, rows)
    lake.write_blob(f"trials/store_sales/{DAY}/linear.json", b'{"made_from": {}}')
    assert shared_faults(home) == []
    lake.write_blob(f"trials/store_sales/{DAY}/other.json", b'{"made_from": {}}')
    lake.write_blob(f"trials/store_sales/{DAY}/linear.json", b'{"made_f')
    assert {fault.remedy for fault in shared_faults(home)} == {f"aisle repair {TRIALS_TABLE}"}
    repair_derived(home, TRIALS_TABLE)
    assert shared_faults(home) == []
    assert not list(Path(home.home, "trials").rglob("*.json"))
