"""Errors that say what is wrong, where, what was observed, what is allowed, and what to do next."""

from __future__ import annotations

from pipeline.redaction import redact

MAX_CHARACTERS = 10_000
"""How much of each part of a message is shown; what was observed may have megabytes."""


class AisleError(Exception):
    """A failure a person can act on.

    Args:
        what: one sentence naming the fault.
        where: the file, table, delivery, row or column it was found in.
        observed: the value or state that was seen.
        allowed: what would have been accepted.
        todo: what the reader can do next.

    Passwords in addresses are replaced in all of them, see `pipeline.redaction`.
    """

    def __init__(
        self, what: str, *, where: str = "", observed: object = None, allowed: object = None, todo: str = ""
    ) -> None:
        self.what, self.where, self.todo = redact(what), redact(where), redact(todo)
        self.observed, self.allowed = (redact(v) if isinstance(v, str) else v for v in (observed, allowed))
        parts = [self.what]
        if where:
            parts.append(f"where: {self.where}")
        if observed is not None:
            parts.append(f"observed: {redact(observed)}")
        if allowed is not None:
            parts.append(f"allowed: {redact(allowed)}")
        if todo:
            parts.append(f"do next: {self.todo}")
        shown = (part if len(part) <= MAX_CHARACTERS else f"{part[:MAX_CHARACTERS]} …" for part in parts)
        super().__init__("\n  ".join(shown))


class UsageError(AisleError):
    """Wrong usage, settings or configuration; the command line exits with 2."""


class RefusedError(AisleError):
    """Data or a model did not pass a check; the command line exits with 1."""
