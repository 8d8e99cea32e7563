"""`aisle`: every step by hand, for any day, outside Airflow.

Exit codes: 0 done, 1 the data or a gate said no, 2 wrong usage or settings. With --json a command prints one JSON
object on stdout and nothing else.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from pipeline.dates import format_day, parse_as_of
from pipeline.domains import CANDIDATES, MODELS, domain_of, known_days, prepare, steps_of, watched_of
from pipeline.errors import AisleError, RefusedError, UsageError
from pipeline.settings import SCOPES, Settings, load_settings

if TYPE_CHECKING:
    # MLflow takes seconds to import, so only the commands that ask the registry do.
    from pipeline.monitoring.watch import DriftResult
    from pipeline.registry.records import ModelSummary

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
quarantine = typer.Typer(no_args_is_help=True, help="Rows that did not keep their contract: list, show, replay.")
app.add_typer(quarantine, name="quarantine")
out, err = Console(), Console(stderr=True)


Domain = StrEnum("Domain", {name: name for name in MODELS})  # type: ignore[misc]
KeyScope = StrEnum("KeyScope", {scope: scope for scope in SCOPES})  # type: ignore[misc]
Model = StrEnum("Model", {model: model for models in MODELS.values() for model in models})  # type: ignore[misc]


def _day(text: str) -> date:
    try:
        return parse_as_of(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a day of the form 2025-01-31") from error


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Day = Annotated[date | None, typer.Option(parser=_day, metavar="DAY", help="The day, as 2025-01-31.")]
Since = Annotated[date | None, typer.Option("--from", parser=_day, metavar="DAY", help="First day.")]
Until = Annotated[date | None, typer.Option(parser=_day, metavar="DAY", help="The day after the last one.")]
Candidates = Annotated[
    list[str] | None,
    typer.Option("--candidate", metavar="NAME", help="A kind of model to try; again for more. Missing: the usual one."),
]
AsOf = Annotated[date | None, typer.Option(parser=_day, metavar="DAY", help="Know only what came before this day.")]
TableName = Annotated[str, typer.Argument(help="A table of sources.yaml: transactions.")]


def main() -> None:
    """Run the command line; an error that teaches is printed without a traceback."""
    try:
        app(standalone_mode=True)
    except AisleError as error:
        _complain("error", error)
        raise SystemExit(1 if isinstance(error, RefusedError) else 2) from error
    except OSError as error:
        # A folder that cannot be written, a server that is not there: the message says it, a traceback would bury it.
        _complain("error", error)
        raise SystemExit(2) from error


def _complain(word: str, what: object) -> None:
    err.print(f"[bold red]{word}:[/]", end=" ")
    # What a source calls its files and columns is no markup.
    err.print(what, highlight=False, soft_wrap=True, markup=False)


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(help="Where the deliveries go; a file a day below transactions/.")],
    since: Since = None,
    days: Annotated[int, typer.Option(min=1, help="How many days.")] = 28,
    customers: Annotated[int, typer.Option(help="Scale: customers of the first year; 900 make 55,000 lines.")] = 900,
    seed: Annotated[int | None, typer.Option(help="Everything random follows from it.")] = None,
    one_file: Annotated[bool, typer.Option(help="All days in one file.")] = False,
    drift: Annotated[str, typer.Option(help="Planted drift: from=2025-06-01&prices=1.6&baskets=2&stops=…")] = "",
    defects: Annotated[str, typer.Option(help="Planted on the last day: zero_quantity:3,negative_price:2 …")] = "",
    as_json: Json = False,
) -> None:
    """Write deliveries of the simulated shop, in the form in which any till would."""
    from upath import UPath

    from pipeline.simulate.defects import parse_defects
    from pipeline.simulate.deliveries import write_deliveries
    from pipeline.simulate.shop import Shop

    settings = load_settings()
    start = since or date(2025, 1, 1)
    address = f"simulate://shop?seed={settings.seed if seed is None else seed}&customers={customers}"
    address += "".join(f"&drift_{part}" for part in drift.split("&") if part)
    shop = Shop.from_uri(address)
    end = start + timedelta(days=days)
    last_open = next(day for n in range(1, days + 1) if shop.is_open(day := end - timedelta(days=n)))
    planted = {last_open: parse_defects(defects)} if defects else None
    began = time.monotonic()
    written = write_deliveries(shop, UPath(folder), start, end, one_file=one_file, defects=planted)
    result = {
        "files": [str(w.path) for w in written],
        "planted": [str(p) for w in written for p in w.planted],
        "seconds": _since(began),
    }
    _print(result, as_json, f"{len(written)} files in {folder}, {result['seconds']} s")


@app.command()
def fetch(
    what: Annotated[str, typer.Argument(help="online-retail")],
    folder: Annotated[Path, typer.Option(help="Where the file goes.")] = Path("data"),
    as_json: Json = False,
) -> None:
    """Download open data from its publisher, checked and resumable."""
    from pipeline.ingestion.download import DATASETS, fetch_dataset

    if what not in DATASETS:
        raise UsageError("There is no such data set", observed=what, allowed=", ".join(DATASETS))
    done = fetch_dataset(DATASETS[what], folder)
    _print({"file": str(done.path), "rows": done.rows, "bytes": done.size}, as_json, f"{done.path}: {done.rows:,} rows")


@app.command()
def ingest(
    table: TableName,
    day: Day = None,
    since: Since = None,
    until: Until = None,
    every: Annotated[bool, typer.Option("--all", help="Every delivery that the source has.")] = False,
    source: Annotated[str | None, typer.Option(help="Which of the table's sources; the first when missing.")] = None,
    as_json: Json = False,
) -> None:
    """Bring deliveries in: land, validate, commit. A delivery that is refused does not stop the others."""
    from pipeline.ingestion import steps as steps

    settings = load_settings()
    if sum((day is not None, every, since is not None or until is not None)) != 1:
        raise UsageError("Say which deliveries", allowed="one of --day D, --from D --until D, or --all")
    if day:
        since, until = day, day + timedelta(days=1)
    began = time.monotonic()
    found = steps.pending(settings, table, source, since=since, until=until)
    if not found:
        raise RefusedError(
            "There is no delivery", where=f"{table}, {day or 'any day'}", todo="look at the address in sources.yaml"
        )
    totals = dict.fromkeys(("read", "clean", "quarantined", "repeats"), 0)
    refused: dict[str, str] = {}
    for delivery in track(found, "ingesting", console=err, disable=as_json or len(found) < 3, transient=True):
        try:
            entry = steps.ingest(settings, delivery)
        except RefusedError as refusal:
            refused[delivery.id] = str(refusal)
            continue
        for name in totals:
            totals[name] += getattr(entry, name)
    result = {"table": table, "deliveries": len(found) - len(refused), **totals, "seconds": _since(began)}
    if refused:
        result["refused"] = refused
    _print(
        result,
        as_json,
        f"{table}: {result['deliveries']} deliveries, {totals['read']:,} rows read = {totals['clean']:,} clean + "
        f"{totals['quarantined']:,} quarantined + {totals['repeats']:,} exact repeats, {result['seconds']} s",
    )
    for name, reason in refused.items():
        _complain("refused", f"{name}\n  {reason}")
    if refused:
        raise typer.Exit(1)


@quarantine.command("list")
def quarantine_list(table: TableName, as_json: Json = False) -> None:
    """What waits in quarantine, a delivery a line."""
    from pipeline.ingestion.quarantine import held

    waiting = held(load_settings(), table)
    shown = Table("delivery", "rows", "reasons")
    for entry in waiting:
        shown.add_row(entry.delivery, f"{entry.rows:,}", "\n".join(f"{n:,} × {r}" for r, n in entry.reasons.items()))
    _print(
        {"table": table, "deliveries": [vars(entry) for entry in waiting]},
        as_json,
        shown if waiting else "Nothing waits.",
    )


@quarantine.command("show")
def quarantine_show(
    table: TableName,
    delivery: str,
    file: Annotated[Path | None, typer.Option("--csv", dir_okay=False, help="Write it here.")] = None,
) -> None:
    """The rows of a delivery that are in quarantine, as a CSV to be mended."""
    from pipeline.ingestion.quarantine import export

    text = export(load_settings(), table, delivery)
    if file is None:
        typer.echo(text, nl=False)
    else:
        file.write_text(text, encoding="utf-8")
        err.print(
            f"{file}: mend the cells, leave _row as it is, then aisle quarantine replay … --csv {file}", markup=False
        )


@quarantine.command("replay")
def quarantine_replay(
    table: TableName,
    delivery: str,
    file: Annotated[
        Path | None, typer.Option("--csv", exists=True, dir_okay=False, help="The mended rows; missing: as they came.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring rows of the quarantine again: mended, or after the suite or the mapping was mended."""
    from pipeline.ingestion.quarantine import replay

    try:
        mended = file.read_text(encoding="utf-8-sig") if file else None
    except UnicodeDecodeError as error:
        raise UsageError("The mended file is not UTF-8", where=str(file), observed=error, todo="save it so") from error
    entry = replay(load_settings(), table, delivery, mended)
    result = {name: getattr(entry, name) for name in ("delivery", "read", "clean", "quarantined", "repeats")}
    _print(
        result, as_json, f"{entry.read:,} rows again: {entry.clean:,} clean, {entry.quarantined:,} in quarantine again"
    )


