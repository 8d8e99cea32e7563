"""A process that is killed at any write leaves what stood readable, and running again ends as if nothing had been."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.context import BaseContext
from typing import Any

import pyarrow as pa
import pytest

from pipeline.doctor import ledger_adds_up
from pipeline.errors import AisleError
from pipeline.ingestion import assessment, ledger
from pipeline.ingestion import steps as ingestion
from pipeline.ingestion.audit import audit
from pipeline.ingestion.deliveries import Delivery
from pipeline.ingestion.ledger import Status
from pipeline.lake.tables import Lake
from pipeline.settings import Settings

DAY, NEXT = "2025-03-03.csv", "2025-03-04.csv"
WRITES = ("land", "write_blob", "update", "append")
"""All the ways in which the lake is changed."""


def killed_at(settings: Settings, delivery: Delivery, stop: int, before: bool) -> None:
    """Ingest, and die by SIGKILL around the write with the number `stop`."""
    seen = 0

    def dying(write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal seen
            seen += 1
            if before and seen == stop:
                os.kill(os.getpid(), signal.SIGKILL)
            result = write(*args, **kwargs)
            if not before and seen == stop:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    for name in WRITES:
        setattr(Lake, name, dying(getattr(Lake, name)))
    ingestion.ingest(settings, delivery)


def first(till: Any) -> list[str]:
    return [till.line(1, quantity=0), till.line(1), till.line(2), till.line("late", day="2025-03-04")]


def corrected(till: Any) -> list[str]:
    return [till.line(1), till.line(2, quantity="x"), till.line(3), till.line("late", day="2025-03-05")]


def ledger_of(till: Any) -> list[tuple[object, ...]]:
    return [
        (e.delivery, e.status, e.read, e.clean, e.quarantined, e.repeats)
        for e in ledger.entries(till.lake, "transactions")
    ]


def undisturbed(till: Any) -> tuple[Any, ...]:
    till.deliver(NEXT, [till.line(9, day="2025-03-04")])
    till.deliver(DAY, first(till))
    stood = till.clean()
    till.deliver(DAY, corrected(till))
    return stood, till.clean(), ledger_of(till)


def dies(processes: BaseContext, target: Callable[..., None], *args: Any) -> bool:
    """Whether a process of its own was killed (and did not come to its end)."""
    worker = processes.Process(target=target, args=args)  # type: ignore[attr-defined]
    worker.start()
    worker.join(60)
    assert worker.exitcode in (0, -signal.SIGKILL)
    return bool(worker.exitcode)


def killed_inside(settings: Settings, delivery: Delivery, table: str) -> None:
    """Ingest, and die by SIGKILL while the second row of a table is written."""

    def dying(batches: Iterable[Any]) -> Iterator[Any]:
        rows = (batch.slice(n, 1) for batch in batches for n in range(batch.num_rows))
        yield next(rows)
        os.kill(os.getpid(), signal.SIGKILL)

    if table == "received":
        received = assessment.received_rows
        patched: Any = lambda accepted, *args: received(dying(accepted), *args)  # noqa: E731
        setattr(assessment, "received_rows", patched)  # noqa: B010
    else:
        current = ingestion.current_rows

        def patched_rows(*args: Any) -> pa.RecordBatchReader:
            reader = current(*args)
            return pa.RecordBatchReader.from_batches(reader.schema, dying(reader))

        setattr(ingestion, "current_rows", patched_rows)  # noqa: B010
    ingestion.ingest(settings, delivery)


@pytest.mark.parametrize("table", ["received", "clean"])
def test_killed_while_the_rows_of_a_correction_are_written(
    new_till: Callable[[], Any], processes: BaseContext, table: str
) -> None:
    stood, wanted, wanted_ledger = undisturbed(new_till())
    till = new_till()
    till.deliver(NEXT, [till.line(9, day="2025-03-04")])
    till.deliver(DAY, first(till))
    till.write(DAY, corrected(till))
    assert dies(processes, killed_inside, till.settings, till.found(DAY), table)
    assert till.clean() == stood
    assert not audit(till.settings, "transactions").disagreements
    till.deliver(DAY, corrected(till))
    assert (till.clean(), ledger_of(till)) == (wanted, wanted_ledger)


@pytest.mark.parametrize("before", [True, False], ids=["before the write", "after the write"])
def test_killed_around_any_write_of_a_correction(
    new_till: Callable[[], Any], processes: BaseContext, before: bool
) -> None:
    stood, wanted, wanted_ledger = undisturbed(new_till())
    stop, died = 0, True
    while died:
        stop += 1
        till = new_till()
        till.deliver(NEXT, [till.line(9, day="2025-03-04")])
        till.deliver(DAY, first(till))
        till.write(DAY, corrected(till))
        died = dies(processes, killed_at, till.settings, till.found(DAY), stop, before)
        if died:
            assert till.clean() in (stood, wanted), f"killed at write {stop}"
            assert not audit(till.settings, "transactions").disagreements
        till.deliver(DAY, corrected(till))
        assert till.clean() == wanted, f"killed at write {stop}"
        assert ledger_of(till) == wanted_ledger, f"killed at write {stop}"
    assert stop > 6, "land, ledger, page, received, quarantine, clean table, ledger"


def test_killed_around_any_write_of_the_very_first_delivery(
    new_till: Callable[[], Any], processes: BaseContext
) -> None:
    whole = new_till()
    whole.deliver(DAY, first(whole))
    stop, died = 0, True
    while died:
        stop += 1
        till = new_till()
        till.write(DAY, first(till))
        died = dies(processes, killed_at, till.settings, till.found(DAY), stop, False)
        till.deliver(DAY, first(till))
        assert (till.clean(), ledger_of(till)) == (whole.clean(), ledger_of(whole)), f"killed at write {stop}"
    assert stop > 6


def test_an_interrupted_delivery_is_told_from_one_that_is_done(new_till: Callable[[], Any]) -> None:
    till = new_till()
    till.write(DAY, first(till))
    landed = ingestion.land(till.settings, till.found(DAY))
    assert landed.entry.status is Status.LANDED
    with pytest.raises(AisleError, match="is under way, or was interrupted"):
        ledger_adds_up(till.settings, "transactions")


def test_after_an_interrupted_correction_the_first_bytes_are_not_taken_for_done(new_till: Callable[[], Any]) -> None:
    till = new_till()
    till.deliver(DAY, first(till))
    committed, entries = till.clean(), ledger_of(till)
    till.write(DAY, corrected(till))
    # The process ends after `check`: the received rows are those of the correction, the clean table is not.
    ingestion.check(till.settings, ingestion.land(till.settings, till.found(DAY)))
    till.write(DAY, first(till))
    landed = ingestion.land(till.settings, till.found(DAY))
    assert not landed.unchanged
    ingestion.commit(till.settings, ingestion.check(till.settings, landed))
    assert till.clean() == committed
    # Rebuilding the day from the received rows gives the same: they are those of the first bytes again.
    till.deliver("files/other.csv", [till.line(77)])
    assert set(committed) < set(till.clean())
    assert entries[0] in ledger_of(till)
