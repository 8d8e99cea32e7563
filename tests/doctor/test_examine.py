"""The doctor finds every fault at once, and what the ledger says is held against the tables."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.doctor import answers, examine
from pipeline.domains import DOMAINS
from pipeline.ingestion.sources import load_sources
from pipeline.settings import Settings

NAME = "2025-03-03.csv"
ID = f"till--{NAME}"
Break = Callable[[Any], None]


@pytest.fixture
def well(till: Any, home: Settings) -> Settings:
    """A home with a registry and a delivery."""
    till.deliver(NAME, [till.line(1), till.line(2, quantity=0)])
    settings: Settings = till.settings
    return settings.model_copy(update={"tracking_uri": home.mlflow_uri})


def test_all_is_well(well: Settings) -> None:
    findings = examine(lambda: well)
    assert {f.what: f.well for f in findings} == dict.fromkeys(
        (
            "home",
            "sources.yaml",
            *(f"source {name} of transactions" for name in load_sources(well).spec.tables["transactions"]),
            "suite of transactions",
            "ledger of transactions",
            "days of transactions",
            *(f"results of {domain.name}" for domain in DOMAINS),
            "drift and evaluations",
            "records",
            "registry",
        ),
        True,
    )
    (ledger_finding,) = (finding for finding in findings if finding.what == "ledger of transactions")
    assert "1 delivery, 2 rows read" in ledger_finding.detail


def test_days_without_rows_are_named(well: Settings, till: Any) -> None:
    """The shop is closed on Sunday the 9th."""
    till.deliver("2025-03-10.csv", [till.line(day="2025-03-10")])
    for day in ("2025-03-05", "2025-03-06"):
        till.deliver(f"{day}.csv", [till.line(day=day)])
    (found,) = (f for f in examine(lambda: well) if f.what == "days of transactions")
    assert found.detail.startswith(
        "2025-03-03 to 2025-03-10; no rows of 3 days: 2025-03-04, 2025-03-07 to 2025-03-08. Ask the source for them"
    )


def test_files_that_name_no_days_lack_none(till: Any, home: Settings) -> None:
    till.deliver("files/any.csv", [till.line(day=day) for day in ("2025-03-03", "2025-03-07")])
    settings = till.settings.model_copy(update={"tracking_uri": home.mlflow_uri})
    assert "days of transactions" not in {f.what for f in examine(lambda: settings)}


def test_one_fault_does_not_hide_the_next(well: Settings) -> None:
    broken = well.model_copy(update={"home": "/proc/nowhere", "sources": well.sources.with_name("none.yaml")})
    broken = broken.model_copy(update={"tracking_uri": "nonsense://"})
    found = {f.what: f for f in examine(lambda: broken)}
    assert [what for what, f in found.items() if not f.well] == [
        "home",
        "sources.yaml",
        "registry",
    ], "the fault of the mapping file is named once, not once a table"
    assert all(f.detail for f in found.values())


@pytest.mark.parametrize("scheme", ["http", "postgresql"])
def test_a_registry_that_never_answers_is_a_finding_within_a_bound(
    well: Settings, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server accepts connections and says nothing; MLflow alone would wait for it for many minutes."""
    monkeypatch.setattr(answers, "ANSWER_SECONDS", 0.5)
    # Once the server is gone the waiting client gives up, whose locks would hold up the tests after this one.
    monkeypatch.setattr("mlflow.store.db.utils.MAX_RETRY_COUNT", 1)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"{scheme}://user:secret-of-the-registry@127.0.0.1:{server.getsockname()[1]}/mlflow"
        silent = Settings(**{**well.model_dump(), "tracking_uri": uri})
        (fault,) = (finding for finding in examine(lambda: silent) if not finding.well)
    for thread in threading.enumerate():
        if thread.name == "registry":
            thread.join()
    assert fault.what == "registry"
    assert fault.detail.startswith("The model registry does not answer\n")
    assert "nothing within 0.5 s" in fault.detail
    assert "AISLE_TRACKING_URI" in fault.detail
    assert "secret-of-the-registry" not in fault.detail


def test_a_missing_folder_and_a_missing_suite_are_found(well: Settings, tmp_path: Path) -> None:
    elsewhere = well.model_copy(update={"data": str(tmp_path / "absent"), "expectations": tmp_path})
    faults = {finding.what: finding.detail for finding in examine(lambda: elsewhere) if not finding.well}
    assert any(what.startswith("source ") and "absent" in detail for what, detail in faults.items())
    assert "AISLE_EXPECTATIONS" in faults["suite of transactions"]
