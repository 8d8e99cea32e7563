"""The state of the stores as files: one for each as-of day, from which the prediction service answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import RefusedError
from pipeline.lake.tables import Lake
from pipeline.stores.domain import MODEL

if TYPE_CHECKING:
    from datetime import date

    from pipeline.settings import Settings
    from pipeline.stores.state import StoreState

STATES = f"state/{MODEL}"
"""The folder below home."""


def write_state(lake: Lake, as_of: date, state: StoreState) -> None:
    """Write the state of an as-of day; an earlier one of that day is replaced."""
    lake.write_blob(f"{STATES}/{as_of}", state.to_bytes())


def newest_state(lake: Lake) -> str:
    """The path of the newest state, below home.

    Raises:
        RefusedError: if there is none.
    """
    folder = lake.path(STATES)
    # A bucket's listing is cached by the process that read it.
    folder.fs.invalidate_cache()
    days = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    # A file whose name begins with a dot is still being written.
    if not (complete := [day for day in days if not day.startswith(".")]):
        raise RefusedError("There is no state of the stores", where=STATES, todo="run aisle score stores")
    return f"{STATES}/{complete[-1]}"


def newest_state_of(settings: Settings) -> str:
    """The path of the newest state of a home, below it; see `newest_state`."""
    return newest_state(Lake(settings))


def read_state(lake: Lake, path: str) -> StoreState:
    """Read a state.

    Raises:
        RefusedError: if it was written by code with other features.
    """
    from pipeline.stores.state import StoreState

    with lake.open_blob(path) as file:
        return StoreState.from_bytes(file.read())
