"""What every DAG of this project has. Each message names the DAG, the task and the remedy."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.domains import DOMAINS, model_names

if TYPE_CHECKING:
    from airflow.sdk import DAG

DAGS = Path(__file__).resolve().parents[2] / "dags"
FILES = sorted(DAGS.glob("*.py"))
SECTIONS = ("**Purpose:**", "**Inputs:**", "**Outputs:**", "**Safe to run again?**", "**When it fails**")
LONGEST = 120
MAX_RUNS = 3


def faults_of(dag: DAG) -> list[str]:
    """Everything about a DAG that breaks a convention."""
    from aisle_dags.conventions import FIRST_DAY, OWNER, TAGS

    found = []
    for section in SECTIONS:
        if section not in (dag.doc_md or ""):
            found.append(f"{dag.dag_id}: its doc_md lacks {section}; write it in the file's docstring, doc_md=__doc__")
    if unknown := set(dag.tags) - set(TAGS):
        found.append(f"{dag.dag_id}: unknown tags {sorted(unknown)}; use those of TAGS in aisle_dags/conventions.py")
    if not dag.tags:
        found.append(f"{dag.dag_id}: no tags; choose from TAGS in aisle_dags/conventions.py")
    if dag.catchup:
        found.append(f"{dag.dag_id}: catchup is on, unpausing would start a run for each day; say catchup=False")
    if dag.start_date != FIRST_DAY:
        found.append(f"{dag.dag_id}: start_date is not FIRST_DAY, so backfills would miss days; use it")
    if dag.max_active_runs > MAX_RUNS:
        found.append(
            f"{dag.dag_id}: up to {dag.max_active_runs} runs at once; say max_active_runs=1, or {MAX_RUNS} at most"
        )
    if isinstance(dag.schedule, str):
        found.append(f"{dag.dag_id}: a cron string gives intervals of no width; name CronDataIntervalTimetable")
    for task in dag.tasks:
        where = f"{dag.dag_id}.{task.task_id}"
        if task.owner != OWNER:
            found.append(f"{where}: owner is {task.owner!r}; pass default_args=DEFAULT_ARGS")
        if not task.retries:
            found.append(
                f"{where}: no retries; pass default_args=DEFAULT_ARGS and raise RefusedError for what is final"
            )
        if task.start_date != FIRST_DAY:
            found.append(f"{where}: a start date of its own; leave it to the DAG")
    return found


def names_of(condition: Any) -> set[str]:
    """The names of the assets in an asset condition."""
    parts = getattr(condition, "objects", None)
    return {condition.name} if parts is None else {name for part in parts for name in names_of(part)}


def test_every_dag_keeps_the_conventions(dags: dict[str, DAG]) -> None:
    faults = [fault for dag in dags.values() for fault in faults_of(dag)]
    assert not faults, "\n".join(faults)


def test_a_dag_without_any_convention_is_told_each(dags: dict[str, DAG]) -> None:
    from airflow.sdk import dag, task

    @dag(schedule="@daily", start_date=datetime(2025, 1, 1, tzinfo=UTC), catchup=True, tags=["misc"])
    def careless_dag() -> None:
        @task(owner="me")
        def idle() -> None: ...

        idle()

    careless = careless_dag()
    text = "\n".join(faults_of(careless))
    for expected in (
        *SECTIONS,
        "unknown tags ['misc']",
        "catchup",
        "FIRST_DAY",
        "max_active_runs",
        "CronDataIntervalTimetable",
    ):
        assert expected in text
    assert "careless_dag.idle: owner is 'me'" in text
    assert "careless_dag.idle: no retries" in text


def test_the_folder_holds_the_dags_of_the_design(dags: dict[str, DAG]) -> None:
    assert set(dags) >= {"ingest_transactions", "customers", "train_customer_segments", "watch"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_is_short_and_named_like_its_dag(file: Path, dags: dict[str, DAG]) -> None:
    lines = file.read_text(encoding="utf-8").count("\n")
    assert lines <= LONGEST, f"{file.name} has {lines} lines; move what is not wiring to pipeline/ or dags/aisle_dags/"
    if file.stem != "further_domains":
        assert file.stem in dags, f"{file.name} defines no DAG {file.stem!r}; name the DAG like its file"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_airflow_looks_into_every_file(file: Path) -> None:
    text = file.read_text(encoding="utf-8").lower()
    assert "airflow" in text, "Airflow skips a file that contains no 'airflow': mention it in the docstring"
    assert "dag" in text


def test_dags_are_wired_by_assets(dags: dict[str, DAG]) -> None:
    outlets = {dag_id: {asset.name for task in dag.tasks for asset in task.outlets} for dag_id, dag in dags.items()}
    triggers = {
        dag_id: names_of(dag.timetable.asset_condition)
        for dag_id, dag in dags.items()
        if any(hasattr(dag.timetable.asset_condition, part) for part in ("name", "objects"))
    }
    assert triggers["watch"] == {f"{domain.name}_scores" for domain in DOMAINS}
    assert outlets["watch"] == {f"retrain_{model}" for model in model_names()}
    for one in DOMAINS:
        domain, models = one.name, one.model_names
        for model in models:
            if f"train_{model}" in dags:
                assert triggers[f"train_{model}"] == {f"retrain_{model}"}, f"train_{model} does not listen to watch"
        if domain in dags:
            assert f"{domain}_scores" in outlets[domain], f"watch does not hear that {domain} has scored"
            ingested = {table for table in triggers[domain] if f"ingest_{table}" in dags}
            assert ingested, f"{domain} starts from no table that is ingested"
            trained = {name for model in models for name in outlets[f"train_{model}"]}
            assert triggers[domain] == ingested | trained, f"{domain} does not start when another champion is in use"


def test_the_form_of_a_training_rejects_nonsense(dags: dict[str, DAG]) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    params = dags["train_customer_segments"].params
    params.validate()
    for field, value in (("as_of", "yesterday"), ("seed", -1), ("promote", "always")):
        good = params[field]
        with pytest.raises(ParamValidationError):
            params[field] = value
        params[field] = good


def test_the_seed_of_the_form_wins_over_the_setting_and_is_empty_by_default(
    dags: dict[str, DAG], monkeypatch: pytest.MonkeyPatch
) -> None:
    from aisle_dags.training import form_settings

    monkeypatch.setenv("AISLE_SEED", "11")
    for model in model_names():
        assert dags[f"train_{model}"].params["seed"] is None
    assert form_settings({"seed": None}).seed == 11
    assert form_settings({"seed": 0}).seed == 0
