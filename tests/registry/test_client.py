from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from pipeline.code_version import code_version
from pipeline.errors import RefusedError, UsageError
from pipeline.lake.tables import Lake
from pipeline.registry.client import CHAMPION, Registry
from pipeline.registry.records import Evidence, ModelVersion, Promotion, Provenance
from pipeline.training.gate import Floor, NotOlder, Scores, Window, decide

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.settings import Settings

NAME = "customer_segments"
FEATURES = ("revenue", "recency_days")
MADE_FROM = Provenance(date(2011, 12, 10), {"customer_features": 3}, FEATURES, seed=7, code="abc123")
START = datetime(2011, 12, 10, 3, tzinfo=UTC)
ROWS = pd.DataFrame(np.random.default_rng(7).gamma(2.0, 50.0, (60, 2)), columns=list(FEATURES))


class Harmless(TransformerMixin, BaseEstimator):
    """A type that is on no allow-list."""

    def fit(self, rows: Any, y: Any = None) -> Harmless:
        return self

    def transform(self, rows: Any) -> Any:
        return rows


class Indifferent:
    """Predicts from any rows at all, so that only the signature can object to them."""

    def predict(self, rows: pd.DataFrame) -> np.ndarray[Any, Any]:
        return np.zeros(len(rows))


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def registry(home: Settings) -> Registry:
    return Registry(home, now=ticking())


@pytest.fixture(scope="module")
def model() -> Pipeline:
    return fitted(StandardScaler())


def fitted(first: Any) -> Pipeline:
    return Pipeline([("first", first), ("kmeans", KMeans(3, n_init=1, random_state=7))]).fit(ROWS)


def ticking() -> Callable[[], datetime]:
    seconds = iter(range(10**6))
    return lambda: START + timedelta(seconds=next(seconds))


def log(registry: Registry, model: Any, **changes: Any) -> ModelVersion:
    given: dict[str, Any] = {
        "provenance": MADE_FROM,
        "example": ROWS,
        "metrics": {"silhouette": 0.4, "stability": float("nan")},
        "params": {"k": 3},
        "artefacts": {"segments.json": {"names": ["insiders", "regulars", "once"]}, "k_curve.json": [1.5, 2.5]},
    }
    return registry.log_challenger(NAME, model, **(given | changes))


def several(registry: Registry, model: Any, count: int) -> list[int]:
    return [log(registry, model, provenance=replace(MADE_FROM, seed=seed)).version for seed in range(count)]


def serves(registry: Registry) -> int | None:
    champion = registry.champion(NAME)
    return champion.version if champion else None


# Log


def test_a_version_says_what_it_was_made_from(registry: Registry, model: Pipeline) -> None:
    version = log(registry, model)
    assert version == registry.challenger(NAME)
    assert (version.version, version.aliases, version.accepted) == (1, ("challenger",), None)
    assert version.provenance == MADE_FROM
    assert version.metrics == {"silhouette": 0.4, "stability": None}
    assert registry.champion(NAME) is None


def test_an_unknown_model_has_no_versions(registry: Registry) -> None:
    assert registry.versions("nobody") == []
    assert registry.champion("nobody") is None
    assert registry.history("nobody") == []
    assert registry.models() == []


def test_the_same_training_again_is_the_same_version(registry: Registry, model: Pipeline) -> None:
    first = log(registry, model)
    assert log(registry, model) == first
    assert [version.version for version in registry.versions(NAME)] == [1]


@pytest.mark.parametrize(
    "changes",
    [
        {"provenance": replace(MADE_FROM, seed=8)},
        {"provenance": replace(MADE_FROM, tables={"customer_features": 4})},
        {"provenance": replace(MADE_FROM, as_of=date(2011, 12, 11))},
        {"provenance": replace(MADE_FROM, features=FEATURES[::-1])},
        {"provenance": replace(MADE_FROM, code="def456")},
        {"params": {"k": 4}},
    ],
    ids=["seed", "tables", "as_of", "features", "code", "params"],
)
def test_another_training_is_another_version(registry: Registry, model: Pipeline, changes: dict[str, Any]) -> None:
    log(registry, model)
    assert log(registry, model, **changes).version == 2
    assert registry.get(NAME, "challenger").version == 2


def test_the_champion_trained_again_does_not_challenge_itself(registry: Registry, model: Pipeline) -> None:
    registry.promote(NAME, log(registry, model).version, by="gate", reason="first")
    assert log(registry, model).aliases == ("champion",)
    assert registry.challenger(NAME) is None


