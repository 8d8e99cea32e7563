"""The loaded champions: read from the registry, polled, and replaced when another version becomes champion.

A new champion is built beside the one in use, predicts its own input example, and replaces it by one assignment. If
anything fails on the way (the registry does not answer, a file is not the one that was registered, a type is not
allowed, the example cannot be predicted), the old one stays, and `last_reloads` says why.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from threading import Lock
from typing import Literal

from pipeline.dates import UNDATED_AS_OF
from pipeline.endpoints import EndpointSpec, Predictor, RowError
from pipeline.errors import AisleError, RefusedError, UsageError
from pipeline.logs import log_event
from pipeline.redaction import redact
from pipeline.registry.client import CHALLENGER, CHAMPION, Registry
from pipeline.registry.records import Loaded
from pipeline.serving.metrics import Metrics
from pipeline.settings import Settings

Outcome = Literal["loaded", "unchanged", "none", "failed"]
_PUBLIC: Mapping[Outcome, str] = {
    "loaded": "A champion is loaded.",
    "unchanged": "A champion is loaded.",
    "none": "There is no champion yet.",
    "failed": "The champion could not be loaded; the log of the service and GET /model say why.",
}
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """A predictor in use, and what it was built from.

    Args:
        loaded: the models it was built from, by registered name.
        source: the value of `EndpointSpec.source` when it was built.
        since: when it was built.
    """

    predictor: Predictor
    loaded: Mapping[str, Loaded]
    source: str
    since: datetime

    @property
    def versions(self) -> dict[str, int]:
        """Registered model -> version."""
        return {name: loaded.version.version for name, loaded in self.loaded.items()}


@dataclass(frozen=True)
class ReloadResult:
    """The result of the last poll of the registry, or of the last load, for one endpoint; `text` says it in words."""

    at: datetime
    outcome: Outcome
    text: str


class ModelManager:
    """The champions and challengers in use, by endpoint name.

    Args:
        specs: the endpoints.
        registry: makes a registry; called when it is first needed, and again until it succeeds.
        now: the clock of `last_reloads`.

    Attributes:
        last_reloads: the result of the last reload of each endpoint; empty before the first poll.
    """

    def __init__(
        self,
        settings: Settings,
        specs: Sequence[EndpointSpec],
        metrics: Metrics,
        registry: Callable[[], Registry] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings, self._specs, self._metrics, self._now = settings, specs, metrics, now
        self._make_registry = registry or (lambda: _open_registry(settings))
        self._registry: Registry | None = None
        self._champions: dict[str, LoadedModel] = {}
        self._challengers: dict[str, LoadedModel] = {}
        self._required = _check_names(settings.serve_models, specs)
        self._registry_answered = False
        self._lock = Lock()
        self.last_reloads: dict[str, ReloadResult] = {}

    def champion(self, name: str) -> LoadedModel | None:
        """What answers the requests of an endpoint; None while no champion is loaded."""
        return self._champions.get(name)

    def challenger(self, name: str) -> LoadedModel | None:
        """The challenger of an endpoint; None unless the settings ask for challengers and there is one."""
        return self._challengers.get(name)

    def public_state(self, name: str) -> str:
        """A fixed sentence about an endpoint, for those who may not read `last_reloads`."""
        if name in self._champions:
            return "A champion is loaded."
        last = self.last_reloads.get(name)
        return _PUBLIC[last.outcome] if last else "The registry has not been asked yet."

    @property
    def required(self) -> tuple[str, ...]:
        """The endpoints that must be loaded for the service to be ready; empty until the registry has answered."""
        return tuple(sorted(self._required))

    @property
    def ready(self) -> bool:
        """Whether the champions of all required endpoints are loaded."""
        return self._registry_answered and bool(self._required) and self._required <= set(self._champions)

    def refresh(self) -> None:
        """Poll the registry and load what has changed. Raises nothing: `last_reloads` says what failed."""
        with self._lock:
            try:
                registry = self._registry = self._registry or self._make_registry()
                names = {model for spec in self._specs for model in spec.models}
                aliases = {name: registry.aliases(name) for name in names}
            except Exception as error:  # noqa: BLE001
                # A registry can fail in as many ways as there are databases and networks.
                for spec in self._specs:
                    self._record(spec, "failed", f"the registry does not answer: {_summary(error)}")
                return
            for spec in self._specs:
                self._refresh_champion(registry, spec, aliases)
            # Only now: while the first champion of one more endpoint is being loaded, the service stays ready.
            if not self._settings.serve_models:
                complete = {s.name for s in self._specs if all(CHAMPION in aliases[model] for model in s.models)}
                self._required = frozenset(complete | set(self._champions))
            self._registry_answered = True

    def _refresh_champion(
        self, registry: Registry, spec: EndpointSpec, aliases: Mapping[str, Mapping[str, int]]
    ) -> None:
        wanted = {name: aliases[name][CHAMPION] for name in spec.models if CHAMPION in aliases[name]}
        if len(wanted) < len(spec.models):
            missing = ", ".join(name for name in spec.models if name not in wanted)
            self._record(spec, "none", f"no champion of {missing}")
            return
        try:
            outcome, champion = self._load(registry, spec, wanted, self._champions.get(spec.name))
        except Exception as error:  # noqa: BLE001
            self._record(spec, "failed", f"{_versions_text(wanted)} was not taken: {_summary(error)}", error)
            return
        self._champions[spec.name] = champion
        self._record(spec, outcome, f"{_versions_text(wanted)} is loaded")
        for name, loaded in champion.loaded.items():
            self._metrics.version.labels(name).set(loaded.version.version)
            self._set_age(name, loaded.version.provenance.as_of)
        if self._settings.serve_shadow or self._settings.serve_canary > 0:
            self._refresh_challenger(registry, spec, aliases)

    def _refresh_challenger(
        self, registry: Registry, spec: EndpointSpec, aliases: Mapping[str, Mapping[str, int]]
    ) -> None:
        if not any(CHALLENGER in aliases[name] for name in spec.models):
            self._challengers.pop(spec.name, None)
            return
        # A model of a chain without a challenger takes part with its champion.
        wanted = {name: aliases[name].get(CHALLENGER, aliases[name][CHAMPION]) for name in spec.models}
        try:
            outcome, challenger = self._load(registry, spec, wanted, self._challengers.get(spec.name))
        except Exception as error:
            log.warning("%s: the challenger was not loaded", spec.name, exc_info=error)
            self._challengers.pop(spec.name, None)
            return
        if outcome == "loaded":
            log_event(log, "challenger loaded", endpoint=spec.name, versions=_versions_text(wanted))
        self._challengers[spec.name] = challenger

    def _load(
        self, registry: Registry, spec: EndpointSpec, wanted: Mapping[str, int], current: LoadedModel | None
    ) -> tuple[Outcome, LoadedModel]:
        """Build and check a predictor of the wanted versions, unless it is the current one.

        Versions that are in memory already, for this endpoint or another, are not read again.

        Returns:
            "loaded" or "unchanged", and the predictor.
        """
        source = spec.source(self._settings)
        if current is not None and (current.versions, current.source) == (wanted, source):
            return "unchanged", current
        kept = {
            (name, found.version.version): found
            for model in (*self._challengers.values(), *self._champions.values())
            for name, found in model.loaded.items()
        }
        loaded = {
            name: kept.get((name, version)) or registry.load(name, version, spec.trusted_types)
            for name, version in wanted.items()
        }
        predictor = spec.build(loaded, self._settings)
        _check_example(spec, predictor)
        return "loaded", LoadedModel(predictor, loaded, source, self._now())

    def _set_age(self, model: str, as_of: date) -> None:
        """Set the model's age in days; a model of undated data has none."""
        if as_of == UNDATED_AS_OF:
            self._metrics.age.remove(model)
        else:
            self._metrics.age.labels(model).set((self._now().date() - as_of).days)

    def _record(self, spec: EndpointSpec, outcome: Outcome, text: str, error: Exception | None = None) -> None:
        """Count the outcome of a reload, keep it in `last_reloads`, and log it when it differs from the last one.

        Args:
            error: logged with its traceback, unless it is one of ours, whose message says enough.
        """
        self._metrics.reloads.labels(spec.name, outcome).inc()
        last = self.last_reloads.get(spec.name)
        # A poll that finds no change does not hide the result of the last load.
        if outcome != "unchanged" or last is None or last.outcome != "loaded":
            self.last_reloads[spec.name] = ReloadResult(self._now(), outcome, text)
        if outcome == "loaded":
            log_event(log, "champion loaded", endpoint=spec.name, detail=text)
        elif outcome != "unchanged" and (last is None or (last.outcome, last.text) != (outcome, text)):
            level = logging.INFO if outcome == "none" else logging.WARNING
            log_event(log, "champion not loaded", level, endpoint=spec.name, reason=text)
            if error is not None and not isinstance(error, AisleError):
                log.warning("%s: traceback of the champion that was not loaded", spec.name, exc_info=error)


