"""The one shape of a model (`ModelSpec`) and of a domain (`Domain`).

A `ModelSpec` says what is particular to one registered model. Training, gate, scoring and monitoring are the same for
all models: `pipeline.training.lifecycle`, `pipeline.training.scoring`, `pipeline.monitoring.watch`. A `Domain` says
which tables and models belong together. The command line, the DAGs and the prediction service are made from the list
of domains in `pipeline.domains`.

Importing this module is cheap, because every DAG file does: whatever is heavy is behind a function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from datetime import date

    import pandas as pd
    import pyarrow as pa

    from pipeline.contracts import Contract
    from pipeline.endpoints import EndpointSpec
    from pipeline.registry.records import Loaded, ModelVersion
    from pipeline.reports.labels import Label
    from pipeline.settings import Settings
    from pipeline.training.gate import Metrics, Rule, Scores
    from pipeline.training.monitored import MonitoredModel

DataT = TypeVar("DataT")


def imported(path: str) -> Callable[[], Any]:
    """Return a function that imports a module, or `module:name`, when it is called.

    A domain refers to its heavy modules so, because its declaration is imported whenever a DAG file is parsed. A test
    calls every such function and checks what it returns.
    """
    module, _, name = path.partition(":")

    def load() -> Any:
        found = import_module(module)
        return getattr(found, name) if name else found

    return load


@dataclass(frozen=True)
class Run:
    """What a step reads. The same run gives the same result.

    Attributes:
        settings: with the seed of this run.
        as_of: everything strictly before this day is known.
        tables: the Delta version of each table that is read; a table that does not exist is missing.
    """

    settings: Settings
    as_of: date
    tables: Mapping[str, int]


@dataclass(frozen=True)
class Fitted:
    """The result of a fit, before it is registered.

    Attributes:
        model: the fitted estimator.
        features: its input columns, in order.
        example: some rows of its input; float64 and str columns only.
        metrics: measured on rows that it has not seen, where the model permits.
        reason: a sentence on why this model was chosen.
        params: choices that make two trainings on the same rows different models.
        artefacts: JSON files to travel with the model: file name -> content.
        folds: days or rows that were held out -> metrics on them, in the order of time; shown in MLflow.
        candidates: what the model was chosen among, itself included -> metrics on the same rows; shown in MLflow.
    """

    model: Any
    features: Sequence[str]
    example: pd.DataFrame
    metrics: Mapping[str, float]
    reason: str
    params: Mapping[str, object] = field(default_factory=dict)
    artefacts: Mapping[str, Any] = field(default_factory=dict)
    folds: Mapping[str, Metrics] = field(default_factory=dict)
    candidates: Mapping[str, Metrics] = field(default_factory=dict)


@dataclass(frozen=True)
class Contest(Generic[DataT]):
    """A challenger and a champion on the same rows. `champion` is None before there is another version in use."""

    challenger: Loaded
    champion: Loaded | None
    data: DataT
    run: Run


@dataclass(frozen=True)
class ModelSpec(Generic[DataT]):
    """What is particular to one registered model.

    Attributes:
        name: of the registered model.
        table: what it learns from; its Delta version is the gate's frozen window.
        load: reads what a fit or an evaluation needs.
        content: the frames that decide what is learned. Their content is part of the model's identity.
        fit: fits on the loaded data; the champion, if any, may give an identity to keep.
        rules: what the gate asks.
        monitored: what is compared with the training once the model is in use.
        evaluate: metrics of a loaded version on the loaded data.
        baseline: metrics of a naive model on the loaded data.
        compare: measures challenger, champion and baseline together, where `evaluate` by itself cannot.
        other_tables: further tables that are read, and recorded with their versions where they exist.
        trusted_types: this project's types that the model's file may hold; see `pipeline.registry.model_files`.
        evaluate_candidate: evaluates one of the candidates of `ModelEntry.candidates` and keeps the result for `fit`.
        backtest: errors on days that the model has not seen, for the candidates that are named (none: the default).
            Where `backtest_folds` is true it takes a third argument, how many folds to report.
        backtest_folds: whether the number of folds can be chosen.
    """

    name: str
    table: str
    load: Callable[[Run], DataT]
    content: Callable[[DataT], Sequence[pd.DataFrame]]
    fit: Callable[[DataT, Run, Loaded | None], Fitted]
    rules: tuple[Rule, ...]
    monitored: MonitoredModel
    evaluate: Callable[[Loaded, DataT, Run], Metrics] | None = None
    baseline: Callable[[DataT], Metrics] | None = None
    compare: Callable[[Contest[DataT]], Scores] | None = None
    other_tables: tuple[str, ...] = ()
    trusted_types: tuple[str, ...] = ()
    evaluate_candidate: Callable[[Run, str], dict[str, float]] | None = None
    backtest: Callable[..., dict[str, Any]] | None = None
    backtest_folds: bool = False

    @property
    def tables(self) -> tuple[str, ...]:
        """Every table that is read."""
        return (self.table, *self.other_tables)


class Champions(Protocol):
    """The versions in use when a scoring began, each loaded when it is first needed."""

    def version(self, model: str) -> ModelVersion | None:
        """The version in use; None without a champion."""

    def load(self, model: str) -> Loaded:
        """The model in memory, verified."""

    def artefacts(self, model: str) -> Mapping[str, Any]:
        """The JSON files stored with the model, verified; the model itself is not built."""


class Steps(Protocol):
    """What differs between domains, as functions of their module `steps`."""

    def build_features(self, run: Run) -> pa.Table:
        """Return the rows of the features table as of a day.

        Raises:
            RefusedError: if there is nothing to make them from.
        """

    def score(self, run: Run, champions: Champions) -> pa.Table:
        """Return the rows of the results table as of a day, without the versions of the models.

        Raises:
            RefusedError: if there is nothing to score.
        """

    def write_report(self, settings: Settings, as_of: date) -> str:
        """Write the page of a scored day and return its path below home.

        Raises:
            RefusedError: if the day is not scored.
        """


@dataclass(frozen=True)
class OwnResults:
    """A table that one model fills by itself, beside the results table of its domain.

    Attributes:
        table: its name.
        score: imports and returns the function that makes its rows as of a day, without `model_version`.
    """

    table: str
    score: Callable[[], Callable[[Run, Champions], pa.Table]]


@dataclass(frozen=True)
class ModelEntry:
    """A model as a domain lists it, cheap to import.

    Attributes:
        name: of the registered model.
        spec: imports and returns its specification.
        raw_input: the clean table that it is trained on, for a model that needs no features.
        candidates: the kinds of model among which a training chooses; empty where there is only one.
        required: whether scoring waits until this model has a champion.
        results: tables of its own, which scoring fills once the model has a champion.
    """

    name: str
    spec: Callable[[], ModelSpec[Any]]
    raw_input: str | None = None
    candidates: tuple[str, ...] = ()
    required: bool = True
    results: tuple[OwnResults, ...] = ()


@dataclass(frozen=True)
class Headline:
    """A figure of a domain for the morning page.

    Attributes:
        label: what it is, with its unit.
        table: a table with a part for each as-of day.
        expression: an aggregate of the rows of a day, in SQL.
        money: whether it is an amount in the currency of the domain's input table.
    """

    label: str
    table: str
    expression: str
    money: bool = False


@dataclass(frozen=True)
class Domain:
    """Tables, models and steps that belong together.

    Attributes:
        name: also of its folder below `pipeline/`, of its DAG and of its folder of pages.
        input_table: the clean table whose days are the domain's.
        features_table: what `build_features` writes, a part for each as-of day.
        results_table: what scoring writes, a part for each as-of day.
        models: those of the domain; the first required one gives `model_version`.
        steps: imports and returns the domain's module `steps`.
        other_inputs: further tables that features are made from, where they exist.
        endpoints: each imports and returns a path that the domain offers to the prediction service.
        contracts: of tables that only this domain reads, in addition to those of `pipeline.contracts`.
        headlines: the two or three figures that the morning page shows.
        labels: imports and returns what the domain's columns are called on pages.
        search: what can be searched on the domain's pages, such as store; empty for nothing.
    """

    name: str
    input_table: str
    features_table: str
    results_table: str
    models: tuple[ModelEntry, ...]
    steps: Callable[[], Steps]
    other_inputs: tuple[str, ...] = ()
    endpoints: tuple[Callable[[], EndpointSpec], ...] = ()
    contracts: tuple[Contract, ...] = ()
    headlines: tuple[Headline, ...] = ()
    labels: Callable[[], Mapping[str, Label]] = dict
    search: str = ""

    @property
    def model_names(self) -> tuple[str, ...]:
        """The names of its registered models."""
        return tuple(entry.name for entry in self.models)

    @property
    def required_models(self) -> tuple[str, ...]:
        """The models that must have a champion before anything is scored."""
        return tuple(entry.name for entry in self.models if entry.required)

    def entry(self, model: str) -> ModelEntry:
        """The entry of one of its models.

        Raises:
            UsageError: if the domain has no such model.
        """
        for entry in self.models:
            if entry.name == model:
                return entry
        raise UsageError(
            "This domain has no such model", where=self.name, observed=model, allowed=", ".join(self.model_names)
        )

    def specs(self) -> list[ModelSpec[Any]]:
        """The specifications of all its models."""
        return [entry.spec() for entry in self.models]
