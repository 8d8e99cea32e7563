"""Suites for tests whose deliveries have so few rows that one bad row is a large share of them."""

from __future__ import annotations

import json
from pathlib import Path

EXPECTATIONS = Path(__file__).resolve().parents[1] / "expectations"


def without_share_limit(folder: Path) -> Path:
    """Write the suites into a new folder, changed so that any share of a delivery's rows may be rejected."""
    folder.mkdir()
    for file in EXPECTATIONS.glob("*.json"):
        suite = json.loads(file.read_text(encoding="utf-8")) | {"meta": {"max_quarantined_share": 1}}
        (folder / file.name).write_text(json.dumps(suite), encoding="utf-8")
    return folder
