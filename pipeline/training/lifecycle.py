"""The life of a registered model, the same for every model: features, candidates, training, gate, promotion.

Each function is a step of its own: at night it runs in a process of its own, and it can run again at any time.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.errors import RefusedError
from pipeline.lake.tables import Lake, TableRef
from pipeline.logs import log_event, log_step
from pipeline.training.gate import Decision, NotOlder, Scores, Window, decide
from pipeline.training.spec import Contest, Domain, ModelSpec, Run

if TYPE_CHECKING:
    from pipeline.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A registered challenger; `reason` is a sentence on why this model was chosen."""

    model: str
    version: int
    reason: str
    metrics: Mapping[str, float | None]

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON can hold it."""
        return asdict(self)


def known_days(settings: Settings, domain: Domain, model: str) -> list[date]:
    """The days that a training of a model may use, sorted: those of the domain's input table.

    For a model that is trained on a clean table they are that table's where the domain has no days of its own yet.
    """
    lake, raw = Lake(settings), domain.entry(model).raw_input
    return lake.days(domain.input_table) or (lake.days(raw) if raw else [])


def build_features(settings: Settings, domain: Domain, as_of: date) -> TableRef:
    """Write a domain's features as of a day; that day of the table is replaced.

    Raises:
        RefusedError: if there is nothing to make them from.
    """
    lake = Lake(settings)
    with log_step(log, "build features", table=domain.features_table, as_of=as_of) as result:
        run = Run(settings, as_of, _versions(lake, (domain.input_table, *domain.other_inputs)))
        rows = dated(domain.steps().build_features(run), as_of)
        written = lake.replace(domain.features_table, {"as_of": [as_of]}, rows, inputs=run.tables)
        result |= {"rows": rows.num_rows, "version": written.version}
    return written


def prepare(settings: Settings, domain: Domain, model: str, as_of: date) -> TableRef:
    """Make ready what a training of a model reads: features as of a day, or the clean table that it is trained on."""
    raw = domain.entry(model).raw_input
    return TableRef(raw, Lake(settings).version(raw), as_of) if raw else build_features(settings, domain, as_of)


def evaluate_candidate(settings: Settings, spec: ModelSpec[Any], as_of: date, candidate: str) -> dict[str, float]:
    """Evaluate a candidate on the newest days before a day, held out of its training.

    Raises:
        UsageError: if there is no such candidate.
        RefusedError: if history is too short.
    """
    if spec.evaluate_candidate is None:
        raise TypeError(f"{spec.name} has no candidates")
    with log_step(log, "evaluate candidate", model=spec.name, candidate=candidate, as_of=as_of) as result:
        metrics = spec.evaluate_candidate(_run(settings, spec, as_of), candidate)
        result |= metrics
    return metrics


def train(settings: Settings, spec: ModelSpec[Any], as_of: date) -> Trained:
    """Train on what is known as of a day and register the model as challenger.

    The same rows, seed, parameters and code are the same model: its version is returned, and nothing is registered.

    Raises:
        RefusedError: if there is nothing to train on, or nothing to learn from it.
    """
    from pipeline.code_version import code_version
    from pipeline.registry.client import Registry
    from pipeline.registry.records import Evidence, Provenance, content_digest

    registry = Registry(settings)
    with log_step(log, "train", model=spec.name, as_of=as_of) as result:
        run = _run(settings, spec, as_of)
        data = spec.load(run)
        in_use = registry.champion(spec.name)
        champion = registry.load(spec.name, in_use.version, spec.trusted_types) if in_use else None
        fitted = spec.fit(data, run, champion)
        registered = registry.log_challenger(
            spec.name,
            fitted.model,
            provenance=Provenance(as_of, run.tables, tuple(fitted.features), settings.seed, code_version(settings)),
            content=content_digest(spec.content(data)),
            example=fitted.example,
            metrics=fitted.metrics,
            params=fitted.params,
            artefacts=fitted.artefacts,
            evidence=Evidence(fitted.reason, fitted.folds, fitted.candidates),
            trusted_types=spec.trusted_types,
        )
        result["version"] = registered.version
    return Trained(spec.name, registered.version, fitted.reason, dict(registered.metrics))


def gate(settings: Settings, spec: ModelSpec[Any], version: int) -> Decision:
    """Decide whether a challenger may become champion, and record the decision with its version.

    Challenger and champion are measured on the same data: those that the challenger's training read, by their Delta
    versions. A challenger whose as-of day is before the champion's is never accepted.

    Raises:
        RefusedError: if there is no such version, or the tables that it was trained on can no longer be read.
    """
    from pipeline.registry.client import Registry

    registry = Registry(settings)
    with log_step(log, "gate", model=spec.name, version=version) as result:
        challenger = registry.load(spec.name, version, spec.trusted_types)
        in_use = registry.champion(spec.name)
        other = in_use is not None and in_use.version != version
        champion = registry.load(spec.name, trusted_types=spec.trusted_types) if other else None
        provenance = challenger.version.provenance
        seeded = settings.model_copy(update={"seed": provenance.seed})
        run = Run(seeded, provenance.as_of, provenance.tables)
        contest: Contest[Any] = Contest(challenger, champion, spec.load(run), run)
        scores = _as_of_days((spec.compare or _each(spec))(contest), contest)
        window = Window(spec.table, provenance.tables[spec.table], provenance.as_of)
        decision = decide(scores, (*spec.rules, NotOlder()), window=window)
        _record_decision(registry, spec.name, version, decision)
        result |= {"accepted": decision.accepted, "reasons": "; ".join(decision.reasons)}
    return decision


def promote(settings: Settings, model: str, version: int, *, by: str) -> None:
    """Make a version that the gate accepted the champion.

    Raises:
        RefusedError: if the gate did not accept it, or has not run.
    """
    from pipeline.registry.client import Registry

    registry = Registry(settings)
    challenger = registry.get(model, version)
    if not challenger.accepted:
        raise RefusedError(
            "The gate has not accepted this version",
            where=f"{model} version {version}",
            observed="the gate has not run"
            if challenger.accepted is None
            else "; ".join(challenger.decision["reasons"]),
            todo=f"run the gate, or overrule it by hand: aisle promote {model} {version} --reason …",
        )
    reason = "; ".join(challenger.decision["reasons"])
    registry.promote(model, version, by=by, reason=reason, figures=challenger.decision)
    log_event(log, "promoted", model=model, version=version, by=by)


def _each(spec: ModelSpec[Any]) -> Any:
    """Measure challenger and champion one by one on the same rows, by the model's own `evaluate`."""
    evaluate = spec.evaluate
    if evaluate is None:
        raise TypeError(f"{spec.name} has neither evaluate nor compare")

    def compare(contest: Contest[Any]) -> Scores:
        return Scores(
            evaluate(contest.challenger, contest.data, contest.run),
            evaluate(contest.champion, contest.data, contest.run) if contest.champion else None,
            spec.baseline(contest.data) if spec.baseline else None,
        )

    return compare


