"""Errors that say what is wrong, where, what was observed, what is allowed, and what to do next."""

from __future__ import annotations


class AisleError(Exception):
    """A failure a person can act on.

    Args:
        what: one sentence naming the fault.
        where: the file, table, delivery, row or column it was found in.
        observed: the value or state that was seen.
        allowed: what would have been accepted.
        todo: what the reader can do next.
    """

    def __init__(
        self, what: str, *, where: str = "", observed: object = None, allowed: object = None, todo: str = ""
    ) -> None:
        self.what, self.where, self.observed, self.allowed, self.todo = what, where, observed, allowed, todo
        parts = [what]
        if where:
            parts.append(f"where: {where}")
        if observed is not None:
            parts.append(f"observed: {observed}")
        if allowed is not None:
            parts.append(f"allowed: {allowed}")
        if todo:
            parts.append(f"do next: {todo}")
        super().__init__("\n  ".join(parts))


class UsageError(AisleError):
    """Wrong usage, settings or configuration; the command line exits with 2."""


class RefusedError(AisleError):
    """Data or a model did not pass a check; the command line exits with 1."""
