"""Arguments and options that several commands share."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated

import typer

from pipeline.dates import parse_as_of
from pipeline.domains import DOMAINS, model_names
from pipeline.settings import SCOPES

DomainName = StrEnum("DomainName", {one.name: one.name for one in DOMAINS})  # type: ignore[misc]
ModelName = StrEnum("ModelName", {name: name for name in model_names()})  # type: ignore[misc]
KeyScope = StrEnum("KeyScope", {scope: scope for scope in SCOPES})  # type: ignore[misc]


def _parse_day(text: str) -> date:
    try:
        return parse_as_of(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a day of the form 2025-01-31") from error


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Day = Annotated[date | None, typer.Option(parser=_parse_day, metavar="DAY", help="The day, as 2025-01-31.")]
Since = Annotated[date | None, typer.Option("--from", parser=_parse_day, metavar="DAY", help="First day.")]
Until = Annotated[date | None, typer.Option(parser=_parse_day, metavar="DAY", help="The day after the last one.")]
AsOf = Annotated[
    date | None, typer.Option(parser=_parse_day, metavar="DAY", help="Use only data from before this day.")
]
Candidates = Annotated[
    list[str] | None,
    typer.Option("--candidate", metavar="NAME", help="Candidate to evaluate; repeatable. Default: the usual one."),
]
Verbose = Annotated[
    bool, typer.Option("--verbose", help="Write the log on standard error, from the level AISLE_LOG_LEVEL up.")
]
TableName = Annotated[str, typer.Argument(help="A table of sources.yaml, such as transactions.")]
By = Annotated[str, typer.Option(help="Who made the change, for the record.")]
Reason = Annotated[str, typer.Option(help="Why, for the record.")]