def _as_of_days(scores: Scores, contest: Contest[Any]) -> Scores:
    champion = contest.champion
    return Scores(
        scores.challenger,
        scores.champion,
        scores.baseline,
        contest.challenger.version.provenance.as_of,
        champion.version.provenance.as_of if champion else None,
    )


def _record_decision(registry: Any, model: str, version: int, decision: Decision) -> None:
    """Record a decision on a version. A refusal goes into the record of promotions as well."""
    if decision.accepted:
        registry.accept(model, version, decision.figures)
    else:
        registry.refuse(model, version, by="gate", reason="; ".join(decision.reasons), figures=decision.figures)


def _run(settings: Settings, spec: ModelSpec[Any], as_of: date) -> Run:
    """A training's run on the newest versions of its tables; the first of them must exist.

    A table from which the features were computed is given in the version that they were computed from.
    """
    lake = Lake(settings)
    version = lake.version(spec.table)
    feature_inputs = lake.inputs(spec.table, {"as_of": [as_of]}, version)
    inputs = {table: feature_inputs[table] for table in spec.other_tables if table in feature_inputs}
    return Run(settings, as_of, {spec.table: version} | _versions(lake, spec.other_tables) | inputs)


def _versions(lake: Lake, tables: tuple[str, ...]) -> dict[str, int]:
    return {table: lake.version(table) for table in tables if lake.exists(table)}


def dated(rows: pa.Table, as_of: date) -> pa.Table:
    """Rows with the column `as_of`, which is appended where they lack it."""
    if "as_of" in rows.column_names:
        return rows
    return rows.append_column("as_of", pa.array([as_of] * rows.num_rows, pa.date32()))
