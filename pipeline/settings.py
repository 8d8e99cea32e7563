"""The settings, read from environment variables `AISLE_*`, and what else is read from the environment.

No other module reads it; `telemetry.py` sets the switches of libraries.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from fsspec import __version__ as fsspec_version
from fsspec import get_filesystem_class
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError
from upath import UPath

from pipeline import redaction
from pipeline.errors import UsageError

Scope = Literal["predict", "read", "admin"]
"""What a key allows: predictions; reading models, metrics and reports; everything, also reloading champions."""
SCOPES: tuple[Scope, ...] = get_args(Scope)

MAX_DELIVERY_BYTES = 4 << 30
"""How many bytes a delivery may have by default when it is unpacked."""
MIN_KEY_LENGTH = 32
"""Characters of a signing key; a shorter one could be guessed."""

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


class ApiKey(BaseModel):
    """The hash and the scopes of a key of the prediction service; `aisle key` makes them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scopes: frozenset[Scope] = Field(min_length=1)


class Settings(BaseSettings):
    """Locations, limits on memory and threads, and options of the pipeline and the prediction service.

    Relative local paths are relative to the working directory. `home` may be a bucket (`gs://…`, `s3://…`).
    """

    model_config = SettingsConfigDict(env_prefix="AISLE_", frozen=True, extra="ignore")

    home: str = Field(".aisle", description="Folder or bucket that holds the lake, the registry and the reports.")
    sources: Path = Field(
        default_factory=lambda: _local_or_packaged("sources.yaml"),
        description="The mapping file: where each table's deliveries are. Default: that of the working directory, "
        "else the package's, which simulates shops.",
    )
    data: str = Field(".", description="Folder that relative addresses in the mapping file start from.")
    expectations: Path = Field(
        default_factory=lambda: _local_or_packaged("expectations"),
        description="Folder of the Great Expectations suites. Default: that of the working directory, else the "
        "package's.",
    )
    tracking_uri: str = Field("", description="MLflow's database or server; empty: a SQLite file under `home`.")
    artifacts: str = Field("", description="Where MLflow keeps model files; empty: a folder under `home`.")
    mlflow_url: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="Where people open MLflow, such as https://mlflow.example.org; pages link to it. Empty: no links.",
    )
    storage_options: dict[str, str] = Field(
        default_factory=dict, description="JSON of options that Delta Lake needs to reach a bucket (see docs)."
    )
    max_delivery_bytes: int = Field(
        MAX_DELIVERY_BYTES, ge=1, description="How many bytes a delivery may have when it is unpacked; more refuse it."
    )
    memory_limit: str = Field(
        "4GB",
        pattern=r"^\d+(\.\d+)? ?[KMGT]i?B$",
        description="The engine's memory limit; beyond it, it spills to disk.",
    )
    threads: int = Field(2, ge=1, description="Threads of the engine.")
    seed: int = Field(7, description="Random seed.")
    log_level: LogLevel = Field("INFO", description="Minimum level of log lines: DEBUG, INFO, WARNING or ERROR.")
    window_days: int = Field(365, ge=1, description="How far back customer features look, in days.")
    keep_versions_days: int = Field(30, ge=7, description="How long replaced versions of tables stay, in days.")
    keep_predictions_days: int = Field(
        90, ge=28, description="How long predictions stay in the service's log, in days."
    )
    keep_reports_days: int = Field(400, ge=7, description="How long report pages stay, in days.")
    preload: bool = Field(True, description="Whether Airflow's scheduler imports the libraries of its tasks once.")
    signing_key: SecretStr = Field(
        SecretStr(""),
        description="Key that signs models and verifies them, at least 32 characters; several separated by commas, "
        "of which the first one signs. Empty: models are not signed.",
    )
    code_version: str = Field("", description="Commit of the running code, recorded with every model.")

    api_keys: dict[str, ApiKey] = Field(
        default_factory=dict, description="JSON: name -> {sha256, scopes}. None: the service answers on loopback only."
    )
    serve_models: frozenset[str] = Field(
        frozenset(), description="JSON list of models that must be loaded to be ready; empty: all with a champion."
    )
    serve_poll_seconds: float = Field(30, gt=0, description="How often the registry is polled for new champions.")
    serve_timeout_seconds: float = Field(10, gt=0, description="How long a request may take.")
    serve_queue: int = Field(500, ge=1, description="Requests of one model that may wait; more get 429.")
    serve_connections: int = Field(
        100, ge=1, description="Connections of one address; give a proxy in front of the service more."
    )
    serve_rate: str = Field(
        "6000/minute", pattern=r"^\d+/(second|minute|hour)$", description="Requests a key may make."
    )
    serve_log_rows: int = Field(100_000, ge=0, description="Predictions that wait to be logged; more are dropped.")
    serve_log_seconds: float = Field(60, gt=0, description="How often predictions are written to the lake.")
    serve_shadow: bool = Field(False, description="Score challengers in the background and log their predictions.")
    serve_canary: float = Field(0, ge=0, le=1, description="Share of requests that a challenger answers.")

    @field_validator("home", "data")
    @classmethod
    def _absolute(cls, value: str) -> str:
        """Make a local folder absolute, because tasks run in other working directories."""
        return value if "://" in value else str(Path(value).expanduser().absolute())

    @field_validator("sources", "expectations")
    @classmethod
    def _absolute_path(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @model_validator(mode="after")
    def _remember_secrets(self) -> Self:
        """Have the passwords in these settings hidden in whatever people get to see."""
        options = self.storage_options
        addresses = (self.home, self.data, self.tracking_uri, self.artifacts, str(self.sources), *options.values())
        redaction.remember(secret for address in addresses for secret in redaction.secrets_of(address))
        redaction.remember(self.signing_keys)
        redaction.remember(value for name, value in options.items() if redaction.SECRET_NAME.search(name))
        return self

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """The settings without passwords, for tracebacks and debuggers."""
        hidden = {"storage_options", "api_keys"}
        for name, value in super().__repr_args__():
            yield name, redaction.HIDDEN if name in hidden else redaction.redact(value)

    @field_validator("signing_key")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if any(len(key) < MIN_KEY_LENGTH for key in _keys(value)):
            raise ValueError(f"each key must have at least {MIN_KEY_LENGTH} characters")
        return value

    @property
    def signing_keys(self) -> tuple[str, ...]:
        """The keys by which a model may be signed; the first of them signs. None: models are not signed."""
        return _keys(self.signing_key)

    @property
    def home_path(self) -> UPath:
        """`home` as a path, which is local or in a bucket.

        Raises:
            UsageError: if nothing is installed that reaches such an address.
        """
        if fault := unreachable(self.home):
            raise UsageError("The home cannot be reached", where="AISLE_HOME", observed=fault)
        return UPath(self.home)

    @property
    def mlflow_uri(self) -> str:
        """MLflow's tracking server or database: the configured one, else a SQLite file under a local home."""
        if self.tracking_uri:
            return self.tracking_uri
        if "://" in self.home:
            raise UsageError(
                "A home in a bucket cannot hold MLflow's database",
                where="AISLE_TRACKING_URI",
                observed="empty",
                allowed="an MLflow server (https://…) or database (postgresql://…)",
                todo="set AISLE_TRACKING_URI",
            )
        return f"sqlite:///{self.home}/mlflow.db"

    @property
    def artifacts_uri(self) -> str:
        """The folder or bucket of MLflow's model files."""
        return self.artifacts or str(self.home_path / "mlflow-artifacts")


def _keys(value: SecretStr) -> tuple[str, ...]:
    return tuple(key for part in value.get_secret_value().split(",") if (key := part.strip()))


def unreachable(address: str) -> str | None:
    """Return why nothing that is installed reaches an address, or None; nothing is connected to."""
    if "://" not in address:
        return None
    scheme = address.partition("://")[0]
    try:
        get_filesystem_class(scheme)
    except ImportError as error:
        # s3fs is not among the locked packages: it binds botocore to one version, and with it everything of Amazon's.
        package = f": pip install s3fs=={fsspec_version}" if scheme in ("s3", "s3a") else ""
        return f"{scheme}:// needs a package that is not installed{package} ({error})"
    except ValueError:
        return f"{scheme}:// is no kind of address that is known"
    return None


def _local_or_packaged(name: str) -> Path:
    """A file or folder of the working directory; where there is none, the one that is installed with the package."""
    local = Path(name)
    return local if local.exists() else Path(str(files("pipeline"))) / "defaults" / name


def load_settings(**changes: object) -> Settings:
    """Read the settings from the environment; `changes` override it.

    Raises:
        UsageError: naming every variable whose value is not allowed.
    """
    try:
        return Settings(**changes)  # type: ignore[arg-type]
    except ValidationError as error:
        # The values of storage options and keys may be secret.
        faults = [
            f"AISLE_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}"
            + ("" if e["loc"][0] in ("storage_options", "api_keys", "signing_key") else f", not {e['input']!r}")
            for e in error.errors()
        ]
        raise UsageError(
            "A setting has a value that is not allowed", where="AISLE_* variables", observed="; ".join(faults)
        ) from None
    except SettingsError as error:
        raise UsageError(
            "A setting is not readable as JSON", where="AISLE_* variables", observed=error, allowed='{"key": "value"}'
        ) from None


@contextmanager
def variables_set(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables that libraries read when they are loaded, and restore them afterwards."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ |= variables
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def blas_threads() -> int:
    """Return the number of threads that a matrix product may use: `OPENBLAS_NUM_THREADS`, else the usable cores."""
    given = os.environ.get("OPENBLAS_NUM_THREADS")
    return int(given) if given else len(os.sched_getaffinity(0))
