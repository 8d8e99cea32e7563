"""How large the report pages of a home are, and how long a browser takes to open each of them from disk.

    python -m benchmarks.pages HOME

For the newest page of each folder: its kilobytes without the shared scripts, and the seconds until Chromium has loaded
it and drawn its charts, the best of three.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pipeline.lake.tables import Lake
from pipeline.reports.headers import DISTRIBUTIONS
from pipeline.reports.index import find_pages
from pipeline.settings import Settings
from tests.browser import document

REPEATS = 3
SECONDS = """<script>addEventListener("load", () => {
document.body.dataset.milliseconds = Math.round(performance.now()) })</script>"""


def milliseconds(page: Path) -> int:
    """Open a copy of a page that measures itself, beside the page, so that its addresses lead to the same files."""
    copy = page.with_name(f".measured-{page.name}")
    copy.write_text(page.read_text().replace("<head>", f"<head>{SECONDS}", 1))
    try:
        found = re.search(r'data-milliseconds="(\d+)"', document(f"file://{copy}", None))
    finally:
        copy.unlink()
    if found is None:
        raise RuntimeError(f"{page} did not load")
    return int(found[1])


def main(home: str) -> None:
    """Print a line for the newest page of each folder."""
    lake = Lake(Settings(home=home))
    print(f"{'page':60} {'kB':>7} {'seconds':>8}")
    for folder, pages in find_pages(lake).items():
        if DISTRIBUTIONS not in folder.split("/"):
            page = Path(str(lake.path("reports", folder, f"{pages[0].name}.html")))
            seconds = min(milliseconds(page) for _ in range(REPEATS)) / 1000
            print(f"{f'{folder}/{pages[0].name}':60} {page.stat().st_size / 1000:7.0f} {seconds:8.2f}")


if __name__ == "__main__":
    main(sys.argv[1])
