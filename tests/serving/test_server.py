"""The service as a process of its own: what it imports, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx

from pipeline.lake.tables import Lake
from pipeline.serving.prediction_log import PREDICTIONS
from pipeline.settings import Settings
from tests.serving.conftest import ready

ROOT = Path(__file__).resolve().parents[2]

BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("airflow", "great_expectations", "evidently", "plotly", "torch", "pytest"):
            raise ImportError(f"{name} is not in the image of the service")

sys.meta_path.insert(0, Blocked())
from pipeline.serving.app import create_app
from pipeline.settings import Settings
print(sorted(create_app(Settings(home=sys.argv[1])).openapi()["paths"]))
"""


def test_the_service_needs_neither_airflow_nor_great_expectations_nor_evidently(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BLOCKED, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "/footfall" in done.stdout


def test_it_ends_on_sigterm_when_what_runs_is_done_and_logged(own_shop: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"HOME": own_shop.home, "ARTIFACTS": own_shop.artifacts, "SOURCES": str(own_shop.sources)}
    process = subprocess.Popen(
        [sys.executable, "-c", "from pipeline.cli.app import main; main()", "serve", "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, **{f"AISLE_{name}": value for name, value in settings.items()}},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        statuses: list[int] = []
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            for _ in range(200):
                try:
                    client.get("/health/live")
                    break
                except httpx.ConnectError:
                    time.sleep(0.1)
            ready(client)
            body = {"rows": [{"visitors": n} for n in range(10_000)]}
            asking = threading.Thread(target=lambda: statuses.append(client.post("/footfall", json=body).status_code))
            asking.start()
            time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            asking.join(20)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert statuses == [200]
    assert process.returncode in (0, -signal.SIGTERM), said[-2000:]
    assert Lake(own_shop).read(PREDICTIONS).num_rows == 10_000
    assert all(line.startswith("{") for line in said.splitlines()), said[-2000:]
