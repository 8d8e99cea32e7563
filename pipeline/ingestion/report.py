"""The page of a delivery: what was expected of it, what came, and what became of its rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.errors import AisleError
from pipeline.ingestion.ledger import LedgerEntry
from pipeline.lake.tables import Lake
from pipeline.reports.page import Section, Table, Tile, write_page
from pipeline.reports.phrasing import count, share

if TYPE_CHECKING:
    from pipeline.ingestion.validation import ExpectationResult, Validation

SHOWN_ROWS = 50
SHOWN_CHARACTERS = 300
SHOWN_TOLD = 1000
OBSERVED = re.compile(r""" \(.*\)$|(?<=: )(['"]).*\1 (?=is not)""", re.DOTALL)


def kind_of(reason: str) -> str:
    """A row's reason without the value that was observed, which differs from row to row."""
    return OBSERVED.sub("", reason)


def write_validation_page(
    lake: Lake, entry: LedgerEntry, validation: Validation, read: int, clean: int, quarantined: pa.Table, repeats: int
) -> str:
    """Write the page and return its path below home."""
    refused = bool(validation.refusals)
    bad = quarantined.num_rows
    tiles = [
        Tile("verdict", "refused" if refused else "accepted", "bad" if refused else "good"),
        Tile("rows read", count(read)),
        Tile("clean", count(0 if refused else clean)),
        Tile("quarantined", count(bad), "bad" if bad else ""),
        Tile("exact repeats", count(repeats)),
        *(Tile(f"warning: {v.reason}", count(v.failing)) for v in validation.verdicts if v.warns and v.failing),
    ]
    sections = [_reasons(quarantined, read), _examples(quarantined)] if bad else []
    sections = [*([_refusals(validation)] if refused else []), *sections, _expectations(validation)]
    return _write(lake, entry, sections, tiles)


def write_refusal_page(lake: Lake, entry: LedgerEntry, refusal: AisleError) -> str:
    """Write the page of a delivery whose rows could not even be read, and return its path below home."""
    said = (("where", refusal.where), ("observed", refusal.observed), ("allowed", refusal.allowed))
    told = [(name, str(value)[:SHOWN_TOLD]) for name, value in (*said, ("do next", refusal.todo)) if value]
    section = Section(
        refusal.what, ["Nothing of it was taken; what it brought before still stands."], Table(("", ""), told)
    )
    return _write(lake, entry, [section], [Tile("verdict", "refused", "bad"), Tile("bytes", count(entry.size))])


def _write(lake: Lake, entry: LedgerEntry, sections: Sequence[Section], tiles: Sequence[Tile]) -> str:
    return write_page(
        lake,
        f"validation/{entry.table}/{entry.delivery}",
        f"{entry.table}: {entry.delivery}",
        f"{count(entry.size)} bytes, SHA-256 {entry.sha256[:16]}…, landed {entry.landed_at:%Y-%m-%d %H:%M} UTC",
        sections,
        tiles,
    )


def _refusals(validation: Validation) -> Section:
    return Section(
        "Why it was refused",
        ["Nothing of it was taken; what it brought before still stands."],
        Table(("reason", "observed", "allowed"), [(v.reason, v.observed, v.bounds) for v in validation.refusals]),
    )


def _expectations(validation: Validation) -> Section:
    def said(verdict: ExpectationResult) -> str:
        if verdict.passed is None:
            return "not known yet"
        if verdict.passed:
            return "kept"
        if verdict.judges == "row":
            return f"warning: {_rows(verdict.failing)}" if verdict.warns else _rows(verdict.failing)
        return "warning" if verdict.warns else "refused"

    order = {False: 0, None: 1, True: 2}
    verdicts = sorted(validation.verdicts, key=lambda v: order[v.passed])
    kept = sum(v.passed is True for v in verdicts)
    return Section(
        "What was expected",
        [
            f"{kept} of {len(verdicts)} expectations were kept. A row that breaks one goes to quarantine; "
            "a delivery that breaks one is refused as a whole. What breaks a warning stands."
        ],
        Table(
            ("verdict", "of each", "column", "wrong where"),
            [(said(v), v.judges, v.column, v.reason) for v in verdicts],
            tones={"kept": "good", "refused": "bad", "not known yet": "wait"},
        ),
    )


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{count(number)} rows"


def _reasons(quarantined: pa.Table, read: int) -> Section:
    reasons = Counter(kind_of(r) for row in quarantined["reasons"].to_pylist() for r in row)
    return Section(
        "Why rows are in quarantine",
        [f"{_rows(quarantined.num_rows)} of {count(read)} ({share(quarantined.num_rows, read)}) broke the contract."],
        Table(("reason", "rows"), [(r, count(n)) for r, n in reasons.most_common(SHOWN_ROWS)], frozenset({1})),
    )


def _examples(quarantined: pa.Table) -> Section:
    rows = quarantined.slice(0, SHOWN_ROWS).to_pylist()
    more = quarantined.num_rows - len(rows)
    return Section(
        "Rows in quarantine",
        [
            f"The first {len(rows)}, as they came." if more else "As they came.",
            "To mend them: aisle quarantine show writes them all as a CSV, aisle quarantine replay takes it back.",
        ],
        Table(
            ("row", "reasons", "as it came"),
            [(count(r["row"]), "; ".join(r["reasons"])[:SHOWN_CHARACTERS], r["raw"][:SHOWN_CHARACTERS]) for r in rows],
            frozenset({0}),
        ),
    )