@app.command()
def train(model: Model, as_of: AsOf = None, candidate: Candidates = None, as_json: Json = False) -> None:
    """Train a challenger, hold it against the gate, and promote it if the gate agrees."""
    from pipeline.training import lifecycle

    kinds = _kinds(model, candidate)

    settings, began = load_settings(), time.monotonic()
    steps, known = steps_of(domain_of(model)), known_days(settings, model)
    if not (as_of or known):
        raise RefusedError(
            "There is nothing to train on", where=steps.INPUT_TABLE, todo=f"aisle ingest {steps.INPUT_TABLE} --all"
        )
    day = as_of or known[-1] + timedelta(days=1)
    prepare(settings, model, day)
    for kind in kinds:
        steps.try_candidate(settings, day, kind)
    trained = steps.train(settings, model, day)
    decision = steps.gate(settings, model, trained.version)
    if decision.accepted:
        lifecycle.promote(settings, model, trained.version, by="aisle train")
    result = {
        **trained.as_dict(),
        "as_of": day,
        "promoted": decision.accepted,
        "reasons": list(decision.reasons),
        "seconds": _since(began),
    }
    verdict = "promoted" if decision.accepted else "not promoted"
    lines = [f"{model} version {trained.version}: {verdict}, {result['seconds']} s", trained.reason, *decision.reasons]
    _print(result, as_json, "\n  ".join(lines))
    if not decision.accepted:
        raise typer.Exit(1)


