"""The outcome of one attack."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """The outcome of one attack.

    Attributes:
        name: what was tried.
        held: whether the product held.
        observed: what was seen, with its figures.
    """

    name: str
    held: bool
    observed: str
