"""What a failed write means: another writer came first, or the storage cannot be written."""

from __future__ import annotations

from deltalake.exceptions import CommitFailedError, DeltaError, SchemaMismatchError

from pipeline.errors import AisleError, RefusedError


def overtaken(table: str, where: str, attempts: int) -> RefusedError:
    """The error of a write that other writers always came before."""
    return RefusedError(
        "Other writers kept changing the same partitions",
        where=f"table {table}, {where}",
        observed=f"{attempts} conflicting commits",
        todo="run the step again; if it persists, look for a task that writes in a loop",
    )


def unwritable(table: str, error: DeltaError) -> AisleError:
    """An error of the storage, such as a full or read-only disk, as a sentence. The table is as it was before.

    Raises:
        SchemaMismatchError: the error itself, if rows have other columns than the table.
    """
    if isinstance(error, SchemaMismatchError):
        # Not the storage's fault but that of the code.
        raise error
    lines = str(error).strip().splitlines()
    return AisleError(
        "The table cannot be written",
        where=f"table {table}",
        observed=lines[0][:300] if lines else type(error).__name__,
        todo="see that the home can be written and has space, then run it again; aisle doctor says what else is wrong",
    )


def is_conflict(error: DeltaError) -> bool:
    """Tell whether a commit failed because another writer committed first (and not because of, say, a full disk)."""
    return isinstance(error, CommitFailedError) or "already exists" in str(error).lower()