def test_a_training_that_is_killed_before_the_end_leaves_no_version(
    registry: Registry, model: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = ("log_batch", "log_inputs", "log_artifacts", "create_logged_model", "log_model_artifacts")
    for step in (*steps, "create_model_version", "set_registered_model_alias"):
        with monkeypatch.context() as patch:
            patch.setattr(registry._store._client, step, killed)
            with pytest.raises(KilledError):
                log(registry, model)
        assert registry.champion(NAME) is None
    assert log(registry, model).aliases == ("challenger",)
    assert len(registry.versions(NAME)) == 1


@pytest.mark.parametrize(
    "example",
    [ROWS.astype("int64"), ROWS.astype({"revenue": "Float64"}), ROWS.assign(revenue=None), ROWS.head(0)],
    ids=["integers", "nullable", "objects", "no rows"],
)
def test_an_example_that_gives_no_sound_signature_is_refused(registry: Registry, example: pd.DataFrame) -> None:
    with pytest.raises(UsageError, match="float64 or str only"):
        log(registry, Indifferent(), example=example)


def test_the_signature_has_the_raw_names_and_the_requirements_are_pinned(registry: Registry, model: Pipeline) -> None:
    version = log(registry, model)
    folder = model_folder(registry, version.version)
    signature = mlflow.models.Model.load(str(folder)).signature
    assert [(field.name, field.type.name) for field in signature.inputs] == [(name, "double") for name in FEATURES]
    assert signature.outputs is not None
    requirements = (folder / "requirements.txt").read_text().split()
    assert [line.split("==")[0] for line in requirements] == ["mlflow", "scikit-learn", "skops", "numpy", "pandas"]
    assert all("==" in line for line in requirements)


# What MLflow shows

EVIDENCE = Evidence(
    "three segments are stable",
    folds={"2011-10": {"silhouette": 0.3}, "2011-11": {"silhouette": 0.4}},
    candidates={"2 segments": {"silhouette": 0.2}, "3 segments": {"silhouette": 0.4}},
)


def run_of(home: Settings, version: int) -> tuple[Any, dict[str, str]]:
    """The run of a version, and its files: name -> text."""
    uri = home.mlflow_uri
    client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    entry = client.get_model_version(NAME, str(version))
    assert entry.description is not None
    run = client.get_run(entry.run_id)
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    return run, {file.name: file.read_text() for file in folder.iterdir() if file.is_file()}


def test_a_run_says_what_it_is_on_which_tables_and_how_it_did_in_each_fold(
    home: Settings, registry: Registry, model: Pipeline
) -> None:
    version = log(registry, model, evidence=EVIDENCE).version
    run, files = run_of(home, version)
    assert run.info.run_name == "customer_segments with 3 segments, as of 2011-12-10"
    (dataset,) = run.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("customer_features", "version 3")
    assert json.loads(dataset.dataset.source) == {
        "path": f"{home.home}/lake/customer_features",
        "delta_table_version": 3,
    }
    uri = home.mlflow_uri
    client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    steps = client.get_metric_history(run.info.run_id, "folds/silhouette")
    assert [(metric.step, metric.value) for metric in steps] == [(1, 0.3), (2, 0.4)]
    assert run.data.metrics["silhouette"] == 0.4
    assert set(files) == {"training.md", "training.html"}
    described = run.data.tags["mlflow.note.content"]
    assert described == files["training.md"] == client.get_model_version(NAME, str(version)).description
    for words in (
        "Three segments are stable.",
        "| customer\\_features | 3 |",
        "| 2 segments | 0.2 |",
        "| 2011-10 | 0.3 |",
    ):
        assert words in described
    assert ">2 segments<" in files["training.html"]


@pytest.mark.parametrize("accepted", [True, False])
def test_a_decision_is_a_card_of_the_version_and_files_of_its_run(
    home: Settings, registry: Registry, model: Pipeline, accepted: bool
) -> None:
    version = log(registry, model).version
    value = 0.4 if accepted else 0.1
    scores = Scores({"silhouette": value}, {"silhouette": 0.3}, None, MADE_FROM.as_of, MADE_FROM.as_of)
    decision = decide(scores, (Floor("silhouette", 0.2), NotOlder()), window=Window("features", 3, MADE_FROM.as_of))
    assert decision.accepted is accepted
    for _ in range(2):  # The step may run again.
        if accepted:
            registry.accept(NAME, version, decision.figures)
        else:
            registry.refuse(NAME, version, by="gate", reason="; ".join(decision.reasons), figures=decision.figures)
    _, files = run_of(home, version)
    assert set(files) == {"training.md", "training.html", "decision.md", "decision.html"}
    uri = home.mlflow_uri
    entry = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri).get_model_version(NAME, str(version))
    assert entry.description == files["decision.md"]
    said = f"The gate {'accepted' if accepted else 'refused'} customer_segments version 1"
    assert said in files["decision.html"]
    assert said.replace("_", "\\_") in entry.description
    assert f"| {'passed' if accepted else 'failed'} | silhouette | {value} | at least 0.2 |" in entry.description
    assert f"| silhouette | {value} | 0.3 |" in entry.description
    assert registry.load(NAME, version).version.version == version


