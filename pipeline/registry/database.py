"""MLflow's SQLite database below a home: made whole or not at all, private, and naming only files of its own home."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import unquote

from filelock import FileLock, Timeout
from mlflow import MlflowClient

from pipeline.errors import AisleError
from pipeline.lake.files import make_private

SCHEME = "sqlite:///"
LOCK_SECONDS = 120
"""How long to wait for another process that is making the database; to make it takes seconds."""
BUSY_SECONDS = 10
"""How long to wait for another process that is writing to the database."""
_TEMPORARY = ".making"
_PATHS = (("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"))
_VERSION_PATHS = (("model_versions", "source"), ("model_versions", "storage_location"))


def database_file(uri: str) -> Path | None:
    """The file of a SQLite address; None for a server or another database."""
    return Path(unquote(uri.removeprefix(SCHEME))) if uri.startswith(SCHEME) else None


def prepare(uri: str, artifacts: str) -> None:
    """Make the SQLite database of an address if it is missing, and bring one that was moved or cut short in order.

    It is made under another name and renamed when it is complete, so that a process that is killed, or a disk that is
    full, leaves none. One that an earlier release left half-made, and that holds no model, is made again. Where the
    home was moved or copied, the addresses of the model files are rewritten to the files of this home.

    Args:
        uri: the address; nothing is done unless it is of a SQLite file.
        artifacts: the folder of the model files below the same home; empty if it is elsewhere.

    Raises:
        AisleError: if the file is no database, or another process keeps it locked.
    """
    file = database_file(uri)
    if file is None:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with _locked(file):
        if file.exists() and _is_half_made(file):
            file.unlink()
        if not file.exists():
            _make(file)
        make_private(file)
        if artifacts:
            _relocate(file, Path(artifacts))


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Let only one process at a time make or change the database as a whole."""
    if file.exists() and not os.access(file.parent, os.W_OK):
        # Where nothing can be written, nothing can be changed by others either.
        yield
        return
    try:
        with FileLock(f"{file}.lock", timeout=LOCK_SECONDS):
            yield
    except Timeout as error:
        raise AisleError(
            "Another process keeps the model registry locked",
            where=f"{file}.lock",
            observed=f"locked for {LOCK_SECONDS} s",
            todo="wait for that process, or end it if it hangs; then run the command again",
        ) from error


def _make(file: Path) -> None:
    temporary = file.with_name(file.name + _TEMPORARY)
    for left in file.parent.glob(f"{temporary.name}*"):
        left.unlink()
    try:
        uri = f"{SCHEME}{temporary}"
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_registered_models(max_results=1)
        _dispose(client)
        temporary.chmod(0o600)
        with temporary.open("rb+") as made:
            os.fsync(made.fileno())
        temporary.replace(file)
    finally:
        for left in file.parent.glob(f"{temporary.name}*"):
            left.unlink(missing_ok=True)


def _dispose(client: MlflowClient) -> None:
    """Close the connections that MLflow keeps to a database."""
    for store in (client._tracking_client.store, client._get_registry_client().store):  # type: ignore[no-untyped-call]
        if hasattr(store, "engine"):
            store.engine.dispose()


def _is_half_made(file: Path) -> bool:
    """Whether a first start was cut short here: the schema is not complete, and nothing was registered.

    Raises:
        AisleError: if the file is no database, or locked.
    """
    if file.stat().st_size == 0:
        return True
    with explained(file), closing(_connect(file)) as con:
        tables = {name for (name,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "alembic_version" in tables and con.execute("SELECT count(*) FROM alembic_version").fetchone()[0]:
            # MLflow itself refuses a schema of another release, and says how to migrate it.
            return False
        filled = (name for name in ("registered_models", "runs") if name in tables)
        return not any(con.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in filled)  # noqa: S608


def _relocate(file: Path, artifacts: Path) -> None:
    """Rewrite the addresses of model files that begin with the folder of another home to this home's folder."""
    with explained(file), closing(_connect(file)) as con:
        tables = {name for (name,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        known = (
            con.execute("SELECT name, artifact_location FROM experiments").fetchall() if "experiments" in tables else []
        )
        olds = {old for name, location in known if (old := _root_of(name, location)) and old != str(artifacts)}
        olds = {
            old for old in olds if not (Path(old).exists() and artifacts.exists() and Path(old).samefile(artifacts))
        }
        for old in olds:
            with con:
                for table, column in (*_PATHS, *_VERSION_PATHS):
                    if table in tables:
                        con.execute(
                            f"UPDATE {table} SET {column} = replace({column}, ?, ?) "  # noqa: S608
                            f"WHERE {column} LIKE ? OR {column} LIKE ?",
                            (f"{old}/", f"{artifacts}/", f"{old}/%", f"file://{old}/%"),
                        )


def _root_of(model: str, location: str | None) -> str:
    """The folder of all model files, from that of one model; empty for an address that the pipeline did not choose."""
    path = (location or "").removeprefix("file://")
    return (
        path.removesuffix(f"/{model}") if path.startswith("/") and path.endswith(f"/mlflow-artifacts/{model}") else ""
    )


@contextmanager
def explained(file: Path) -> Iterator[None]:
    """Say in a sentence what is wrong with the database.

    Raises:
        AisleError: for an error of SQLite.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise fault_of(error, str(file)) from error


def fault_of(error: Exception, where: str) -> AisleError:
    """The error of a database or its file as a sentence with what to do next."""
    text = str(error).strip()
    first = (text.splitlines() or [repr(error)])[0][:200]
    for sign, what, todo in _SIGNS:
        if sign in text.lower():
            return AisleError(what, where=where, observed=first, todo=todo)
    return AisleError(
        "The model registry does not answer as it should", where=where, observed=first, todo="aisle doctor"
    )


_AGAIN = "run the command again"
_SIGNS = (
    ("locked", "The model registry is locked by another process", f"wait for that process or end it, then {_AGAIN}"),
    ("readonly", "The model registry cannot be written to", f"make the home writable, then {_AGAIN}"),
    ("read-only", "The model registry cannot be written to", f"make the home writable, then {_AGAIN}"),
    ("disk is full", "There is no space left for the model registry", f"free space on its disk, then {_AGAIN}"),
    ("no space left", "There is no space left for the model registry", f"free space on its disk, then {_AGAIN}"),
    ("file too large", "There is no space left for the model registry", f"raise the limit on files, then {_AGAIN}"),
    ("disk i/o error", "The disk of the model registry fails or is full", f"look at the disk, then {_AGAIN}"),
    ("not a database", "The file of the model registry is not a database", "aisle repair registry"),
    ("malformed", "The file of the model registry is damaged", "aisle repair registry"),
    ("unable to open", "The file of the model registry cannot be opened", "see who may read and write the home"),
    ("permission denied", "The model registry may not be read or written", "see who may read and write the home"),
    ("no such table", "The model registry lacks a part of its tables", "aisle repair registry"),
)


def _connect(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{file}?mode={'rw' if os.access(file, os.W_OK) else 'ro'}", uri=True, timeout=BUSY_SECONDS
    )
