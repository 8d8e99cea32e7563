"""The rejected rows of a delivery: which they are, and their rows of the quarantine with every reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.contracts import Contract
from pipeline.ingestion.deliveries import Delivery
from pipeline.ingestion.expectation_results import SEPARATOR
from pipeline.ingestion.mapping import map_rows
from pipeline.ingestion.quarantine import QUARANTINE_SCHEMA
from pipeline.ingestion.rows import Malformed, Numbers, Rows
from pipeline.ingestion.sources import NamedSource
from pipeline.ingestion.staging import Stage
from pipeline.ingestion.suites import FailedRows, reason_kind
from pipeline.ingestion.validation import with_measures

MAX_EXAMPLES = 50
"""How many rejected rows the page of a delivery shows."""
MAX_SHOWN_CHARACTERS = 40


@dataclass
class Rejections:
    """The rejected rows of a delivery, in the order of the delivery.

    Attributes:
        rows: number of rows.
        kinds: number of rows for each kind of reason.
        reasons: number of reasons of each kind; a row may have several.
        examples: the first rows of the quarantine.
    """

    rows: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._file = TemporaryFile()  # noqa: SIM115 (removed with this object, or with the process)
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._writer = pa.ipc.new_stream(self._file, QUARANTINE_SCHEMA, options=options)

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Add rows of the quarantine."""
        self.rows += len(rows)
        self.examples += rows[: MAX_EXAMPLES - len(self.examples)]
        for row in rows:
            kinds = [reason_kind(reason) for reason in row["reasons"]]
            self.reasons.update(kinds)
            self.kinds.update(list(dict.fromkeys(kinds)))
        self._writer.write_table(pa.Table.from_pylist(list(rows), schema=QUARANTINE_SCHEMA))

    def reader(self) -> pa.RecordBatchReader:
        """Read the rows of the quarantine, from the first one each time; no more can be added then."""
        self._writer.close()
        self._file.seek(0)
        return pa.ipc.open_stream(self._file)


def reject(
    stage: Stage,
    malformed: Sequence[Malformed],
    numbers: Numbers,
    failed: Sequence[FailedRows],
    delivery: Delivery,
    source: NamedSource,
    contract: Contract,
) -> Rejections:
    """Make the rows of the quarantine.

    Args:
        stage: the rows of the delivery.
        malformed: the lines that could not be split, in order.
        numbers: the numbers of the other rows that are rejected.
        failed: the rows that the suite rejects.
        delivery: the delivery.
        source: how its cells are typed.
        contract: the contract of its table.
    """
    rejections = Rejections()
    lines = iter([*malformed, None])
    line = next(lines)
    for rows in stage.text_of(numbers):
        batch = _of_batch(rows, failed, delivery, source, contract)
        merged = []
        for row in batch:
            while line is not None and line.row < row["row"]:
                merged.append(_of_line(line, delivery))
                line = next(lines)
            merged.append(row)
        rejections.add(merged)
    rest = [] if line is None else [_of_line(line, delivery), *(_of_line(m, delivery) for m in lines if m is not None)]
    for part in _parts(rest):
        rejections.add(part)
    return rejections


def _of_batch(
    rows: Rows, failed: Sequence[FailedRows], delivery: Delivery, source: NamedSource, contract: Contract
) -> Iterator[dict[str, Any]]:
    """Make the rows of the quarantine of a batch: the reasons from typing, and then those from the suite."""
    mapped = map_rows(rows, source, contract)
    typed = with_measures(mapped.rows, contract.measures)
    present = rows.numbers.to_numpy()
    of_suite = [(f, set(np.intersect1d(f.numbers, present).tolist())) for f in failed]
    for position, (number, record) in enumerate(zip(present.tolist(), rows.table.to_pylist(), strict=True)):
        typing = mapped.faults.get(number, {})
        reasons = [f"{column}: {reason}" for column, reason in typing.items()]
        by_column: dict[str, list[str]] = {}
        for failure, failing in of_suite:
            if number in failing:
                column = SEPARATOR.join(failure.columns)
                observed = [typed[name][position].as_py() for name in failure.columns]
                shown = SEPARATOR.join(str(value)[:MAX_SHOWN_CHARACTERS] for value in observed)
                by_column.setdefault(column, []).append(failure.reason + ("" if None in observed else f" ({shown})"))
        # A cell that could not be typed is null, and would be reported as missing too.
        reasons += [f"{c}: {reason}" for c, several in by_column.items() if c not in typing for reason in several]
        yield _row(number, reasons, record, delivery)


def _of_line(line: Malformed, delivery: Delivery) -> dict[str, Any]:
    return _row(line.row, [line.fault], {"": line.text}, delivery)


def _row(number: int, reasons: list[str], record: dict[str, Any], delivery: Delivery) -> dict[str, Any]:
    raw = json.dumps(record, ensure_ascii=False)
    return {"row": number, "reasons": reasons, "raw": raw, "replayed_in": None, "delivery": delivery.id}


def _parts(rows: list[dict[str, Any]], size: int = 10_000) -> Iterable[list[dict[str, Any]]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))
