"""Write the figures of benchmarks/README.md from a run of `make bench`, so that none is typed by hand.

python -m benchmarks.readme            # from benchmarks/figures.json, which `python -m benchmarks --json` writes
"""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path

from benchmarks.results import Row, Run

FOLDER = Path(__file__).parent
FIGURES, README = FOLDER / "figures.json", FOLDER / "README.md"
BEGIN, END = "<!-- written by python -m benchmarks.readme -->\n", "<!-- end of what is written -->\n"


def main() -> None:
    README.write_text(with_figures(README.read_text(), Run.from_dict(json.loads(FIGURES.read_text()))))


def with_figures(page: str, run: Run) -> str:
    """Replace the figures between the two marks of a page.

    Raises:
        ValueError: if a mark is missing.
    """
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError("the page lacks the marks between which the figures are written")
    return f"{before}{BEGIN}\n{markdown(run)}\n{END}{after}"


def markdown(run: Run) -> str:
    """The figures as Markdown: where and when they were measured, and a table."""
    machine = run.machine
    versions = ", ".join(f"{name} {number}" for name, number in run.versions.items())
    lines = [
        f"Measured on {run.measured}: {machine['cores']} cores ({machine['processor']}), {machine['memory']}, "
        f"{machine['system']}; {versions}. *load*: of the machine while it was measured; above the number of cores the "
        "clock says little, and processor time more.",
        "",
        "| what | s | cpu s | peak MB | beside | its s | its cpu s | times its cpu | goal | | load |",
        "|---|--:|--:|--:|---|--:|--:|--:|---|---|--:|",
    ]
    for group, rows in groupby(run.rows, lambda row: row.group):
        lines.append(f"| **{group}** | | | | | | | | | | |")
        lines += [f"| {' | '.join(cells(row))} |" for row in rows]
    return "\n".join(lines) + "\n"


def cells(row: Row) -> tuple[str, ...]:
    """The cells of a row, as text."""
    verdict = {None: "", True: "reached", False: "missed"}[row.reached]
    return (
        row.what,
        _seconds(row.seconds),
        _seconds(row.cpu),
        "" if row.peak_mb is None else f"{row.peak_mb:,.0f}",
        row.beside,
        _seconds(row.beside_seconds),
        _seconds(row.beside_cpu),
        "" if row.ratio is None else f"{row.ratio:.2f}",
        str(row.goal or ""),
        verdict,
        f"{row.load:.1f}",
    )


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds:,.0f}" if seconds >= 100 else f"{seconds:.1f}" if seconds >= 10 else f"{seconds:.2f}"


if __name__ == "__main__":
    main()
