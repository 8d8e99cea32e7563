"""The page of a delivery: the expectations, the counts, and the rows in quarantine with their reasons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.errors import AisleError
from pipeline.ingestion.ledger import LedgerEntry
from pipeline.ingestion.suites import ExpectationResult, Validation
from pipeline.lake.tables import Lake
from pipeline.reports.page import Section, Table, Tile, write_page
from pipeline.reports.phrasing import count, share

if TYPE_CHECKING:
    from pipeline.ingestion.rejections import Rejections

MAX_REASONS = 50
MAX_CELL_CHARACTERS = 300
MAX_MESSAGE_CHARACTERS = 1000
NOTHING_CHANGED = "No row was accepted. What the delivery had brought before is unchanged."


def write_validation_page(
    lake: Lake,
    entry: LedgerEntry,
    validation: Validation,
    rejections: Rejections,
    *,
    read: int,
    clean: int,
    repeats: int,
    warnings: Sequence[str] = (),
) -> str:
    """Write the page of a delivery that was validated, accepted or not.

    Args:
        lake: where the page goes.
        entry: the delivery's ledger entry.
        validation: the results of the suite.
        rejections: the rejected rows.
        read: number of rows read.
        clean: number of rows accepted.
        repeats: number of exact repeats that were dropped.
        warnings: what is unusual about the delivery, in sentences.

    Returns:
        The page's path relative to home.
    """
    refused = bool(validation.refusals)
    bad = rejections.rows
    tiles = [
        Tile("verdict", "refused" if refused else "accepted", "bad" if refused else "good"),
        Tile("rows read", count(read)),
        Tile("clean", count(0 if refused else clean)),
        Tile("rejected" if refused else "quarantined", count(bad), "bad" if bad else ""),
        Tile("exact repeats", count(repeats)),
        *([Tile("warnings", count(len(warnings)), "bad")] if warnings else []),
        *(Tile(f"warning: {r.reason}", count(r.failing)) for r in validation.results if r.warns and r.failing),
    ]
    sections = [_reasons(rejections, read), _examples(rejections, refused)] if bad else []
    if warnings:
        sections = [Section("Warnings", list(warnings)), *sections]
    sections = [*([_refusals(validation)] if refused else []), *sections, _expectations(validation)]
    return _write(lake, entry, sections, tiles)


def write_refusal_page(lake: Lake, entry: LedgerEntry, refusal: AisleError) -> str:
    """Write the page of a delivery whose rows could not be read, and return its path relative to home."""
    parts = {
        "where": refusal.where,
        "observed": refusal.observed,
        "allowed": refusal.allowed,
        "do next": refusal.todo,
    }
    lines = [(name, str(value)[:MAX_MESSAGE_CHARACTERS]) for name, value in parts.items() if value]
    section = Section(refusal.what, [NOTHING_CHANGED], Table(("", ""), lines))
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
        [NOTHING_CHANGED],
        Table(("reason", "observed", "allowed"), [(r.reason, r.observed, r.bounds) for r in validation.refusals]),
    )


def _expectations(validation: Validation) -> Section:
    def outcome(result: ExpectationResult) -> str:
        if result.passed is None:
            return "not known yet"
        if result.passed:
            return "passed"
        if result.scope == "row":
            return f"warning: {_rows(result.failing)}" if result.warns else _rows(result.failing)
        return "warning" if result.warns else "refused"

    order = {False: 0, None: 1, True: 2}
    results = sorted(validation.results, key=lambda r: order[r.passed])
    passed = sum(r.passed is True for r in results)
    return Section(
        "Expectations",
        [
            f"{passed} of {len(results)} expectations passed. A row that fails one goes to quarantine; "
            "a delivery that fails one is refused as a whole. An expectation that only warns rejects nothing."
        ],
        Table(
            ("result", "applies to each", "column", "fails if"),
            [(outcome(r), r.scope, r.column, r.reason) for r in results],
            tones={"passed": "good", "refused": "bad", "not known yet": "wait"},
        ),
    )


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{count(number)} rows"


def _reasons(rejections: Rejections, read: int) -> Section:
    reasons = [(reason, count(rows)) for reason, rows in rejections.reasons.most_common(MAX_REASONS)]
    return Section(
        "Why rows were rejected",
        [f"{_rows(rejections.rows)} of {count(read)} ({share(rejections.rows, read)}) broke the contract."],
        Table(("reason", "rows"), reasons, frozenset({1})),
    )


def _examples(rejections: Rejections, refused: bool) -> Section:
    rows = rejections.examples
    more = rejections.rows - len(rows)
    todo = (
        "They are not in quarantine, because the delivery as a whole was refused."
        if refused
        else "To correct them: aisle quarantine show writes all of them as CSV, aisle quarantine replay reads the "
        "corrected file."
    )
    return Section(
        "Rejected rows" if refused else "Rows in quarantine",
        [f"The first {len(rows)} rows, as delivered." if more else "The rows as delivered.", todo],
        Table(
            ("row", "reasons", "as delivered"),
            [
                (count(r["row"]), "; ".join(r["reasons"])[:MAX_CELL_CHARACTERS], r["raw"][:MAX_CELL_CHARACTERS])
                for r in rows
            ],
            frozenset({0}),
        ),
    )
