"""Where the bytes of a delivery come from."""

from __future__ import annotations

from datetime import date
from typing import Any

from pipeline.ingestion import steps as ingestion


def test_a_simulated_delivery_has_no_folder_and_lands(till: Any) -> None:
    file = till.settings.sources
    file.write_text(file.read_text().replace("from: files/*", 'from: "simulate://shop?seed=7&customers=50"'))
    days = {"since": date(2025, 3, 3), "until": date(2025, 3, 4)}
    (delivery,) = ingestion.pending(till.settings, "transactions", "files", **days)
    assert ingestion.land(till.settings, delivery).entry.size > 0
