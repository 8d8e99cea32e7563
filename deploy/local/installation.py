"""A local Airflow (scheduler, DAG processor, API server) and MLflow server, reachable from this machine only."""

from __future__ import annotations

import json
import os
import secrets
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from deploy.local.services import HOST, Port, Service, run_once, stop_all, wait_until_healthy

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

PROJECT = Path(__file__).resolve().parents[2]


def base_environment() -> dict[str, str]:
    """This process's environment without the settings of another Airflow."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "_AIRFLOW_"))}
    return kept | {"PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"}


def write_password(file: Path) -> None:
    """Make a password for the user `admin` where Airflow's simple auth manager reads it, unless there is one.

    Only this user can read the file.
    """
    if not file.exists():
        temporary = file.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps({"admin": secrets.token_urlsafe(16)}), encoding="utf-8")
        temporary.replace(file)


class LocalServer(ABC):
    """A server on this machine that runs inside a `with` block, which begins when it is healthy.

    Attributes:
        port: the port of its UI and API.
    """

    port: int

    @property
    def url(self) -> str:
        """The address of its UI and API."""
        return f"http://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @abstractmethod
    def start(self) -> None:
        """Start its processes."""

    @abstractmethod
    def wait_ready(self) -> None:
        """Wait until it is healthy; raise StartError if it ends before or takes too long."""

    @abstractmethod
    def stop(self) -> None:
        """End its processes."""


@dataclass
class LocalAirflow(LocalServer):
    """Airflow in a folder: LocalExecutor on SQLite, listening on 127.0.0.1 only.

    Who knows the password is an admin, and no other machine can reach it. Without a password, a web page could make a
    browser on this machine ask for an admin's token, by having its own name point here (DNS rebinding). It is not an
    installation for production; docker-compose.yaml is a starting point for one.

    Attributes:
        home: the folder of its database, logs and configuration.
        settings: AISLE_* variables of the tasks.
        port: the port of its UI and REST API; another free one if it is taken.
        timeout: seconds that it may take to start.
    """

    home: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    port: int = 8080
    timeout: float = 120

    def __post_init__(self) -> None:
        self.home = self.home.absolute()
        self._port = Port(self.port)
        self.port = self._port.number
        self._services: list[Service] = []
        self._environment = base_environment() | self._configuration() | dict(self.settings)

    @property
    def password(self) -> str:
        """The password of the user `admin`, made at the first start in this folder."""
        return str(json.loads(self._passwords.read_text(encoding="utf-8"))["admin"])

    @property
    def _passwords(self) -> Path:
        return self.home / "passwords.json"

    def start(self) -> None:
        """Migrate the database and start the components."""
        self.home.mkdir(parents=True, exist_ok=True)
        write_password(self._passwords)
        airflow = [sys.executable, "-m", "airflow"]
        logs = self.home / "logs" / "components"
        run_once("airflow db migrate", [*airflow, "db", "migrate"], logs / "migrate.log", self._environment, PROJECT)
        commands = {
            "api-server": ["api-server", "--host", HOST, "--port", str(self.port), "--workers", "1"],
            # Task logs are read from the folder, so no server for them is needed.
            "scheduler": ["scheduler", "--skip-serve-logs"],
            "dag-processor": ["dag-processor"],
        }
        for name, arguments in commands.items():
            service = Service(
                f"airflow {name}", [*airflow, *arguments], logs / f"{name}.log", self._environment, PROJECT
            )
            service.start()
            self._services.append(service)

    def wait_ready(self) -> None:
        """Wait until every component reports that it is healthy.

        Raises:
            StartError: if one ends or the time is over, with the last lines of its log.
        """

        def healthy(answer: httpx.Response) -> bool:
            parts = answer.json()
            return all(parts[name]["status"] == "healthy" for name in ("metadatabase", "scheduler", "dag_processor"))

        url = f"{self.url}/api/v2/monitor/health"
        wait_until_healthy(url, self._services, self.timeout, healthy, server=self._services[0])

    def check(self) -> None:
        """Raise StartError if a component has ended."""
        for service in self._services:
            service.check()

    def stop(self) -> None:
        """End every component and all processes that it started."""
        stop_all(self._services)
        self._services.clear()
        self._port.release()

    def _configuration(self) -> dict[str, str]:
        values: dict[str, dict[str, object]] = {
            "core": {
                "dags_folder": PROJECT / "dags",
                "plugins_folder": PROJECT / "plugins",
                "load_examples": False,
                "executor": "LocalExecutor",
                "parallelism": 4,
                "execution_api_server_url": f"{self.url}/execution/",
                "simple_auth_manager_users": "admin:admin",
                "simple_auth_manager_passwords_file": self._passwords,
            },
            "database": {"sql_alchemy_conn": f"sqlite:///{self.home / 'airflow.db'}"},
            "scheduler": {"scheduler_idle_sleep_time": 0.1, "enable_health_check": False},
            "dag_processor": {"refresh_interval": 30},
            "api": {"base_url": self.url, "secret_key": secrets.token_urlsafe(32)},
            "api_auth": {"jwt_secret": secrets.token_urlsafe(64)},
            "logging": {"base_log_folder": self.home / "logs"},
            "usage_data_collection": {"enabled": False},
        }
        flat = {
            f"AIRFLOW__{section.upper()}__{name.upper()}": str(value)
            for section, options in values.items()
            for name, value in options.items()
        }
        return {"AIRFLOW_HOME": str(self.home), **flat}


@dataclass
class LocalMlflow(LocalServer):
    """MLflow's server, listening on 127.0.0.1 only.

    Attributes:
        store: its database.
        artifacts: the folder or bucket of the model files.
        log: the file of its log.
        port: the port of its UI; another free one if it is taken.
        timeout: seconds that it may take to start.
    """

    store: str
    artifacts: str
    log: Path
    port: int = 5000
    timeout: float = 90

    def __post_init__(self) -> None:
        self._port = Port(self.port)
        self.port = self._port.number
        environment = base_environment() | {
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
        }
        command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(self.port), "--workers", "1"]
        # Another name that points here is refused, so that no web page reaches the server through a browser.
        command += ["--allowed-hosts", f"{HOST}:{self.port},localhost:{self.port}"]
        command += ["--backend-store-uri", self.store, "--default-artifact-root", self.artifacts]
        self._service = Service("mlflow server", command, self.log.absolute(), environment, PROJECT)

    def start(self) -> None:
        """Start the server."""
        self._service.start()

    def wait_ready(self) -> None:
        """Wait until it is healthy.

        Raises:
            StartError: if it ends or the time is over, with the last lines of its log.
        """
        wait_until_healthy(f"{self.url}/health", [self._service], self.timeout, server=self._service)

    def check(self) -> None:
        """Raise StartError if it has ended."""
        self._service.check()

    def stop(self) -> None:
        """End the server and all processes that it started."""
        self._service.stop()
        self._port.release()
