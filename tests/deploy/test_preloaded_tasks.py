"""Tasks of a real Airflow find their modules already imported, and the libraries work in them."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import httpx

from deploy.local.airflow_api import AirflowApi
from deploy.local.installation import LocalAirflow

DAG_FILE = """
import sys

LOADED = set(sys.modules)

from airflow.sdk import dag, task


@dag(schedule=None, params={"folder": ""})
def libraries():
    @task
    def use(folder: str) -> None:
        import json
        from datetime import date
        from pathlib import Path

        import lightgbm
        import mlflow
        import numpy as np
        import pyarrow as pa

        from pipeline.lake import engine
        from pipeline.lake.tables import Lake
        from pipeline.settings import load_settings

        settings = load_settings(home=folder)
        lake = Lake(settings)
        days = pa.array([date(2025, 1, 1)] * 1000, pa.date32())
        lake.replace("numbers", {"day": [date(2025, 1, 1)]}, pa.table({"day": days, "number": range(1000)}))
        total = engine.table(engine.connect(settings), lake, "numbers").number.sum().to_pyarrow().as_py()
        x = np.arange(2000.0).reshape(-1, 1)
        booster = lightgbm.train({"verbose": -1, "num_threads": 2}, lightgbm.Dataset(x, x[:, 0]), 20)
        mlflow.set_tracking_uri(settings.mlflow_uri)
        with mlflow.start_run() as run:
            mlflow.log_metric("error", 0.5)
        found = {
            "loaded": sorted(LOADED & {"pipeline.ingestion.steps", "evidently", "lightgbm", "mlflow", "duckdb"}),
            "total": total,
            "product": float((x.T @ x).item()),
            "learned": bool(booster.predict([[1500.0]])[0] > booster.predict([[500.0]])[0]),
            "metric": mlflow.get_run(run.info.run_id).data.metrics["error"],
        }
        Path(folder, "found.json").write_text(json.dumps(found))

    use("{{ params.folder }}")


libraries()
"""


def assert_nobody_gets_in_without_the_password(airflow: LocalAirflow) -> None:
    """Also not a web page that has its own name point to this machine, so that a browser here asks for it."""
    tries = [("GET", "/auth/token", None), ("GET", "/auth/token/login", None), ("GET", "/api/v2/dags", None)]
    tries += [("POST", "/auth/token", {"username": "admin", "password": word}) for word in ("", "admin", "wrong")]
    for host in (airflow.url.removeprefix("http://"), "attacker.example:8080"):
        for method, path, body in tries:
            answer = httpx.request(method, airflow.url + path, json=body, headers={"Host": host}, trust_env=False)
            assert answer.status_code in (400, 401, 403, 422), f"{method} {path} of {host}: {answer.status_code}"
            assert "access_token" not in answer.text
            assert not answer.cookies
    assert stat.S_IMODE((airflow.home / "passwords.json").stat().st_mode) == 0o600


def test_a_task_finds_its_modules_and_the_libraries_work(tmp_path: Path) -> None:
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "libraries.py").write_text(DAG_FILE)
    results = tmp_path / "results"
    results.mkdir()
    settings = {"AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags")}
    with (
        LocalAirflow(tmp_path / "airflow", settings) as airflow,
        AirflowApi(airflow.url, airflow.password, airflow.check) as api,
    ):
        assert_nobody_gets_in_without_the_password(airflow)
        api.wait_for_dags({"libraries"}, timeout=120)
        api.unpause("libraries")
        api.wait_run("libraries", api.trigger("libraries", {"folder": str(results)}), timeout=300)
    found = json.loads((results / "found.json").read_text())
    assert found == {
        "loaded": ["evidently", "lightgbm", "mlflow", "pipeline.ingestion.steps"],
        "total": 499500,
        "learned": True,
        "product": sum(n * n for n in range(2000)),
        "metric": 0.5,
    }
