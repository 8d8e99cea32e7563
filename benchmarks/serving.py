"""The prediction service and `mlflow models serve` compared: the same LightGBM model and store days, in one run.

    python -m benchmarks.serving [--stores 100] [--seconds 8] [--requests 200000]

A client in a process of its own sends requests to both on loopback. MLflow's server gets ready-made features; ours gets
store and day and computes the features. Then ours gets requests at half of its highest rate, to measure its latency,
and finally a large number of them, to see whether its memory grows.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.load import Load, post, send
from benchmarks.profiling import show

AS_OF, FIRST, HORIZON = dt.date(2024, 7, 2), dt.date(2023, 1, 2), dt.timedelta(days=42)
TIMES, MILLISECONDS = 10, 25
SIZES = ((1, 32), (100, 8), (1_000, 4))
"""Rows of a request, and connections at the same time."""
REQUESTS = 30
"""Different requests that are sent in turn."""
MORE_MEMORY = 1.05


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure both; 0 if the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stores", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--requests", type=int, default=200_000, help="how many to watch the memory over; 0: none")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="aisle-bench-") as folder:
        home = Path(folder) / "home"
        model, bodies, features = prepare(home, given.stores)
        rivals = compare(home, model, bodies, features, given.seconds)
        with aisle(home) as (port, process):
            requests = [post(port, "/predict", body) for body in bodies[1]]
            fast = latency(port, "single rows", requests, rivals[1][0].rate, given.seconds)
            steady = memory(port, process, requests, given.requests) if given.requests else True
    times = rivals[1][0].rate / rivals[1][1].rate
    print(f"\n{times:.1f} times mlflow's throughput with single rows (target: {TIMES})")
    return 0 if times >= TIMES and fast and steady else 1


def prepare(home: Path, stores: int) -> tuple[Path, dict[int, list[bytes]], dict[int, list[bytes]]]:
    """Make a chain of stores with a champion.

    Returns:
        The champion's folder; and, by rows per request, the bodies for our service and for MLflow's, for the same days.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from pipeline.lake.tables import Lake
    from pipeline.registry.client import Registry
    from pipeline.settings import Settings
    from pipeline.simulate.store_days import Chain
    from pipeline.stores.domain import DOMAIN, MODEL
    from pipeline.stores.specs import STORE_SALES
    from pipeline.training import lifecycle

    settings = Settings(home=str(home), code_version="benchmark")
    lake, chain = Lake(settings), Chain(seed=7, count=stores)
    every = chain.days(FIRST, AS_OF + HORIZON)
    came = every.filter(pc.less(every["day"], AS_OF))
    plan = every.filter(pc.greater_equal(every["day"], AS_OF)).drop_columns(["sales", "customers"])
    for name, rows in (("store_days", came), ("store_plans", plan)):
        lake.replace(name, {"day": pc.unique(rows["day"]).to_pylist()}, rows)
    undated = dt.date(1970, 1, 1)
    days = pa.array([undated] * stores, pa.date32())
    lake.replace("stores", {"day": [undated]}, chain.stores().append_column("day", days))
    lifecycle.build_features(settings, DOMAIN, AS_OF)
    version = lifecycle.train(settings, STORE_SALES, AS_OF).version
    registry = Registry(settings)
    registry.promote(MODEL, version, by="benchmark", reason="benchmark")
    source = registry._store._client.get_model_version(MODEL, str(version)).source
    table = lake.read(DOMAIN.features_table).to_pandas().sample(frac=1, random_state=7, ignore_index=True)
    columns = list(registry.get(MODEL).provenance.features)
    plain, ready = table[["store", "day"]].astype({"day": str}), table[columns]
    ready = ready.astype({name: "float64" for name in columns if ready[name].dtype.kind in "fiu"})
    ours, theirs = {}, {}
    for size, _ in SIZES:
        starts = [(n * size) % (len(table) - size) for n in range(REQUESTS)]
        ours[size] = [json.dumps({"rows": plain.iloc[at : at + size].to_dict("records")}).encode() for at in starts]
        theirs[size] = [
            f'{{"dataframe_split": {ready.iloc[at : at + size].to_json(orient="split", index=False)}}}'.encode()
            for at in starts
        ]
    return Path(source.removeprefix("file://")), ours, theirs


