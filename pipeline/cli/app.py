"""`aisle`: assembles the command line and turns errors into messages and exit codes."""

from __future__ import annotations

import functools
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from functools import partial
from importlib.metadata import version
from types import TracebackType
from typing import Annotated, Any

import typer

from pipeline.cli import data, models, recovery, service, study
from pipeline.cli.options import Verbose
from pipeline.cli.output import interruptible, print_error
from pipeline.cli.progress import showing_progress
from pipeline.errors import AisleError, RefusedError
from pipeline.logs import log_to_stderr
from pipeline.redaction import redact
from pipeline.settings import load_settings

HELP = """Run any step of the pipeline by hand, for any day, without Airflow.

Exit codes: 0 done, 1 refused by a check of the data or by a gate, 2 wrong usage or settings.
"""
COMMANDS: Mapping[str, Iterable[Callable[..., None]]] = {
    "Data": (data.simulate, data.fetch, data.ingest),
    "Models": (
        models.train,
        models.backtest,
        models.export,
        models.score,
        models.report,
        models.watch,
        models.models,
        models.promote,
        models.rollback,
        models.sign,
    ),
    "Service": (service.serve, service.key, service.doctor, recovery.repair, service.housekeeping),
}
"""The commands under each heading of the help."""
QUIET = (data.quarantine_show, service.serve, service.key)
"""The commands whose progress is not shown: they write a file's text, or never end."""
OWN_BAR = (data.fetch,)
"""The commands that draw a bar of their own on a terminal."""
QUARANTINE: Mapping[str, Callable[..., None]] = {
    "list": data.quarantine_list,
    "show": data.quarantine_show,
    "replay": data.quarantine_replay,
}


def _prepare(command: Callable[..., None]) -> Callable[..., None]:
    """Add the option `--verbose`, what it is doing, and an orderly end by Ctrl-C to a command."""
    name = command.__name__.replace("_", " ")
    shown = nullcontext if command in QUIET else partial(showing_progress, f"aisle {name}", bar=command not in OWN_BAR)

    @functools.wraps(command)
    def run(*, verbose: bool, **arguments: Any) -> None:
        if verbose:
            log_to_stderr(load_settings().log_level)
        with interruptible(), nullcontext() if verbose else shown():
            command(**arguments)

    signature = inspect.signature(command, eval_str=True)
    option = inspect.Parameter("verbose", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Verbose)
    parameters = [*signature.parameters.values(), option]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"aisle {version('aisle')}")
        raise typer.Exit


def _options(
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """The options of `aisle` itself."""


def assemble() -> typer.Typer:
    """Make the command line from the commands of its modules."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=HELP)
    app.callback(help=HELP)(_options)
    for heading, commands in COMMANDS.items():
        for command in commands:
            app.command(rich_help_panel=heading)(_prepare(command))
    quarantine = typer.Typer(no_args_is_help=True, help="List, show and replay rows that break their contract.")
    for name, command in QUARANTINE.items():
        quarantine.command(name)(_prepare(command))
    app.add_typer(quarantine, name="quarantine", rich_help_panel="Data")
    studies = typer.Typer(no_args_is_help=True, help="Compare what could be a model, without registering any.")
    studies.command("segments")(_prepare(study.segments))
    # A callback keeps `segments` a word of its own while it is the only study.
    studies.callback()(lambda: None)
    app.add_typer(studies, name="study", rich_help_panel="Models")
    return app


def _print_unexpected(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback of an error that nobody expected, without the passwords of addresses."""
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))


app = assemble()


def main() -> None:
    """Run the command line; errors are printed with what to do next, without a traceback."""
    sys.excepthook = _print_unexpected
    try:
        app(standalone_mode=True)
    except AisleError as error:
        print_error("error", error)
        raise SystemExit(1 if isinstance(error, RefusedError) else 2) from error
    except OSError as error:
        # A folder that cannot be written or a server that does not answer: the message is enough.
        print_error("error", error)
        raise SystemExit(2) from error
