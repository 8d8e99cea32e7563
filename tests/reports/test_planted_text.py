"""Text of a delivery is text on every page: a real browser opens them, and none of it runs.

The pages of deliveries and of drift are opened here; those of all domains, which need champions, by
`python -m benchmarks.attack deliveries`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.contracts import CONTRACTS
from pipeline.contracts.contract import ColumnType
from pipeline.errors import RefusedError
from pipeline.ingestion import steps as ingestion
from pipeline.ingestion.sources import load_sources
from pipeline.lake.tables import Lake
from pipeline.monitoring.distributions import distributions
from pipeline.monitoring.drift import compare
from pipeline.monitoring.report import write_drift_page
from pipeline.reports.index import find_pages, index_page
from pipeline.reports.labels import Label
from pipeline.settings import Settings
from pipeline.training.monitored import FEW, NUMBER
from tests.browser import MESSAGE, PLANTED, document, opened_together, served
from tests.ingestion.broken_files import TABLES, as_csv, good_rows, shop
from tests.suites import without_share_limit

TEXT = (ColumnType.TEXT, ColumnType.IDENTIFIER)


def test_the_browser_tells_if_planted_text_runs(tmp_path: Path) -> None:
    (tmp_path / "good.html").write_text("<p>good</p>")
    bad = {"bad.html": f"<script>const text = '{PLANTED}'</script>"}
    loaded, heard = opened_together(tmp_path, ["good.html", "bad.html"], bad)
    assert loaded == 2
    assert MESSAGE in heard


def planted(settings: Settings, table: str) -> bytes:
    """Rows of a table with planted text in every column of text, beside rows and columns that are rejected for it."""
    named = load_sources(settings).get(table, "csv")
    header, *rows = (list(row) for row in good_rows(table))
    columns = [column.name for column in CONTRACTS[table].columns if column.type in TEXT]
    mapped = [name for column in columns if column in named.spec.columns for name in named.spec.columns[column].sources]
    for name in mapped:
        for row in rows[:3]:
            row[header.index(name)] = PLANTED
    for at in range(len(header)):
        broken = list(rows[-1])
        broken[at] = PLANTED
        rows.insert(0, broken)
    rows.append([PLANTED])
    return as_csv([header, *rows])


def test_no_page_of_a_delivery_runs_its_text(tmp_path: Path) -> None:
    settings = shop(tmp_path, expectations=without_share_limit(tmp_path / "expectations"))
    lake = Lake(settings)
    for table in TABLES:
        folder = tmp_path / "data" / table / "csv"
        (folder / "planted.csv").write_bytes(planted(settings, table))
        (folder / "unmapped.csv").write_bytes(as_csv([[PLANTED, *row] for row in good_rows(table)]))
        (folder / f"{PLANTED.replace('/', '')[:150]}.csv").write_bytes(b"x\n1\n")
        (folder / "link-<svg onload=alert(1)>.csv").symlink_to("/etc/passwd")
        for delivery in ingestion.pending(settings, table, "csv"):
            try:
                assert ingestion.ingest(settings, delivery).entry.quarantined
            except RefusedError:
                assert delivery.name != "planted.csv"
    pages = [f"{folder}/{page.name}.html" for folder, found in find_pages(lake).items() for page in found]
    assert len(pages) == 4 * len(TABLES)
    index = {"index.html": index_page(lake), "validation.html": index_page(lake, "validation/visits")}
    assert opened_together(tmp_path / "home" / "reports", [*pages, *index], index) == (len(pages) + 2, "")


def drift_pages(tmp_path: Path) -> Path:
    """A drift page and Evidently's page, of columns and categories that are planted text."""
    random = np.random.default_rng(1)
    columns = {f"{PLANTED}{n}": FEW for n in range(2)} | {f"{PLANTED}n": NUMBER, "plain": FEW}
    categories = [PLANTED, f"<img src=x onerror={MESSAGE}>", "--><!--", "&lt;b&gt;", "\u2028", "plain"]

    def rows() -> pd.DataFrame:
        return pd.DataFrame(
            {
                name: random.normal(size=600) if method is NUMBER else random.choice(categories, 600)
                for name, method in columns.items()
            }
        )

    then, now = rows(), rows()
    outcome = compare(then, now, columns, seed=7, sample=5_000, minimum_rows=500)
    outcome = replace(outcome, distributions=distributions(then, now, now, columns))
    lake = Lake(Settings(home=str(tmp_path)))
    version: Any = type("Version", (), {"name": "brand_choice", "version": 1})()
    version.provenance = type("Provenance", (), {"as_of": date(2025, 1, 1)})()
    day = date(2025, 2, 1)
    labels = {f"{PLANTED}0": Label(PLANTED, unit=PLANTED)}
    history = {name: [(day, 0.5)] for name in columns}
    write_drift_page(
        lake, version, outcome, day=day, retrain=False, reason=PLANTED, minimum=500, labels=labels, history=history
    )
    return tmp_path / "reports"


def test_the_page_that_evidently_draws_runs_no_text_and_is_drawn_in_its_sandbox(tmp_path: Path) -> None:
    reports = drift_pages(tmp_path)
    drawn = "drift/brand_choice/distributions/2025-02-01.html"
    assert opened_together(reports, [drawn, "drift/brand_choice/2025-02-01.html"]) == (2, "")
    with served(reports, {}) as address:
        page = document(f"{address}/{drawn}", 20_000)
    assert page.count('class="main-svg"') >= 4, "its charts"
    # The same without the headers, as from a folder.
    copy = {"copy.html": (reports / drawn).read_text()}
    assert opened_together(reports, ["copy.html"], copy) == (1, "")