def _check_example(spec: EndpointSpec, predictor: Predictor) -> None:
    """Let a predictor answer its own example; the schema of its answers refuses NaN and infinity.

    A predictor that answers from what the night kept has no example before the first night.

    Raises:
        RefusedError: if a row of the example is answered with an error.
    """
    if not predictor.example:
        return
    answers = predictor.predict([predictor.example]).answers
    refused = [answer for answer in answers if isinstance(answer, RowError)]
    if not answers or refused:
        raise RefusedError(
            "The model does not answer its own input example",
            where=spec.name,
            observed=refused[0].error.what if refused else "no answers",
            todo="look at the training that registered it, and roll back: aisle rollback",
        )


def _open_registry(settings: Settings) -> Registry:
    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES, MLFLOW_HTTP_REQUEST_TIMEOUT

    # By default MLflow retries for minutes before it reports that a server is away; here the next poll comes sooner.
    MLFLOW_HTTP_REQUEST_MAX_RETRIES.set(1)  # type: ignore[no-untyped-call]
    MLFLOW_HTTP_REQUEST_TIMEOUT.set(20)  # type: ignore[no-untyped-call]
    return Registry(settings)


def _check_names(names: frozenset[str], specs: Sequence[EndpointSpec]) -> frozenset[str]:
    """The names of endpoints in a setting.

    Raises:
        UsageError: if one of them does not exist.
    """
    known = {spec.name for spec in specs}
    if unknown := sorted(names - known):
        raise UsageError(
            "The service has no such endpoints",
            where="AISLE_SERVE_MODELS",
            observed=", ".join(unknown),
            allowed=", ".join(sorted(known)),
        )
    return names


def _versions_text(versions: Mapping[str, int]) -> str:
    return ", ".join(f"{name} version {version}" for name, version in versions.items())


def _summary(error: Exception) -> str:
    """An error in one line."""
    if isinstance(error, AisleError):
        return error.what
    # Before it is cut, because half an address is not recognised as one.
    return redact(error).split("\n")[0][:300] or type(error).__name__