def test_text_in_a_card_stays_text_and_a_long_one_is_cut(home: Settings, registry: Registry, model: Pipeline) -> None:
    hostile = "<script>alert(1)</script> [x](javascript:alert(1)) | a | b"
    evidence = Evidence(hostile, candidates={f"{hostile} {n}": {"m": 1.0 * n} for n in range(500)})
    version = log(registry, model, evidence=evidence, params={"note": hostile + "y" * 5_000}).version
    run, files = run_of(home, version)
    for text in (run.data.tags["mlflow.note.content"], files["training.html"]):
        assert "<script>alert" not in text
    assert "[x](" not in files["training.md"]
    assert len(run.data.tags["mlflow.note.content"]) <= 5_000


def test_a_card_shows_no_password(home: Settings, registry: Registry, model: Pipeline) -> None:
    log(registry, model, evidence=Evidence("read from https://ann:secret@example.org/file"))
    run, files = run_of(home, 1)
    assert all("secret" not in text for text in (*files.values(), run.data.tags["mlflow.note.content"]))


# Load


def test_what_was_logged_is_what_is_loaded(registry: Registry, model: Pipeline) -> None:
    registry.promote(NAME, log(registry, model).version, by="gate", reason="first")
    loaded = registry.load(NAME)
    assert loaded.version.version == 1
    assert loaded.artefacts == {
        "segments.json": {"names": ["insiders", "regulars", "once"]},
        "k_curve.json": [1.5, 2.5],
    }
    np.testing.assert_array_equal(loaded.model.predict(ROWS), model.predict(ROWS))


@pytest.mark.parametrize("file", ["model.skops", "artefacts/segments.json", "MLmodel", "artefacts/new.json"])
def test_files_that_are_not_those_registered_are_refused(registry: Registry, model: Pipeline, file: str) -> None:
    version = log(registry, model).version
    registry.load(NAME, version)
    target = model_folder(registry, version) / file
    target.write_bytes((target.read_bytes() if target.exists() else b"{}") + b" ")
    with pytest.raises(RefusedError, match="not the ones that were registered"):
        registry.load(NAME, version)


@pytest.mark.parametrize("stranger", [Harmless(), FunctionTransformer(np.copy)], ids=["class", "function"])
def test_a_type_off_the_list_is_not_saved(registry: Registry, stranger: Any) -> None:
    with pytest.raises(RefusedError, match="not trusted"):
        log(registry, fitted(stranger))
    assert registry.versions(NAME) == []


def test_a_type_off_the_list_is_not_loaded_whatever_the_artefact_says(home: Settings, registry: Registry) -> None:
    stranger = f"{Harmless.__module__}.{Harmless.__qualname__}"
    version = log(registry, fitted(Harmless()), trusted_types=[stranger]).version
    assert stranger in (model_folder(registry, version) / "MLmodel").read_text()
    registry.load(NAME, version, [stranger])
    with pytest.raises(RefusedError, match=r"not trusted[^$]*Harmless"):
        registry.load(NAME, version)


def test_a_flavour_that_is_not_known_is_refused(registry: Registry, model: Pipeline) -> None:
    with pytest.raises(UsageError, match="allowed: sklearn"):
        log(registry, model, flavour="pickle")


def test_what_is_not_there_is_said(registry: Registry, model: Pipeline) -> None:
    with pytest.raises(RefusedError, match="has no champion"):
        registry.load(NAME)
    log(registry, model)
    with pytest.raises(RefusedError, match=r"no version 9[^$]*versions 1"):
        registry.load(NAME, 9)
    with pytest.raises(UsageError, match="not a valid model name"):
        registry.load("x' OR name != '", 1)


# Promote and refuse


