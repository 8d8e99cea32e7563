"""The commands about models: train, backtest, export, score, report, watch, models, promote and rollback."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import AsOf, By, Candidates, Day, DomainName, Json, ModelName, Reason
from pipeline.cli.output import (
    backtest_table,
    drift_text,
    interruptible,
    model_as_dict,
    model_text,
    print_result,
    seconds_since,
    write_morning_page,
)
from pipeline.dates import format_day
from pipeline.domains import DOMAINS, domain_of, find_domain, model_names, spec_of
from pipeline.errors import RefusedError, UsageError
from pipeline.logs import log_each, log_step
from pipeline.redaction import redact
from pipeline.settings import Settings, load_settings

if TYPE_CHECKING:
    # MLflow takes seconds to import, so only the commands that read the registry import it.
    from pipeline.monitoring.watch import DriftResult
    from pipeline.training.spec import Domain

log = logging.getLogger(__name__)


def train(
    model: ModelName,
    as_of: AsOf = None,
    candidate: Candidates = None,
    promote: Annotated[
        bool, typer.Option("--promote/--no-promote", help="Whether to promote the challenger if the gate accepts it.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Train a challenger, compare it with the champion at the gate, promote it if the gate accepts it."""
    from pipeline.training import lifecycle

    candidates = _candidates(model, candidate)
    settings, start = load_settings(), time.monotonic()
    domain, spec = domain_of(model), spec_of(model)
    known = lifecycle.known_days(settings, domain, model)
    if not (as_of or known):
        table = domain.input_table
        raise RefusedError("There is nothing to train on", where=table, todo=f"aisle ingest {table} --all")
    day = as_of or known[-1] + timedelta(days=1)
    done: list[str] = []
    with interruptible(done):
        lifecycle.prepare(settings, domain, model, day)
        done.append(f"the input as of {format_day(day)} is prepared")
        for name in log_each(log, "candidate", candidates):
            lifecycle.evaluate_candidate(settings, spec, day, name)
            done.append(f"{name} is evaluated")
        trained = lifecycle.train(settings, spec, day)
        done.append(f"version {trained.version} is registered as challenger")
        decision = lifecycle.gate(settings, spec, trained.version)
        if promoted := decision.accepted and promote:
            lifecycle.promote(settings, model, trained.version, by="aisle train")
        write_morning_page(settings)
    result = {
        **trained.as_dict(),
        "as_of": day,
        "promoted": promoted,
        "reasons": list(decision.reasons),
        "seconds": seconds_since(start),
    }
    verdict = "promoted" if promoted else "not promoted"
    if decision.accepted and not promote:
        verdict += " because of --no-promote; the gate accepts it"
    lines = [f"{model} version {trained.version}: {verdict}, {result['seconds']} s", trained.reason, *decision.reasons]
    print_result(result, as_json, "\n  ".join(lines))
    if promote and not decision.accepted:
        raise typer.Exit(1)


