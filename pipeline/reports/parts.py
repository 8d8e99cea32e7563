"""Data of a page that is loaded only when a reader asks for it, so that the page itself opens fast."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from pipeline.lake.tables import Lake
from pipeline.reports.ways import REPORTS

if TYPE_CHECKING:
    from collections.abc import Collection

_PART = re.compile(r"\b[0-9a-f]{16}\.js\b")


def write_part(lake: Lake, folder: str, function: str, *arguments: Any) -> str:
    """Write a script that hands data to its page, and return its file name, which follows from its content.

    It is a script, because a page that is opened as a file from disk may load scripts and no other data. A page that is
    written again loads its own parts, and an open one still those it was written with.

    Args:
        lake: where the pages are.
        folder: the part's folder below `reports/`.
        function: the name of the function of the page that takes the data.
        arguments: what it is called with, as JSON has it.
    """
    values = (json.dumps(value, separators=(",", ":"), allow_nan=False) for value in arguments)
    text = f"{function}({','.join(values)});\n"
    name = f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.js"
    lake.write_blob(f"{REPORTS}/{folder}/{name}", text.encode())
    return name


def parts_of(lake: Lake, page: str) -> frozenset[str]:
    """The file names of the parts that a page loads; none if there is no such page.

    Args:
        lake: where the pages are.
        page: its path below home.
    """
    file = lake.path(page)
    return frozenset(_PART.findall(file.read_text(encoding="utf-8"))) if file.exists() else frozenset()


def remove_other_parts(lake: Lake, page: str, keep: Collection[str]) -> int:
    """Remove the parts beside a page that an earlier writing of it has left behind; return how many.

    Args:
        lake: where the pages are.
        page: its path below home; its parts are in the folders beside it whose names begin with the page's and a dash.
        keep: the file names of the parts that stay.
    """
    file, removed = lake.path(page), 0
    for folder in file.parent.iterdir():
        if not folder.name.startswith(f"{file.stem}-") or not folder.is_dir():
            continue
        for part in folder.iterdir():
            if _PART.fullmatch(part.name) and part.name not in keep:
                part.unlink(missing_ok=True)
                removed += 1
    return removed