def test_a_promotion_is_on_record(registry: Registry, model: Pipeline, home: Settings) -> None:
    one, two = several(registry, model, 2)
    registry.promote(NAME, one, by="gate", reason="first", figures={"silhouette": 0.4})
    registry.promote(NAME, two, by="ann", reason="better", figures={"silhouette": 0.5})
    history = registry.history(NAME)
    assert [(e.action, e.version, e.previous, e.by, e.reason, dict(e.figures)) for e in history] == [
        ("promote", one, None, "gate", "first", {"silhouette": 0.4}),
        ("promote", two, one, "ann", "better", {"silhouette": 0.5}),
    ]
    assert serves(registry) == two
    assert registry.challenger(NAME) is None
    assert registry.get(NAME, two).accepted is True
    assert Lake(home).read("promotions").num_rows == 2


def test_promoting_again_changes_nothing(registry: Registry, model: Pipeline) -> None:
    version = log(registry, model).version
    record = registry.promote(NAME, version, by="gate", reason="first")
    assert registry.promote(NAME, version, by="gate", reason="again") == record
    assert registry.history(NAME) == [record]


def test_a_refusal_is_on_record_once_and_leaves_the_champion(registry: Registry, model: Pipeline) -> None:
    one, two = several(registry, model, 2)
    registry.promote(NAME, one, by="gate", reason="first")
    refusal = registry.refuse(NAME, two, by="gate", reason="a tie", figures={"silhouette": 0.4})
    assert registry.refuse(NAME, two, by="gate", reason="a tie", figures={"silhouette": 0.4}) == refusal
    assert [(e.action, e.version, e.previous) for e in registry.history(NAME)] == [
        ("promote", one, None),
        ("refuse", two, one),
    ]
    assert serves(registry) == one
    assert registry.get(NAME, two).accepted is False


def test_a_version_that_does_not_exist_cannot_be_promoted_or_refused(registry: Registry, model: Pipeline) -> None:
    log(registry, model)
    for act in (registry.promote, registry.refuse):
        with pytest.raises(RefusedError, match="no version 9"):
            act(NAME, 9, by="ann", reason="typing")
    assert registry.history(NAME) == []


def test_the_record_keeps_its_order_when_clocks_disagree(home: Settings, model: Pipeline) -> None:
    one, two = several(Registry(home), model, 2)
    Registry(home, now=lambda: START).promote(NAME, one, by="a", reason="first")
    Registry(home, now=lambda: START - timedelta(hours=1)).promote(NAME, two, by="b", reason="second")
    assert [entry.version for entry in Registry(home).history(NAME)] == [one, two]


def test_models_sums_up(registry: Registry, model: Pipeline) -> None:
    one, two = several(registry, model, 2)
    record = registry.promote(NAME, one, by="gate", reason="first")
    (summary,) = registry.models()
    assert (summary.name, summary.versions, summary.last) == (NAME, 2, record)
    assert summary.champion is not None
    assert summary.challenger is not None
    assert (summary.champion.version, summary.challenger.version) == (one, two)


# Roll back


def test_rolling_back_goes_by_the_record_and_one_further_each_time(registry: Registry, model: Pipeline) -> None:
    one, two, three = several(registry, model, 3)
    for version in (one, three):  # two was never champion
        registry.promote(NAME, version, by="gate", reason="better")
    registry.promote(NAME, two, by="ann", reason="try it")
    assert back(registry).version == three
    assert back(registry).version == one
    assert serves(registry) == one
    with pytest.raises(RefusedError, match="no earlier champion"):
        back(registry)
    assert serves(registry) == one


def test_a_promotion_after_a_rollback_goes_back_to_what_was_good(registry: Registry, model: Pipeline) -> None:
    one, two, three = several(registry, model, 3)
    registry.promote(NAME, one, by="gate", reason="first")
    registry.promote(NAME, two, by="gate", reason="better")
    back(registry)
    registry.promote(NAME, three, by="gate", reason="better")
    assert back(registry).version == one, "two was rolled back once and must not return"


def test_a_rollback_needs_a_champion_and_a_reason(registry: Registry, model: Pipeline) -> None:
    with pytest.raises(RefusedError, match="no earlier champion"):
        back(registry)
    log(registry, model)
    with pytest.raises(UsageError, match="needs a reason"):
        registry.rollback(NAME, by="ann", reason=" ")


def test_a_rollback_of_a_named_version_can_run_again(registry: Registry, model: Pipeline) -> None:
    one, two, three = several(registry, model, 3)
    for version in (one, two, three):
        registry.promote(NAME, version, by="gate", reason="better")
    first = registry.rollback(NAME, by="ann", reason="odd", bad=three)
    assert registry.rollback(NAME, by="ann", reason="odd", bad=three) == first
    assert serves(registry) == two
    with pytest.raises(RefusedError, match="not in use"):
        registry.rollback(NAME, by="ann", reason="odd", bad=one)