@app.command()
def backtest(model: Model, candidate: Candidates = None, as_json: Json = False) -> None:
    """How good a model is on days that it has not seen."""
    settings = load_settings()
    steps = steps_of(domain_of(model))
    if not hasattr(steps, "backtest"):
        raise UsageError("This model has no backtest", observed=model, todo="see its metrics: aisle models")
    result = steps.backtest(settings, model, *_kinds(model, candidate))
    lines = [f"{name} {value:.4f}" for name, value in result["mean"].items()]
    format_day = "\n  ".join([f"{model}, {len(result['folds'])} fold(s), mean:", *lines])
    _print(result, as_json, _side_by_side(result["models"]) if "models" in result else format_day)


@app.command()
def export(
    model: Model,
    folder: Annotated[Path, typer.Option(file_okay=False, help="Where the file goes.")] = Path(),
    version: Annotated[int | None, typer.Option(help="Which version; the champion when missing.")] = None,
    as_json: Json = False,
) -> None:
    """Write a model as a file of its own, named by the time to the millisecond."""
    from pipeline.registry.client import CHAMPION, Registry

    described, content = Registry(load_settings()).model_file(model, version or CHAMPION)
    now = datetime.now()
    file = folder / f"{model}-{now:%Y-%m-%d-%H-%M-%S}-{now.microsecond // 1000:03d}.skops"
    folder.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    result = {"model": model, "version": described.version, "file": str(file), "bytes": len(content)}
    _print(result, as_json, f"{model} version {described.version}: {file}")


