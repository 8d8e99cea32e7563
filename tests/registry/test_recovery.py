"""The registry after a kill, a full disk, a lock, a move of its home: it works, or says in a sentence why not."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor

from pipeline.errors import AisleError, RefusedError, UsageError
from pipeline.lake.tables import Lake
from pipeline.registry import database
from pipeline.registry.client import Registry
from pipeline.registry.records import Provenance
from pipeline.settings import Settings, load_settings

NAME = "footfall_buyers"
ROWS = pd.DataFrame({"visitors": [1.0, 2.0, 3.0]})
KEY, OTHER = "k" * 32, "o" * 32

KILLED_HALF_WAY = """
import os, signal, sys
import mlflow.store.db.utils as utils
utils._upgrade_db = lambda engine: os.kill(os.getpid(), signal.SIGKILL)
{start}
"""
OURS = """
from pipeline.registry.client import Registry
from pipeline.settings import load_settings
Registry(load_settings())
"""
OF_AN_EARLIER_RELEASE = """
from mlflow import MlflowClient
uri = f"sqlite:///{os.environ['AISLE_HOME']}/mlflow.db"
MlflowClient(tracking_uri=uri, registry_uri=uri)
"""


def python(code: str, home: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "AISLE_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        **options,
    )


def registered(settings: Settings, constant: float = 1.0) -> int:
    model = DummyRegressor(strategy="constant", constant=constant).fit(ROWS, [1.0, 2.0, 3.0])
    from datetime import date

    made_from = Provenance(date(2025, 1, 1), {}, ("visitors",), seed=int(constant), code="abc")
    registry = Registry(settings)
    version = registry.log_challenger(NAME, model, provenance=made_from, example=ROWS, metrics={"rmse": 1.0}).version
    registry.promote(NAME, version, by="test", reason="first")
    return version


def files_of(home: Path) -> list[Path]:
    return sorted(home.rglob("model.skops"))


@pytest.mark.parametrize("start", [OURS, OF_AN_EARLIER_RELEASE], ids=["ours", "an earlier release's"])
def test_a_first_start_that_is_killed_half_way_does_not_prevent_the_next(tmp_path: Path, start: str) -> None:
    killed = python(KILLED_HALF_WAY.format(start=start), tmp_path)
    assert killed.returncode == -9, killed.stderr
    assert Registry(Settings(home=str(tmp_path))).models() == []
    assert not list(tmp_path.glob("*.making*"))


def test_a_first_start_without_space_says_so_and_the_next_one_works(tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    full = python(
        "from pipeline.cli.app import main; import sys; sys.argv[1:] = ['models']; main()", tmp_path, preexec_fn=limit
    )
    assert full.returncode == 2
    assert "Traceback" not in full.stderr
    assert "model registry" in full.stderr
    assert "do next" in full.stderr
    assert Registry(Settings(home=str(tmp_path))).models() == []


def test_a_locked_database_is_a_sentence(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    with sqlite3.connect(Path(home.home) / "mlflow.db", isolation_level=None) as con:
        con.execute("BEGIN EXCLUSIVE")
        with pytest.raises(AisleError, match="is locked by another process"):
            Registry(home)
        con.execute("ROLLBACK")
    Registry(home)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("(sqlite3.OperationalError) attempt to write a readonly database", "cannot be written"),
        ("[Errno 30] Read-only file system: '/home/x'", "cannot be written"),
        ("(sqlite3.OperationalError) database or disk is full", "no space left"),
        ("[Errno 28] No space left on device", "no space left"),
        ("(sqlite3.DatabaseError) file is not a database", "not a database"),
        ("something else\nof many lines", "does not answer"),
    ],
)
def test_what_a_database_says_becomes_a_sentence_with_what_to_do(text: str, sentence: str) -> None:
    fault = database.fault_of(OSError(text), "here")
    assert sentence in fault.what
    assert fault.todo
    assert "\n" not in str(fault.observed)


def test_a_folder_of_model_files_that_is_missing_is_a_sentence(home: Settings) -> None:
    registered(home)
    shutil.rmtree(Path(home.home) / "mlflow-artifacts")
    with pytest.raises(RefusedError, match="The model's files cannot be read"):
        Registry(home).load(NAME)


def test_a_copied_home_uses_its_own_files_and_leaves_the_former_alone(home: Settings, tmp_path: Path) -> None:
    version = registered(home)
    copy = home.model_copy(update={"home": str(tmp_path / "copy")})
    shutil.copytree(home.home, copy.home)
    (former,) = files_of(Path(home.home))
    before = former.read_bytes()
    former.write_bytes(b"of the former home")
    assert Registry(copy).load(NAME).version.version == version
    registered(copy, constant=2.0)
    assert len(files_of(Path(copy.home))) == 2
    assert files_of(Path(home.home)) == [former]
    former.write_bytes(before)
    (own, *_) = files_of(Path(copy.home))
    for file in files_of(Path(copy.home)):
        file.unlink()
    with pytest.raises(RefusedError, match=str(copy.home)):
        Registry(copy).load(NAME, version)
    assert own.parent != former.parent
    assert Registry(home).load(NAME).version.version == version


def test_model_files_in_a_place_that_was_chosen_stay_there(home: Settings, tmp_path: Path) -> None:
    chosen = home.model_copy(update={"artifacts": str(tmp_path / "elsewhere" / "mlflow-artifacts")})
    registered(chosen)
    copy = chosen.model_copy(update={"home": str(tmp_path / "copy")})
    shutil.copytree(home.home, copy.home)
    Registry(copy).load(NAME)
    (file,) = files_of(tmp_path / "elsewhere")
    assert file.exists()


# Who may read it


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("no_umask")
def test_a_new_home_and_its_database_are_for_their_owner_alone(tmp_path: Path) -> None:
    settings = Settings(home=str(tmp_path / "made" / "home"))
    Lake(settings).write_blob("reports/a.html", b"a")
    assert mode(Path(settings.home)) == 0o700
    Registry(settings)
    assert mode(Path(settings.home) / "mlflow.db") == 0o600


def test_an_existing_home_is_closed_to_others(home: Settings) -> None:
    Path(home.home).chmod(0o755)
    (Path(home.home) / "mlflow.db").chmod(0o644)
    Registry(home)
    assert (mode(Path(home.home)), mode(Path(home.home) / "mlflow.db")) == (0o700, 0o600)


def test_a_home_that_is_shared_with_a_group_on_purpose_stays_so(home: Settings) -> None:
    Path(home.home).chmod(0o2775)
    (Path(home.home) / "mlflow.db").chmod(0o664)
    Registry(home)
    assert (mode(Path(home.home)), mode(Path(home.home) / "mlflow.db")) == (0o2770, 0o660)


# Signed by a key outside of it


def signed(home: Settings, *keys: str) -> Settings:
    return Settings(home=home.home, signing_key=",".join(keys), code_version="abc123")


def test_who_may_write_registry_and_files_cannot_have_another_model_used(home: Settings) -> None:
    settings = signed(home, KEY)
    version = registered(settings)
    Registry(settings).load(NAME)
    (file,) = Path(home.home, "mlflow-artifacts").rglob("MLmodel")
    file.write_text(file.read_text() + "\n# changed\n")
    from pipeline.registry.model_files import checksum

    store = Registry(settings)._store
    store.set_version_tag(NAME, version, "aisle.sha256", checksum(file.parent))
    Registry(home).load(NAME)  # without a key nobody would notice
    with pytest.raises(RefusedError, match="not signed by AISLE_SIGNING_KEY"):
        Registry(settings).load(NAME)


def forget(settings: Settings, version: int) -> None:
    Registry(settings)._store._client.delete_model_version_tag(NAME, str(version), "aisle.signature")


def rename(settings: Settings, version: int) -> None:
    Registry(settings)._store.set_version_tag(NAME, version, "aisle.signature", database_signature(OTHER))


def database_signature(key: str) -> str:
    from pipeline.registry.signatures import sign

    return sign(key, "another_model", "0" * 64)


@pytest.mark.parametrize("spoil", [forget, rename], ids=["no signature", "of another model"])
def test_a_model_without_a_right_signature_is_refused_until_someone_vouches(
    home: Settings, spoil: Callable[[Settings, int], None]
) -> None:
    settings = signed(home, KEY)
    version = registered(settings)
    spoil(settings, version)
    for use in (Registry(settings).load, Registry(settings).artefacts, Registry(settings).model_file):
        with pytest.raises(RefusedError, match=f"aisle sign {NAME} {version}"):
            use(NAME)
    Registry(settings).sign(NAME, version)
    Registry(settings).load(NAME)


def test_keys_are_changed_one_after_the_other(home: Settings) -> None:
    version = registered(signed(home, KEY))
    Registry(signed(home, OTHER, KEY)).load(NAME)
    with pytest.raises(RefusedError, match="not signed"):
        Registry(signed(home, OTHER)).load(NAME)
    Registry(signed(home, OTHER, KEY)).sign(NAME, version)
    Registry(signed(home, OTHER)).load(NAME)


def test_the_same_training_again_does_not_vouch_for_files_that_are_there(home: Settings) -> None:
    first = registered(home)
    assert registered(signed(home, KEY)) == first + 1


def test_without_a_key_there_is_nothing_to_sign_with(home: Settings) -> None:
    with pytest.raises(UsageError, match="no key"):
        Registry(home).sign(NAME, registered(home))


def test_a_short_key_is_refused_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISLE_SIGNING_KEY", "short-and-secret")
    with pytest.raises(UsageError, match="at least 32 characters") as fault:
        load_settings()
    assert "short-and-secret" not in str(fault.value)
    monkeypatch.setenv("AISLE_SIGNING_KEY", KEY)
    assert KEY not in repr(load_settings())
