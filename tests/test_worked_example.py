"""The worked example of docs/design.md, written to files and run: contract, champion, page and endpoint."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"```python\n# (pipeline/calls/\w+\.py)\n(.*?)```", re.DOTALL)
FIRST, AS_OF = date(2025, 1, 6), date(2025, 7, 7)
MAX_LINES = 200
SUITE = {
    "name": "calls",
    "expectations": [
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "calls", "min_value": 0, "max_value": 100_000},
            "meta": {"reason": "the number of calls is negative or beyond a hundred thousand"},
        }
    ],
}
SOURCES = """
time_zone: Europe/London
home_country: United Kingdom
tables:
  calls:
    hotline:
      from: {folder}/calls.csv
      format: {{type: csv}}
      columns: {{day: day, calls: calls}}
"""
# Several commands in one process, for the imports take longer than the work; each as `aisle` runs it.
COMMANDS = """
import contextlib
import io
import json
import sys
from pipeline.cli.app import main
results = []
for command in json.loads(sys.argv[1]):
    sys.argv = ["aisle", *command, "--json"]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            main()
        except SystemExit as left:
            code = left.code or 0
    results.append({"exit": code, "printed": printed.getvalue()})
print(json.dumps(results))
"""
SERVE = """
import json
import time
from fastapi.testclient import TestClient
from pipeline.serving.app import create_app
with TestClient(create_app(), base_url="http://127.0.0.1", client=("127.0.0.1", 50000)) as client:
    while client.get("/health/ready").status_code != 200:
        time.sleep(0.2)
    answer = client.post("/calls", json={"rows": [{"weekday": 0}, {"weekday": 6}]})
    print(json.dumps({"status": answer.status_code, "body": answer.json()}))
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Path:
    """A copy of the library with the example's folder and its one entry, and a home with data."""
    folder = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "pipeline", folder / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    blocks = dict(BLOCK.findall((ROOT / "docs" / "design.md").read_text(encoding="utf-8")))
    assert len(blocks) == 4
    (folder / "pipeline" / "calls").mkdir()
    (folder / "pipeline" / "calls" / "__init__.py").touch()
    for name, text in blocks.items():
        (folder / name).write_text(text, encoding="utf-8")
    listed = folder / "pipeline" / "domains.py"
    text = listed.read_text(encoding="utf-8")
    text = text.replace("SHOPPERS, FOOTFALL)", "SHOPPERS, FOOTFALL, CALLS)")
    listed.write_text(text.replace("\nif TYPE", "\nfrom pipeline.calls.domain import DOMAIN as CALLS\n\nif TYPE", 1))
    (folder / "expectations").mkdir()
    (folder / "expectations" / "calls.json").write_text(json.dumps(SUITE))
    days = [FIRST + timedelta(days=n) for n in range((AS_OF - FIRST).days)]
    lines = [f"{day},{100 - 10 * day.weekday() + day.day % 3}" for day in days]
    (folder / "calls.csv").write_text("day,calls\n" + "\n".join(lines) + "\n")
    (folder / "sources.yaml").write_text(SOURCES.format(folder=folder))
    (folder / "home").mkdir()
    shutil.copy(empty_mlflow, folder / "home" / "mlflow.db")
    return folder


def run(house: Path, *arguments: str) -> Any:
    """The JSON that a program prints last, run with the example's library and home."""
    environment = {
        **os.environ,
        "AISLE_HOME": str(house / "home"),
        "AISLE_SOURCES": str(house / "sources.yaml"),
        "AISLE_EXPECTATIONS": str(house / "expectations"),
        "AISLE_CODE_VERSION": "example",
    }
    done = subprocess.run(
        [sys.executable, "-c", *arguments],
        cwd=house,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def aisle(house: Path, *commands: str) -> list[tuple[int, dict[str, Any]]]:
    """The exit code and the printed object of each command."""
    results = run(house, COMMANDS, json.dumps([command.split() for command in commands]))
    return [(result["exit"], json.loads(result["printed"])) for result in results]


def test_the_example_is_short() -> None:
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    lines = [line for _, block in BLOCK.findall(text) for line in block.splitlines() if line.strip()]
    assert len(lines) < MAX_LINES


def test_from_contract_to_champion_page_and_endpoint(house: Path) -> None:
    results = aisle(house, "ingest calls --all", "train expected_calls", "score calls", "watch")
    assert [code for code, _ in results] == [0, 0, 0, 0]
    ingested, trained, scored, watched = (result for _, result in results)
    assert ingested["clean"] == (AS_OF - FIRST).days
    assert (trained["version"], trained["promoted"]) == (1, True)
    assert "Calls to expect" in Path(scored["page"]).read_text(encoding="utf-8")
    (model,) = watched["models"]
    assert (model["model"], model["verdict"]) == ("expected_calls", "nothing to compare yet")

    answer = run(house, SERVE)
    assert answer["status"] == 200
    monday, sunday = (row["calls"] for row in answer["body"]["answers"])
    assert monday == pytest.approx(101, abs=2)
    assert sunday == pytest.approx(41, abs=2)


def test_a_model_that_does_not_beat_the_baseline_is_stopped(house: Path) -> None:
    """Without a weekly rhythm the weekday's mean is no better than the mean of all days."""
    calls = house / "calls.csv"
    rows = calls.read_text().splitlines()
    calls.write_text(
        "\n".join([rows[0], *(f"{row.split(',')[0]},{50 + n % 5}" for n, row in enumerate(rows[1:]))]) + "\n"
    )
    (ingested, _), (trained, result) = aisle(house, "ingest calls --all", "train expected_calls")
    assert (ingested, trained) == (0, 1)
    assert result["promoted"] is False
