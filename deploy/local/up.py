"""`make up`: a local Airflow and MLflow that run until Ctrl-C."""

from __future__ import annotations

import os
import time
from pathlib import Path

from rich.console import Console

from deploy.local.installation import PROJECT, LocalAirflow, LocalMlflow
from deploy.local.services import StartError, exclusive, interrupt_on_signals
from pipeline.settings import Settings, load_settings


def airflow_home(settings: Settings) -> Path:
    """The folder of Airflow's database and logs: that of `make demo` if it was run in this home, else the project's."""
    demo = Path(settings.home) / "airflow"
    return demo if (demo / "airflow.db").exists() else PROJECT / ".airflow"


def task_environment(settings: Settings) -> dict[str, str]:
    """The AISLE_* variables of the tasks: this process's own, with the home as an absolute path.

    If the home has a `sources.yaml`, as that of `make demo` has, it is used unless AISLE_SOURCES is set.
    """
    variables = {"AISLE_HOME": settings.home}
    if (sources := Path(settings.home) / "sources.yaml").exists():
        variables["AISLE_SOURCES"] = str(sources)
    own = {name: value for name, value in os.environ.items() if name.startswith("AISLE_") and name != "AISLE_HOME"}
    return variables | own


def main(console: Console) -> int:
    """Start Airflow and MLflow, print their addresses, and run them until interrupted; return the exit code."""
    interrupt_on_signals()
    settings = load_settings()
    home, variables = airflow_home(settings), task_environment(settings)
    try:
        with (
            exclusive(home),
            console.status("Airflow and MLflow are starting (about half a minute) …") as status,
            LocalMlflow(settings.mlflow_uri, settings.artifacts_uri, home / "logs" / "mlflow.log") as mlflow,
            LocalAirflow(home, {"AISLE_MLFLOW_URL": mlflow.url} | variables) as airflow,
        ):
            status.stop()
            console.print(f"Airflow   {airflow.url}  (reachable from this machine only)", highlight=False)
            console.print(f"Login     user admin, password {airflow.password}", highlight=False, markup=False)
            console.print(f"MLflow    {mlflow.url}", highlight=False)
            console.print(f"Tables    {settings.home}", highlight=False)
            console.print(f"Sources   {variables.get('AISLE_SOURCES', settings.sources)}", highlight=False)
            console.print(f"Logs      {home / 'logs'}", highlight=False)
            console.print("Unpause the DAGs to begin. Ctrl-C ends everything.")
            while True:
                airflow.check()
                mlflow.check()
                time.sleep(1)
    except KeyboardInterrupt:
        return 0
    except StartError as error:
        console.print(str(error), style="red", markup=False)
        return 1


if __name__ == "__main__":
    raise SystemExit(main(Console()))
