"""Data of a page that is loaded only when a reader asks for it, so that the page itself opens fast."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pipeline.lake.tables import Lake
from pipeline.reports.ways import REPORTS


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