def test_a_version_that_was_deleted_is_passed_over(registry: Registry, model: Pipeline) -> None:
    one, two, three = several(registry, model, 3)
    for version in (one, two, three):
        registry.promote(NAME, version, by="gate", reason="better")
    registry._store._client.delete_model_version(NAME, str(two))
    assert back(registry).version == one


def test_an_alias_moved_past_us_is_where_a_rollback_starts(registry: Registry, model: Pipeline) -> None:
    one, two = several(registry, model, 2)
    registry.promote(NAME, one, by="gate", reason="first")
    registry._store._client.set_registered_model_alias(NAME, CHAMPION, str(two))
    record = back(registry)
    assert (record.version, record.previous) == (one, two)


# Killed in between


def killed(*args: object, **kwargs: object) -> None:
    raise KilledError


SWITCH = [
    ("_store._client", "set_registered_model_tag"),
    ("_store._client", "set_registered_model_alias"),
    ("_promotions._lake", "append"),
    ("_store._client", "delete_registered_model_alias"),
    ("_store._client", "delete_registered_model_tag"),
]


@pytest.mark.parametrize(("part", "step"), SWITCH, ids=[step for _, step in SWITCH])
def test_a_promotion_that_is_killed_ends_the_same_when_it_runs_again(
    home: Settings, model: Pipeline, monkeypatch: pytest.MonkeyPatch, part: str, step: str
) -> None:
    registry = Registry(home, now=ticking())
    one, two = several(registry, model, 2)
    registry.promote(NAME, one, by="gate", reason="first")
    with monkeypatch.context() as patch:
        patch.setattr(attrgetter(part)(registry), step, killed)
        with pytest.raises(KilledError):
            registry.promote(NAME, two, by="gate", reason="better")
    assert serves(registry) in (one, two)

    again = Registry(home, now=ticking())
    again.promote(NAME, two, by="gate", reason="better")
    assert [(e.action, e.version, e.previous) for e in again.history(NAME)] == [
        ("promote", one, None),
        ("promote", two, one),
    ]
    assert serves(again) == two
    assert again.challenger(NAME) is None
    assert not again._store.registered(NAME).tags


@pytest.mark.parametrize(("part", "step"), SWITCH[:3], ids=[step for _, step in SWITCH[:3]])
def test_a_rollback_that_is_killed_ends_the_same_when_it_runs_again(
    home: Settings, model: Pipeline, monkeypatch: pytest.MonkeyPatch, part: str, step: str
) -> None:
    registry = Registry(home, now=ticking())
    one, two, three = several(registry, model, 3)
    for version in (one, two, three):
        registry.promote(NAME, version, by="gate", reason="better")
    with monkeypatch.context() as patch:
        patch.setattr(attrgetter(part)(registry), step, killed)
        with pytest.raises(KilledError):
            registry.rollback(NAME, by="ann", reason="odd", bad=three)

    record = Registry(home, now=ticking()).rollback(NAME, by="ann", reason="odd", bad=three)
    assert (record.version, record.previous) == (two, three)
    assert serves(registry) == two
    assert [entry.action for entry in registry.history(NAME)] == ["promote"] * 3 + ["rollback"]


# Code version


def test_the_configured_code_version_wins(home: Settings) -> None:
    assert code_version(home) == "abc123"


def test_without_one_the_source_is_what_counts(home: Settings) -> None:
    first = code_version(home.model_copy(update={"code_version": ""}))
    base, digest = first.rsplit("+", 1)
    assert base
    assert len(digest) == 8
    assert code_version(home.model_copy(update={"code_version": ""})) == first


def test_a_promotion_survives_the_trip_through_a_row() -> None:
    record = Promotion(START, NAME, "refuse", 2, None, "gate", "a tie", {"m": [1, None]})
    assert Promotion.from_row(json.loads(json.dumps(record.as_row() | {"at": None})) | {"at": START}) == record


def back(registry: Registry) -> Promotion:
    return registry.rollback(NAME, by="ann", reason="sales look odd")


def model_folder(registry: Registry, version: int) -> Path:
    return Path(registry._store._client.get_model_version_download_uri(NAME, str(version)).removeprefix("file://"))


def test_processes_that_find_no_database_do_not_all_begin_to_make_it(tmp_path: Path) -> None:
    code = (
        "from pipeline.registry.client import Registry; from pipeline.settings import load_settings; "
        "Registry(load_settings())"
    )
    environment = {**os.environ, "AISLE_HOME": str(tmp_path)}
    started = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(3)]
    assert [process.wait() for process in started] == [0, 0, 0]
