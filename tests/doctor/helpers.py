"""Running `aisle doctor`, and doing what it says."""

from __future__ import annotations

import json
import shlex
from typing import Any

from typer.testing import CliRunner

from pipeline.cli import app


def aisle(*arguments: str) -> Any:
    """Run a command."""
    return CliRunner().invoke(app.app, arguments)


def faults(*options: str) -> list[dict[str, Any]]:
    """The findings of `aisle doctor` that are faults."""
    found = json.loads(aisle("doctor", "--json", *options).stdout)["findings"]
    return [finding for finding in found if not finding["well"]]


def advice(finding: dict[str, Any]) -> list[list[str]]:
    """The commands that a finding names, as they stand there."""
    todo = finding["detail"].partition("do next: ")[2]
    commands = [part.partition(" (")[0] for part in todo.split("; ")]
    assert all(command.startswith("aisle ") for command in commands), finding
    return [shlex.split(command)[1:] for command in commands]


def follow(found: list[dict[str, Any]]) -> None:
    """Run every command that some findings name, each once."""
    done: list[list[str]] = []
    for command in (command for finding in found for command in advice(finding)):
        if command not in done:
            done.append(command)
            result = aisle(*command)
            # 1: a later command of the advice is needed too.
            assert result.exit_code in (0, 1), f"aisle {' '.join(command)}: {result.output} {result.exception!r}"
