"""What trainings have in common, whatever the model: the record of one, the gate's word noted, the promotion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.errors import RefusedError
from pipeline.settings import Settings
from pipeline.training.gate import Decision


@dataclass(frozen=True)
class Trained:
    """A registered challenger, and in a sentence how it came to be what it is."""

    model: str
    version: int
    reason: str
    metrics: Mapping[str, float | None]

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON can hold it."""
        return asdict(self)


def note_decision(settings: Settings, model: str, version: int, decision: Decision) -> None:
    """Note the gate's word on a version. A refusal goes on record as well; a yes waits for `promote`."""
    from pipeline.registry.client import Registry

    registry = Registry(settings)
    if decision.accepted:
        registry.accept(model, version, decision.figures)
    else:
        registry.refuse(model, version, by="gate", reason="; ".join(decision.reasons), figures=decision.figures)


def promote(settings: Settings, model: str, version: int, *, by: str) -> None:
    """Make a version that the gate let through the champion.

    Raises:
        RefusedError: if the gate did not let it through, or was not asked.
    """
    from pipeline.registry.client import Registry

    registry = Registry(settings)
    challenger = registry.get(model, version)
    if not challenger.accepted:
        raise RefusedError(
            "The gate has not let this version through",
            where=f"{model} version {version}",
            observed="not asked" if challenger.accepted is None else "; ".join(challenger.decision["reasons"]),
            todo=f"hold it against the gate, or overrule it by hand: aisle promote {model} {version} --reason …",
        )
    reason = "; ".join(challenger.decision["reasons"])
    registry.promote(model, version, by=by, reason=reason, figures=challenger.decision)