def backtest(
    model: ModelName,
    candidate: Candidates = None,
    folds: Annotated[
        int | None, typer.Option(min=1, help="How many periods to forecast, the newest last. Default: the model's own.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Evaluate a model on days that it was not trained on."""
    spec = spec_of(model)
    if spec.backtest is None:
        raise UsageError("This model has no backtest", observed=model, todo="see its metrics: aisle models")
    if folds is not None and not spec.backtest_folds:
        raise UsageError("The periods of this model's backtest are fixed", observed=f"--folds {folds}", where=model)
    chosen = () if folds is None else (folds,)
    with log_step(log, "backtest", model=model):
        result = spec.backtest(load_settings(), _candidates(model, candidate), *chosen)
    lines = [f"{model}, {len(result['folds'])} fold(s), mean:"]
    lines += [f"{name} {value:.4f}" for name, value in result["mean"].items()]
    print_result(result, as_json, backtest_table(result["models"]) if "models" in result else "\n  ".join(lines))


def export(
    model: ModelName,
    folder: Annotated[Path, typer.Option(file_okay=False, help="Where the file goes.")] = Path(),
    version: Annotated[int | None, typer.Option(help="Model version. Default: the champion.")] = None,
    as_json: Json = False,
) -> None:
    """Write a model to a file, named after the model and the current time in milliseconds."""
    from pipeline.registry.client import CHAMPION, Registry

    described, content = Registry(load_settings()).model_file(model, version or CHAMPION)
    now = datetime.now()
    file = folder / f"{model}-{now:%Y-%m-%d-%H-%M-%S}-{now.microsecond // 1000:03d}.skops"
    folder.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    result = {"model": model, "version": described.version, "file": str(file), "bytes": len(content)}
    print_result(result, as_json, f"{model} version {described.version}: {file}")


def score(domain: DomainName, day: Day = None, as_json: Json = False) -> None:
    """Build features, score with the champion, write the report."""
    from pipeline.training import lifecycle, scoring

    settings, start, found = load_settings(), time.monotonic(), find_domain(domain)
    as_of = day or _newest_day(settings, found.input_table) + timedelta(days=1)
    done: list[str] = []
    with interruptible(done):
        features = lifecycle.build_features(settings, found, as_of)
        done.append(f"the features as of {format_day(as_of)} are built")
        scored = scoring.score(settings, found, as_of)
        if scored is None:
            raise RefusedError("There is no champion to score with", where=domain, todo=_trainings(found))
        done.append("scored")
        page = scoring.write_report(settings, found, as_of)
    result = {
        "domain": domain,
        "as_of": as_of,
        "features": features.as_dict(),
        "scores": scored.as_dict(),
        "page": redact(settings.home_path / page),
        "seconds": seconds_since(start),
    }
    print_result(result, as_json, f"{domain} as of {format_day(as_of)}: {result['page']}, {result['seconds']} s")


def report(domain: DomainName, day: Day = None, as_json: Json = False) -> None:
    """Write the report of a day that has been scored."""
    from pipeline.lake.tables import Lake
    from pipeline.training import scoring

    settings, found = load_settings(), find_domain(domain)
    scored = Lake(settings).days(found.results_table)
    if not scored:
        todo = f"train and score first: {_trainings(found)}; aisle score {domain}"
        raise RefusedError("Nothing is scored yet, so there is nothing to report", where=domain, todo=todo)
    as_of = day or scored[-1]
    if as_of not in scored:
        raise RefusedError(
            "The day is not scored, so there is nothing to report",
            where=domain,
            observed=format_day(as_of),
            allowed=f"a scored day, the last of which is {format_day(scored[-1])}",
            todo=f"aisle score {domain} --day {format_day(as_of)}",
        )
    page = redact(settings.home_path / scoring.write_report(settings, found, as_of))
    print_result({"domain": domain, "as_of": as_of, "page": page}, as_json, page)


def watch(day: Day = None, as_json: Json = False) -> None:
    """Compare each champion with a day, by default its domain's last scored one; say which training is due."""
    from pipeline.lake.tables import Lake
    from pipeline.monitoring import watch
    from pipeline.reports.page import framed
    from pipeline.training.related_pages import related_pages

    settings = load_settings()
    lake = Lake(settings)
    results: list[DriftResult] = []
    for domain in log_each(log, "watch the domain", DOMAINS, lambda domain: domain.name):
        if scored_days := lake.days(domain.results_table):
            with framed(related=related_pages(domain)):
                results += watch.watch(settings, day or scored_days[-1], domain.specs())
    if not results:
        raise RefusedError("Nothing is scored yet, so there is nothing to watch", todo="aisle score DOMAIN")
    write_morning_page(settings)
    print_result({"models": [r.as_dict() for r in results]}, as_json, "\n".join(map(drift_text, results)))
    if any(r.verdict == "failed" for r in results):
        raise typer.Exit(1)


def models(as_json: Json = False) -> None:
    """List the registered models: champion, challenger, metrics, and the last decision on each."""
    from pipeline.registry.client import Registry

    summaries = Registry(load_settings()).models()
    text = "\n\n".join(map(model_text, summaries)) or "No model is registered yet: aisle train …"
    print_result({"models": [model_as_dict(summary) for summary in summaries]}, as_json, text)


def promote(model: ModelName, version: int, reason: Reason, by: By = "by hand", as_json: Json = False) -> None:
    """Make a version the champion, whatever the gate decided, and record it."""
    _change_champion(model, lambda registry: registry.promote(model, version, by=by, reason=reason), as_json)


def rollback(model: ModelName, reason: Reason, by: By = "by hand", as_json: Json = False) -> None:
    """Make the previous champion the champion again, and record it."""
    _change_champion(model, lambda registry: registry.rollback(model, by=by, reason=reason), as_json)


def sign(model: ModelName, version: int, as_json: Json = False) -> None:
    """Vouch for the present files of a version with AISLE_SIGNING_KEY, after its checksum was verified."""
    from pipeline.registry.client import Registry

    Registry(load_settings()).sign(model, version)
    print_result({"model": model, "version": version, "signed": True}, as_json, f"{model}: version {version} is signed")


def _change_champion(model: str, change: Callable[[Any], Any], as_json: bool) -> None:
    from pipeline.registry.client import Registry

    settings = load_settings()
    registry = Registry(settings)
    before = registry.history(model)
    entry = change(registry)
    write_morning_page(settings)
    result = {**vars(entry), "figures": dict(entry.figures), "changed": entry not in before}
    text = f"{model}: recorded {entry.action} of version {entry.version} (champion before: {entry.previous})"
    if entry in before:
        text = f"{model}: version {entry.version} is the champion already; nothing was changed"
    print_result(result, as_json, text)


def _candidates(model: str, names: list[str] | None) -> list[str]:
    """The candidates named on the command line.

    Raises:
        UsageError: if there is only one candidate for the model, so that none can be named.
    """
    if names and not domain_of(model).entry(model).candidates:
        several = [name for name in model_names() if domain_of(name).entry(name).candidates]
        raise UsageError("This model has no candidates to choose from", observed=model, allowed=", ".join(several))
    return names or []


def _trainings(domain: Domain) -> str:
    """The commands that train the models which a domain needs to be scored."""
    return "; ".join(f"aisle train {name}" for name in domain.required_models)


def _newest_day(settings: Settings, table: str) -> date:
    from pipeline.lake.tables import Lake

    days = Lake(settings).days(table)
    if not days:
        raise RefusedError(f"The table {table!r} has no days yet", todo=f"aisle ingest {table} --all")
    return days[-1]
