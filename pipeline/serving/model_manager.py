"""The champions that serve: loaded from the registry, watched, and swapped when others take their place.

A new champion is built beside the one that serves, is asked its own input example, and takes over by one assignment. If
anything fails on the way (the registry is away, the files are not what was registered, a type is not allowed, the
example cannot be answered) the old one stays, and the note says why.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Literal

from pipeline.endpoints import EndpointSpec, Predictor, RowError
from pipeline.errors import AisleError, RefusedError, UsageError
from pipeline.registry.client import CHALLENGER, CHAMPION, Registry
from pipeline.registry.records import Loaded
from pipeline.serving.metrics import Metrics
from pipeline.settings import Settings

Outcome = Literal["loaded", "unchanged", "none", "failed"]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """A predictor in use, and what it was built from. `source` is as of `EndpointSpec.source`."""

    predictor: Predictor
    loaded: Mapping[str, Loaded]
    source: str
    since: datetime

    @property
    def versions(self) -> dict[str, int]:
        """Registered model -> version."""
        return {name: loaded.version.version for name, loaded in self.loaded.items()}


@dataclass(frozen=True)
class Note:
    """What came of the last look at the registry, or of the last load, for one route."""

    at: datetime
    outcome: Outcome
    text: str


class ModelManager:
    """What serves, by the name of its route.

    Args:
        served: the routes.
        registry: makes a registry; called when it is first needed, and again until it succeeds.
        now: the clock of the notes.
    """

    def __init__(
        self,
        settings: Settings,
        served: Sequence[EndpointSpec],
        metrics: Metrics,
        registry: Callable[[], Registry] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings, self._served, self._metrics, self._now = settings, served, metrics, now
        self._make_registry = registry or (lambda: _registry(settings))
        self._registry: Registry | None = None
        self._champions: dict[str, LoadedModel] = {}
        self._challengers: dict[str, LoadedModel] = {}
        self._required = _known(settings.serve_models, served)
        self._reached = False
        self._lock = Lock()
        self.notes: dict[str, Note] = {}

    def serving(self, name: str) -> LoadedModel | None:
        """What answers a route now."""
        return self._champions.get(name)

    def challenger(self, name: str) -> LoadedModel | None:
        """What would like to, where challengers are asked as well."""
        return self._challengers.get(name)

    @property
    def required(self) -> tuple[str, ...]:
        """The routes that must answer for the service to be ready; unknown, hence none, until the registry answers."""
        return tuple(sorted(self._required))

    @property
    def ready(self) -> bool:
        """Whether all that must answer can."""
        return self._reached and bool(self._required) and self._required <= set(self._champions)

    def refresh(self) -> None:
        """Look at the registry and load what has changed. Raises nothing: `notes` says what failed."""
        with self._lock:
            try:
                registry = self._registry = self._registry or self._make_registry()
                names = {model for served in self._served for model in served.models}
                aliases = {name: registry.aliases(name) for name in names}
            except Exception as error:  # noqa: BLE001
                # A registry can fail in as many ways as there are databases and networks.
                log.warning("the registry does not answer: %s", error)
                for served in self._served:
                    self._note(served, "failed", f"the registry does not answer: {_told(error)}")
                return
            self._reached = True
            if not self._settings.serve_models:
                there = {s.name for s in self._served if all(CHAMPION in aliases[model] for model in s.models)}
                self._required = frozenset(there | set(self._champions))
            for served in self._served:
                self._refresh(registry, served, aliases)

    def _refresh(self, registry: Registry, served: EndpointSpec, aliases: Mapping[str, Mapping[str, int]]) -> None:
        wanted = {name: aliases[name][CHAMPION] for name in served.models if CHAMPION in aliases[name]}
        if len(wanted) < len(served.models):
            missing = ", ".join(name for name in served.models if name not in wanted)
            self._note(served, "none", f"no champion of {missing}")
            return
        try:
            outcome, serving = self._loaded(registry, served, wanted, CHAMPION, self._champions.get(served.name))
        except Exception as error:
            log.warning("%s: a new champion was not taken", served.name, exc_info=error)
            self._note(served, "failed", f"{_versions(wanted)} was not taken: {_told(error)}")
            return
        self._champions[served.name] = serving
        self._note(served, outcome, f"{_versions(wanted)} serves")
        for name, loaded in serving.loaded.items():
            self._metrics.version.labels(name).set(loaded.version.version)
            age = (self._now().date() - loaded.version.provenance.as_of).days
            self._metrics.age.labels(name).set(age)
        if self._settings.serve_shadow or self._settings.serve_canary > 0:
            self._refresh_challenger(registry, served, aliases)

    def _refresh_challenger(
        self, registry: Registry, served: EndpointSpec, aliases: Mapping[str, Mapping[str, int]]
    ) -> None:
        if not any(CHALLENGER in aliases[name] for name in served.models):
            self._challengers.pop(served.name, None)
            return
        # Where a model of a chain has no challenger its champion takes part.
        wanted = {name: aliases[name].get(CHALLENGER, aliases[name][CHAMPION]) for name in served.models}
        try:
            _, serving = self._loaded(registry, served, wanted, CHALLENGER, self._challengers.get(served.name))
        except Exception as error:
            log.warning("%s: the challenger cannot be asked", served.name, exc_info=error)
            self._challengers.pop(served.name, None)
            return
        self._challengers[served.name] = serving

    def _loaded(
        self,
        registry: Registry,
        served: EndpointSpec,
        wanted: Mapping[str, int],
        role: str,
        current: LoadedModel | None,
    ) -> tuple[Outcome, LoadedModel]:
        source = served.source(self._settings)
        if current is not None and (current.versions, current.source) == (wanted, source):
            return "unchanged", current
        kept = current.loaded if current else {}
        loaded = {
            name: kept[name] if name in kept and kept[name].version.version == version else registry.load(name, version)
            for name, version in wanted.items()
        }
        predictor = served.build(loaded, self._settings)
        _check(served, predictor)
        log.info("%s: %s is loaded as %s", served.name, _versions(wanted), role)
        return "loaded", LoadedModel(predictor, loaded, source, self._now())

    def _note(self, served: EndpointSpec, outcome: Outcome, text: str) -> None:
        self._metrics.reloads.labels(served.name, outcome).inc()
        known = self.notes.get(served.name)
        # That nothing has changed since is no reason to forget what was said of the last change.
        if outcome != "unchanged" or known is None or known.outcome != "loaded":
            self.notes[served.name] = Note(self._now(), outcome, text)


def _check(served: EndpointSpec, predictor: Predictor) -> None:
    """Ask a predictor its own example; its answers' schema refuses what is not finite."""
    answers = predictor.predict([predictor.example]).answers
    refused = [answer for answer in answers if isinstance(answer, RowError)]
    if not answers or refused:
        raise RefusedError(
            "The model does not answer its own input example",
            where=served.name,
            observed=refused[0].error.what if refused else "no answers",
            todo="look at the training that registered it, and roll back: aisle rollback",
        )


def _registry(settings: Settings) -> Registry:
    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES, MLFLOW_HTTP_REQUEST_TIMEOUT

    # MLflow tries for minutes before it says that a server is away; here the next look comes soon enough.
    MLFLOW_HTTP_REQUEST_MAX_RETRIES.set(1)  # type: ignore[no-untyped-call]
    MLFLOW_HTTP_REQUEST_TIMEOUT.set(20)  # type: ignore[no-untyped-call]
    return Registry(settings)


def _known(names: frozenset[str], served: Sequence[EndpointSpec]) -> frozenset[str]:
    known = {s.name for s in served}
    if unknown := sorted(names - known):
        raise UsageError(
            "The service knows no such models",
            where="AISLE_SERVE_MODELS",
            observed=", ".join(unknown),
            allowed=", ".join(sorted(known)),
        )
    return names


def _versions(versions: Mapping[str, int]) -> str:
    return ", ".join(f"{name} version {version}" for name, version in versions.items())


def _told(error: Exception) -> str:
    return error.what if isinstance(error, AisleError) else str(error).split("\n")[0][:300] or type(error).__name__
