"""The service as a process of its own: what it imports, and how it ends."""

from __future__ import annotations

import http.client
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from pipeline.lake.tables import Lake
from pipeline.serving.prediction_log import PREDICTIONS
from pipeline.settings import Settings
from tests.serving.helpers import HANG_SECONDS, ready, until
from tests.serving.stub import PATH, WAITS

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
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=HANG_SECONDS, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "/footfall" in done.stdout


SERVE = [sys.executable, "-c", "from pipeline.cli.app import main; main()", "serve", "--port", "0"]


class ServiceProcess:
    """A service on a free port, and the lines of its log as they are written."""

    def __init__(self, command: Sequence[str], settings: Settings | None = None) -> None:
        variables = (
            {
                "HOME": settings.home,
                "ARTIFACTS": settings.artifacts,
                "SOURCES": str(settings.sources),
                "SERVE_TIMEOUT_SECONDS": str(HANG_SECONDS),
            }
            if settings
            else {}
        )
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **{f"AISLE_{name}": value for name, value in variables.items()}},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._unread: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            self._unread.put(line)
        self._unread.put("")

    def wait_for_line(self, pattern: str) -> re.Match[str]:
        """Wait for the next line of the log that matches."""
        while line := self._unread.get(timeout=HANG_SECONDS):
            if match := re.search(pattern, line):
                return match
        raise AssertionError(f"the service ended without a line like {pattern}: {self.lines[-20:]}")

    def wait_for_end(self) -> int:
        """Wait until the process has ended and its log is read; its exit code."""
        code = self.process.wait(HANG_SECONDS)
        self._reader.join(HANG_SECONDS)
        return code


STUCK = """
import sys, threading
import uvicorn
from pathlib import Path
from pipeline.serving import server
from pipeline.serving.app import create_app
from pipeline.settings import Settings
from tests.serving.stub import ENDPOINT, NumberPredictor, StubRegistry

class Never:
    def wait(self, seconds):
        print("stuck", file=sys.stderr, flush=True)
        threading.Event().wait()

NumberPredictor.go = Never()
server.CLOSING_SECONDS = float(sys.argv[2])
settings = Settings(home=sys.argv[1], serve_timeout_seconds=1, serve_log_seconds=86400)
app = create_app(settings, (ENDPOINT,), StubRegistry)
config = server.configure(app, settings, host="127.0.0.1", port=0)
server.Server(config, 0).run()
"""
"""A service that never ends a request for `WAITS`, and waits some seconds for it after a signal."""


@contextmanager
def stuck(home: Path, closing_seconds: float) -> Iterator[ServiceProcess]:
    """A process whose prediction thread never ends, after it has made predictions that are not logged yet."""
    command = [sys.executable, "-c", STUCK, str(home), str(closing_seconds)]
    service = ServiceProcess(command)
    try:
        port = int(service.wait_for_line(r"http://127\.0\.0\.1:(\d+)")[1])
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=HANG_SECONDS) as client:
            ready(client)
            assert client.post(PATH, json={"rows": [{"number": 5}] * 3}).status_code == 200
            assert client.post(PATH, json={"rows": [{"number": WAITS}]}).status_code == 503
        service.wait_for_line("stuck")
        yield service
    finally:
        service.process.kill()


def test_on_sigterm_predictions_are_logged_before_work_that_does_not_end_is_waited_for(tmp_path: Path) -> None:
    lake = Lake(Settings(home=str(tmp_path)))
    with stuck(tmp_path, closing_seconds=HANG_SECONDS) as service:
        service.process.send_signal(signal.SIGTERM)
        until(lambda: lake.exists(PREDICTIONS))
        # It still waits, and what it has predicted is safe if it is killed now.
        assert service.process.poll() is None
    assert lake.read(PREDICTIONS).num_rows == 3


def test_on_sigterm_work_that_does_not_end_is_abandoned(tmp_path: Path) -> None:
    """The thread waits for ever, so that only the bound ends the process."""
    with stuck(tmp_path, closing_seconds=0.5) as service:
        service.process.send_signal(signal.SIGTERM)
        assert service.wait_for_end() == 1
    assert any("abandoned" in line for line in service.lines)
    assert Lake(Settings(home=str(tmp_path))).read(PREDICTIONS).num_rows == 3


def test_on_sigterm_running_requests_are_answered_and_logged(own_shop: Settings) -> None:
    service = ServiceProcess(SERVE, own_shop)
    try:
        port = int(service.wait_for_line(r"http://127\.0\.0\.1:(\d+)")[1])
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=HANG_SECONDS) as client:
            ready(client)
            body = json.dumps({"rows": [{"visitors": n} for n in range(10_000)]}).encode()
            # The last byte is sent only after the signal: so the request certainly runs when it comes.
            wire = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_SECONDS)
            wire.putrequest("POST", "/footfall")
            wire.putheader("Content-Type", "application/json")
            wire.putheader("Content-Length", str(len(body)))
            wire.endheaders(body[:-1])
            # The request for the metrics is running as well.
            until(lambda: "aisle_requests_running 2.0" in client.get("/metrics").text)
            service.process.send_signal(signal.SIGTERM)
            service.wait_for_line("Shutting down")
            wire.send(body[-1:])
            response = wire.getresponse()
            answers: list[Any] = json.loads(response.read())["answers"]
        code = service.wait_for_end()
    finally:
        service.process.kill()
    assert (response.status, len(answers)) == (200, 10_000)
    assert code in (0, -signal.SIGTERM), service.lines[-20:]
    assert Lake(own_shop).read(PREDICTIONS).num_rows == 10_000
    assert all(line.startswith("{") for line in service.lines), service.lines[-20:]
