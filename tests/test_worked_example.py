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


def run(house: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "AISLE_HOME": str(house / "home"),
        "AISLE_SOURCES": str(house / "sources.yaml"),
        "AISLE_EXPECTATIONS": str(house / "expectations"),
        "AISLE_CODE_VERSION": "example",
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=house,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def aisle(house: Path, *arguments: str) -> dict[str, Any]:
    done = run(house, "-m", "pipeline.cli", *arguments, "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_the_example_is_short() -> None:
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    lines = [line for _, block in BLOCK.findall(text) for line in block.splitlines() if line.strip()]
    assert len(lines) < MAX_LINES


def test_from_contract_to_champion_page_and_endpoint(house: Path) -> None:
    assert aisle(house, "ingest", "calls", "--all")["clean"] == (AS_OF - FIRST).days
    trained = aisle(house, "train", "expected_calls")
    assert (trained["version"], trained["promoted"]) == (1, True)
    page = Path(aisle(house, "score", "calls")["page"])
    assert "Calls to expect" in page.read_text(encoding="utf-8")
    (watched,) = aisle(house, "watch")["models"]
    assert (watched["model"], watched["verdict"]) == ("expected_calls", "nothing to compare yet")

    served = run(house, "-c", SERVE)
    assert served.returncode == 0, served.stderr[-2000:]
    answer = json.loads(served.stdout.splitlines()[-1])
    assert answer["status"] == 200
    monday, sunday = (row["calls"] for row in answer["body"]["answers"])
    assert monday == pytest.approx(101, abs=2)
    assert sunday == pytest.approx(41, abs=2)


def test_a_model_that_does_not_beat_the_baseline_is_stopped(house: Path) -> None:
    """Without a weekly rhythm the weekday's mean is no better than the mean of all days."""
    home, calls = house / "home", house / "calls.csv"
    rows = calls.read_text().splitlines()
    calls.write_text(
        "\n".join([rows[0], *(f"{row.split(',')[0]},{50 + n % 5}" for n, row in enumerate(rows[1:]))]) + "\n"
    )
    aisle(house, "ingest", "calls", "--all")
    done = run(house, "-m", "pipeline.cli", "train", "expected_calls", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["promoted"] is False
    assert home.exists()
