"""`make up`: a local Airflow and MLflow that stay, until Ctrl-C."""

from __future__ import annotations

import os
import time

from rich.console import Console

from deploy.local.installation import PROJECT, LocalAirflow, LocalMlflow
from deploy.local.services import StartError, end_as_if_by_hand
from pipeline.settings import load_settings

HOME = PROJECT / ".airflow"


def main(console: Console) -> int:
    """Start both, say where they are, and hold them until interrupted; the exit code."""
    end_as_if_by_hand()
    settings = load_settings()
    own = {name: value for name, value in os.environ.items() if name.startswith("AISLE_")}
    try:
        with (
            console.status("Airflow and MLflow are starting (about half a minute) …"),
            LocalMlflow(settings.mlflow_uri, settings.artifacts_uri, HOME / "logs" / "mlflow.log") as mlflow,
            LocalAirflow(HOME, {"AISLE_HOME": settings.home} | own) as airflow,
        ):
            console.print(f"Airflow   {airflow.url}  (no login; open to this machine only)", highlight=False)
            console.print(f"MLflow    {mlflow.url}", highlight=False)
            console.print(f"Tables    {settings.home}", highlight=False)
            console.print(f"Logs      {HOME / 'logs'}", highlight=False)
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
