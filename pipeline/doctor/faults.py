"""What `aisle doctor` finds, and what `aisle repair` has done about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from upath import UPath


@dataclass(frozen=True)
class Fault:
    """What is wrong, in a sentence, and the command that puts it right."""

    detail: str
    remedy: str


@dataclass
class Mended:
    """What a repair has done, or would do.

    Attributes:
        parts: for each part of a table, such as a day, what was wrong with it.
        failed: for each part that could not be made again, the reason.
        aside: where the damaged table is kept, if it was moved aside.
    """

    parts: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    aside: str = ""


def merged(faults: Sequence[Fault]) -> dict[str, Any]:
    """Faults as the parts of one error: what was observed, and the commands, each once."""
    return {
        "observed": "; ".join(fault.detail for fault in faults),
        "todo": "; ".join(dict.fromkeys(fault.remedy for fault in faults)),
    }


def is_day(text: str) -> bool:
    """Tell whether a name is a day."""
    try:
        return bool(date.fromisoformat(text))
    except ValueError:
        return False


def is_whole(page: UPath) -> bool:
    """Tell whether a page is written to its end."""
    return page.read_bytes().rstrip().endswith(b"</html>")
