"""What the libraries do is seen from outside, in a fresh interpreter that reports every connection it tries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A process that is started (Evidently's telemetry runs in one) would connect unseen, so starting one counts as well;
# these only look at the machine.
WATCHER = """
import atexit, sys
tried = []
LOOKERS = ("uname", "lscpu", "/sbin/ldconfig")
def watch(event, args):
    if event == "socket.connect" and isinstance(args[1], tuple):
        tried.append(f"{event} {args[1]}")
    elif event == "subprocess.Popen" and args[0] in LOOKERS:
        pass
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "subprocess.Popen", "os.system"):
        tried.append(f"{event} {args[:2]}")
sys.addaudithook(watch)
# Only what is on standard output counts; exit handlers that flush a queue have run by the time this one does.
atexit.register(lambda: print(*(f"TRIED {line}" for line in tried), sep="\\n"))
"""

USE = {
    "mlflow": """
from datetime import date
import numpy as np, pandas as pd
from sklearn.cluster import KMeans
from pipeline.registry.client import Registry
from pipeline.registry.records import Provenance
from pipeline.settings import Settings
rows = pd.DataFrame(np.random.default_rng(7).random((20, 2)), columns=["a", "b"])
registry = Registry(Settings(home="{home}"))
made_from = Provenance(date(2024, 1, 1), {{"t": 1}}, ("a", "b"), 7, "abc")
model = KMeans(2, n_init=1, random_state=7).fit(rows)
version = registry.log_challenger("m", model, provenance=made_from, example=rows, metrics={{"s": 1.0}})
registry.promote("m", version.version, by="test", reason="test")
registry.load("m")
""",
    "evidently": """
import numpy as np, pandas as pd
from pipeline.monitoring.drift import compare
from pipeline.training.monitored import Method
rows = pd.DataFrame({{"a": np.random.default_rng(7).random(600)}})
compare(rows, rows, {{"a": Method("wasserstein", 0.2)}}, seed=7, sample=1000, minimum_rows=500)
""",
    "great_expectations": """
import great_expectations as gx, pandas as pd
batch = (
    gx.get_context(mode="ephemeral").data_sources.add_pandas("p").add_dataframe_asset("a")
    .add_batch_definition_whole_dataframe("b").get_batch({{"dataframe": pd.DataFrame({{"x": [1]}})}})
)
expectation = gx.expectations.ExpectColumnValuesToNotBeNull(column="x")
batch.validate(gx.ExpectationSuite(name="s", expectations=[expectation]))
""",
}


def run(code: str) -> str:
    """Standard output of code in an interpreter that has nothing of the test runner's in its environment."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def tried_connections(code: str) -> list[str]:
    lines = run(WATCHER + code).splitlines()
    return [line.removeprefix("TRIED ") for line in lines if line.startswith("TRIED ")]


@pytest.mark.parametrize("library", USE)
def test_using_a_library_opens_no_connection(library: str, tmp_path: Path, empty_mlflow: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(empty_mlflow.read_bytes())
    assert tried_connections("import pipeline\n" + USE[library].format(home=tmp_path)) == []


def test_the_watch_sees_a_connection_and_a_process() -> None:
    tried = tried_connections(
        """
import socket, subprocess
for try_it in (
    lambda: socket.create_connection(("127.0.0.1", 9), timeout=1),
    lambda: subprocess.run(["true"]),
):
    try:
        try_it()
    except OSError:
        pass
"""
    )
    assert [line.split()[0] for line in tried] == ["socket.getaddrinfo", "socket.connect", "subprocess.Popen"]


def test_the_switches_are_what_makes_the_difference() -> None:
    question = """
from evidently.telemetry import event_logger
from mlflow.telemetry.utils import is_telemetry_disabled
print("OFF", is_telemetry_disabled(), not event_logger.is_enabled())
"""
    assert "OFF False False" in run(question)
    assert "OFF True True" in run("import pipeline\n" + question)