@app.command()
def score(domain: Domain, day: Day = None, as_json: Json = False) -> None:
    """Features as of a day, scored with the champion, and the page."""
    settings, began, steps = load_settings(), time.monotonic(), steps_of(domain)
    as_of = day or _newest(settings, steps.INPUT_TABLE) + timedelta(days=1)
    features = steps.build_features(settings, as_of)
    scored = steps.score(settings, as_of)
    if scored is None:
        models = " or ".join(MODELS[domain])
        raise RefusedError("There is no champion to score with", where=domain, todo=f"aisle train {models}")
    page = steps.write_report(settings, as_of)
    result = {
        "domain": domain,
        "as_of": as_of,
        "features": features.as_dict(),
        "scores": scored.as_dict(),
        "page": str(settings.home_path / page),
        "seconds": _since(began),
    }
    _print(result, as_json, f"{domain} as of {format_day(as_of)}: {result['page']}, {result['seconds']} s")


@app.command()
def report(domain: Domain, day: Day = None, as_json: Json = False) -> None:
    """Write a domain's page of a day that is scored already."""
    settings, steps = load_settings(), steps_of(domain)
    as_of = day or _newest(settings, steps.SCORES_TABLE)
    page = str(settings.home_path / steps.write_report(settings, as_of))
    _print({"domain": domain, "as_of": as_of, "page": page}, as_json, page)


@app.command()
def watch(day: Day = None, as_json: Json = False) -> None:
    """Drift of every champion on a day, else on the newest one that its domain has scored; whether to train again."""
    from pipeline.lake.tables import Lake
    from pipeline.monitoring import watch

    settings = load_settings()
    lake = Lake(settings)
    results: list[DriftResult] = []
    for domain in MODELS:
        watched = watched_of(domain)
        scored = lake.days(steps_of(domain).SCORES_TABLE) if watched else []
        if scored:
            results += watch.watch(settings, day or scored[-1], watched)
    if not results:
        raise RefusedError("Nothing is scored yet, so there is nothing to watch", todo="aisle score DOMAIN")
    _print({"models": [r.as_dict() for r in results]}, as_json, "\n".join(map(_found, results)))
    if any(r.verdict == "failed" for r in results):
        raise typer.Exit(1)


@app.command()
def models(as_json: Json = False) -> None:
    """The registered models: champion, challenger, figures, and the last word on each."""
    from pipeline.registry.client import Registry

    summaries = Registry(load_settings()).models()
    _print(
        {"models": [_summary(summary) for summary in summaries]},
        as_json,
        "\n\n".join(map(_told, summaries)) or "No model is registered yet: aisle train …",
    )


By = Annotated[str, typer.Option(help="Who does it, for the record.")]
Reason = Annotated[str, typer.Option(help="Why, for the record.")]


@app.command()
def promote(model: Model, version: int, reason: Reason, by: By = "by hand", as_json: Json = False) -> None:
    """Make a version the champion, whatever the gate said; it goes on record."""
    _on_record(lambda registry: registry.promote(model, version, by=by, reason=reason), as_json)


@app.command()
def rollback(model: Model, reason: Reason, by: By = "by hand", as_json: Json = False) -> None:
    """Make the champion before this one champion again; it goes on record."""
    _on_record(lambda registry: registry.rollback(model, by=by, reason=reason), as_json)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Other than loopback needs AISLE_API_KEYS.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
) -> None:
    """The prediction service over the champions, until Ctrl-C."""
    from pipeline.serving.server import run

    run(load_settings(), host, port)