def compare(
    home: Path, model: Path, ours: dict[int, list[bytes]], theirs: dict[int, list[bytes]], seconds: float
) -> dict[int, tuple[Load, Load]]:
    """Load both servers fully, one after the other; the results by rows per request."""
    found: dict[int, list[Load]] = {size: [] for size, _ in SIZES}
    for server, bodies, path in ((aisle(home), ours, "/predict"), (mlflow(model), theirs, "/invocations")):
        with server as (port, _):
            for size, connections in SIZES:
                requests = [post(port, path, body) for body in bodies[size]]
                send(port, requests, connections=connections, seconds=seconds / 4)
                found[size].append(send(port, requests, connections=connections, seconds=seconds))
    rows: list[tuple[str, ...]] = [
        ("rows per request, connections", "server", "requests/s", "rows/s", "p50 ms", "p99 ms")
    ]
    for size, connections in SIZES:
        for name, load in zip(("aisle", "mlflow"), found[size], strict=True):
            times = (f"{load.percentile(50):,.1f}", f"{load.percentile(99):,.1f}")
            assert not load.failed, f"{name} failed {load.failed} requests"
            rows.append((f"{size:,}, {connections}", name, f"{load.rate:,.0f}", f"{load.rate * size:,.0f}", *times))
    show("Highest rate", rows)
    return {size: (loads[0], loads[1]) for size, loads in found.items()}


def latency(port: int, name: str, requests: list[bytes], highest_rate: float, seconds: float) -> bool:
    """Whether the p99 of requests at half of their highest rate is within the target."""
    send(port, requests, connections=32, seconds=seconds / 4)
    half = highest_rate / 2
    load = send(port, requests, connections=64, seconds=2 * seconds, rate=half)
    figures = [f"{load.percentile(share):,.1f}" for share in (50, 95, 99, 100)]
    title = f"{name} at {half:,.0f} requests/s, milliseconds (target for p99: {MILLISECONDS})"
    show(title, [("", "p50", "p95", "p99", "most"), ("aisle", *figures)])
    return load.percentile(99) < MILLISECONDS and not load.failed


def memory(port: int, process: psutil.Process, requests: list[bytes], count: int) -> bool:
    """Whether memory stays the same over many requests."""
    sent, rows = 0, [("requests", "MB")]
    sizes = []
    while sent < count:
        load = send(port, requests, connections=32, seconds=10)
        sent += len(load.milliseconds)
        sizes.append(process.memory_info().rss / 2**20)
        rows.append((f"{sent:,}", f"{sizes[-1]:,.0f}"))
        assert not load.failed
    show("Memory", rows)
    half = len(sizes) // 2
    return max(sizes[half:]) < MORE_MEMORY * max(sizes[: half or 1])


@contextmanager
def aisle(home: Path) -> Iterator[tuple[int, psutil.Process]]:
    """Run our service."""
    command = [sys.executable, "-c", "from pipeline.cli.app import main; main()", "serve", "--port"]
    with _server(command, "/health/ready", AISLE_HOME=str(home), AISLE_SERVE_RATE="1000000/second") as running:
        yield running


@contextmanager
def mlflow(model: Path) -> Iterator[tuple[int, psutil.Process]]:
    """Run MLflow's own server on the champion's folder."""
    # It starts other programs of its environment by name, so they must be on the path.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["mlflow", "models", "serve", "--model-uri", str(model), "--env-manager", "local", "--port"]
    command[0] = shutil.which("mlflow", path=path) or command[0]
    with _server(command, "/ping", PATH=path) as running:
        yield running


@contextmanager
def _server(command: Sequence[str], healthy: str, **variables: str) -> Iterator[tuple[int, psutil.Process]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, **variables, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    with tempfile.TemporaryFile() as output:
        started = subprocess.Popen(
            [*command, str(port)], env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        process = psutil.Process(started.pid)
        try:
            for _ in range(600):
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}{healthy}", timeout=5):
                        break
                except OSError:
                    time.sleep(0.2)
            else:
                output.seek(0)
                raise RuntimeError(output.read().decode()[-2000:])
            yield port, process
        finally:
            for one in [*process.children(recursive=True), process]:
                one.terminate()
            started.wait(30)


if __name__ == "__main__":
    raise SystemExit(main())