@app.command()
def key(
    name: Annotated[str, typer.Argument(help="Who will use it: a word.")],
    scopes: Annotated[list[KeyScope], typer.Option("--scope", help="What it may do; may be given several times.")],
    as_json: Json = False,
) -> None:
    """Make a key of the prediction service. It is shown this once; AISLE_API_KEYS gets its hash."""
    from pipeline.serving.keys import entry, new_key

    made = new_key()
    setting = {name: entry(made, [scope.value for scope in scopes])}
    _print(
        {"key": made, "setting": setting},
        as_json,
        f"key: {made}\nadd to AISLE_API_KEYS (JSON, one object for all keys): {json.dumps(setting)}",
    )


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check settings, sources.yaml, the lake, the ledger and the registry; list every fault at once."""
    from pipeline.doctor import examine

    findings = examine(load_settings)
    shown = Table("what", "state", "detail")
    for finding in findings:
        shown.add_row(finding.what, "[green]well[/]" if finding.well else "[red]fault[/]", finding.detail)
    _print({"findings": [vars(finding) for finding in findings]}, as_json, shown)
    if not all(finding.well for finding in findings):
        raise typer.Exit(1)


def _summary(summary: ModelSummary) -> dict[str, Any]:
    champion, last = summary.champion, summary.last
    return {
        "model": summary.name,
        "champion": champion.version if champion else None,
        "challenger": summary.challenger.version if summary.challenger else None,
        "versions": summary.versions,
        "as_of": champion.provenance.as_of if champion else None,
        "tables": dict(champion.provenance.tables) if champion else {},
        "metrics": dict(champion.metrics) if champion else {},
        "last": {**vars(last), "figures": dict(last.figures)} if last else None,
    }


def _told(summary: ModelSummary) -> str:
    champion, challenger, last = summary.champion, summary.challenger, summary.last
    lines = [f"{summary.name}, {summary.versions} version{'s' if summary.versions > 1 else ''}"]
    if champion:
        figures = ", ".join(f"{name} {value:.3f}" for name, value in champion.metrics.items() if value is not None)
        trained = format_day(champion.provenance.as_of)
        lines.append(f"champion: version {champion.version}, trained as of {trained}; {figures}")
    if challenger:
        lines.append(
            f"challenger: version {challenger.version}, trained as of {format_day(challenger.provenance.as_of)}"
        )
    if last:
        lines.append(f"last: {last.action} of version {last.version} by {last.by}, {last.at:%Y-%m-%d %H:%M} UTC")
        lines += [f"  {reason}" for reason in last.reason.split("; ")]
    return "\n  ".join(lines)


def _found(result: DriftResult) -> str:
    version = f" version {result.model_version}" if result.model_version else ""
    follows = "to be trained again, because" if result.retrain else "not to be trained again:"
    lines = [f"{result.model}{version}, as of {format_day(result.day)}: {result.verdict}", f"{follows} {result.reason}"]
    if result.drifted:
        lines.append(f"drifted: {', '.join(result.drifted)}")
    return "\n  ".join(lines)


def _on_record(act: Callable[[Any], Any], as_json: bool) -> None:
    from pipeline.registry.client import Registry

    done = act(Registry(load_settings()))
    result = {**vars(done), "figures": dict(done.figures)}
    said = f"{done.model}: {done.action} of version {done.version} (before: {done.previous}) is on record"
    _print(result, as_json, said)


def _kinds(model: str, asked: list[str] | None) -> list[str]:
    """The kinds of model that were asked for.

    Raises:
        UsageError: if the model is always of one kind.
    """
    if asked and model not in CANDIDATES:
        raise UsageError("This model has no candidates to choose from", observed=model, allowed=", ".join(CANDIDATES))
    return asked or []


def _side_by_side(models: dict[str, Any]) -> Table:
    """A backtest of several kinds of model: a row a kind and fold."""
    (names,) = {tuple(result["mean"]) for result in models.values()}
    shown = Table("model", "days", *names, "fit s", "predict s", "peak MB")
    for kind, result in models.items():
        for fold in result["folds"]:
            seconds = (f"{fold['seconds'][step]:.1f}" for step in ("fit", "predict"))
            figures = (f"{fold['metrics'][name]:.4g}" for name in names)
            shown.add_row(kind, f"{fold['from']}..{fold['to']}", *figures, *seconds, f"{fold['peak_mb']:.0f}")
        shown.add_row(kind, "mean", *(f"{value:.4g}" for value in result["mean"].values()), end_section=True)
    return shown


def _newest(settings: Settings, table: str) -> date:
    from pipeline.lake.tables import Lake

    days = Lake(settings).days(table)
    if not days:
        raise RefusedError(f"The table {table!r} has no days yet", todo="aisle ingest transactions --all")
    return days[-1]


def _since(began: float) -> float:
    return round(time.monotonic() - began, 2)


def _print(result: dict[str, Any], as_json: bool, shown: object) -> None:
    if as_json:
        typer.echo(json.dumps(result, default=_plain))
    else:
        out.print(shown, highlight=False, soft_wrap=isinstance(shown, str), markup=not isinstance(shown, str))


def _plain(value: object) -> object:
    return format_day(value) if isinstance(value, date | datetime) else str(value)
