"""Fixtures that several test files share."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from pathlib import Path

import hypothesis
import pyarrow as pa
import pytest

from pipeline.contracts import CONTRACTS
from pipeline.ingestion import steps as ingestion
from pipeline.ingestion.deliveries import Delivery
from pipeline.ingestion.ledger import LedgerEntry
from pipeline.lake.tables import Lake
from pipeline.settings import Settings
from tests.helpers import made_once
from tests.suites import without_share_limit

# The same examples each time: a failure that comes and goes proves nothing.
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None)
hypothesis.settings.load_profile("fixed")

ROOT = Path(__file__).resolve().parents[1]
HEADER = "InvoiceNo,StockCode,Description,Quantity,UnitPrice,InvoiceDate,CustomerID,Country\n"
SOURCES = r"""
time_zone: Europe/London
home_country: United Kingdom
tables:
  transactions:
    till: &till
      from: transactions/{day}.csv
      format: {type: csv}
      columns: {invoice: InvoiceNo, stock_code: StockCode, description: Description, quantity: Quantity,
        unit_price: UnitPrice, invoiced_at: InvoiceDate, customer_id: CustomerID, country: Country}
      options: {merchandise: '^\d{5}[A-Za-z]*$'}
      closed_on: [sunday]
    files: {<<: *till, from: files/*, repeats: drop}
    books: {<<: *till, from: books/*, format: {type: xlsx}}
"""


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without models. To make one takes seconds, to copy it none."""
    from pipeline.registry.client import Registry

    def make(folder: Path) -> None:
        Registry(Settings(home=str(folder))).models()

    return made_once(tmp_path_factory, "mlflow", make) / "mlflow.db"


@pytest.fixture
def home(tmp_path: Path, empty_mlflow: Path) -> Settings:
    """Settings of an empty home whose model registry is ready."""
    (tmp_path / "home").mkdir()
    shutil.copy(empty_mlflow, tmp_path / "home" / "mlflow.db")
    return Settings(home=str(tmp_path / "home"), code_version="abc123")


@dataclass(frozen=True)
class Till:
    """A shop whose deliveries a test writes by hand: a file a day (source `till`) or files of any days (`files`)."""

    settings: Settings
    folder: Path

    @staticmethod
    def line(
        invoice: object = 1, stock: object = 10001, quantity: object = 1, price: object = 1.5, day: str = "2025-03-03"
    ) -> str:
        """A line of a delivery; `day` may have a time."""
        stamp = day if " " in day else f"{day} 10:00:00"
        return f"{invoice},{stock},a thing,{quantity},{price},{stamp},77,France\n"

    def write(self, name: str, lines: Iterable[str] | bytes) -> Path:
        """Put a file where a source looks for it: `2025-03-03.csv` for the till, `files/any.csv` for the files."""
        path = self.folder / (name if "/" in name else f"transactions/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(lines if isinstance(lines, bytes) else (HEADER + "".join(lines)).encode())
        return path

    def found(self, name: str) -> Delivery:
        """The delivery that a file is."""
        source = name.split("/")[0] if "/" in name else "till"
        found = ingestion.pending(self.settings, "transactions", source)
        return next(d for d in found if d.name == name.split("/")[-1])

    def deliver(self, name: str, lines: Iterable[str] | bytes) -> LedgerEntry:
        """Write a file and bring it in."""
        self.write(name, lines)
        return ingestion.ingest(self.settings, self.found(name)).entry

    def clean(self, *columns: str) -> list[tuple[object, ...]]:
        """The clean table, sorted, without what differs with the way the rows came (or just some columns)."""
        names = columns or tuple(n for n in CONTRACTS["transactions"].schema.names if n not in ("delivery", "row"))
        table: pa.Table = self.lake.read("transactions").select(list(names))
        return sorted(zip(*(table[name].to_pylist() for name in names), strict=True), key=str)

    @property
    def lake(self) -> Lake:
        """Where it all ends up."""
        return Lake(self.settings)


def a_till(folder: Path, expectations: Path) -> Till:
    """A shop whose files and home are below a folder."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for place in ("transactions", "files", "books"):
        (folder / "data" / place).mkdir(exist_ok=True)
    (folder / "sources.yaml").write_text(SOURCES)
    settings = Settings(
        home=str(folder / "home"),
        sources=folder / "sources.yaml",
        data=str(folder / "data"),
        expectations=expectations,
        code_version="abc123",
    )
    return Till(settings, folder / "data")


@pytest.fixture
def till(tmp_path: Path) -> Till:
    """A shop with the real suite, except that any share of a delivery's rows may be rejected: tests write few rows."""
    return a_till(tmp_path, without_share_limit(tmp_path / "expectations"))


@pytest.fixture
def new_till(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Till]]:
    """Makes shops whose suite expects nothing, so that a property can be held against many of them."""
    suite = tmp_path_factory.mktemp("expectations")
    (suite / "transactions.json").write_text('{"meta": {"max_quarantined_share": 1}, "expectations": []}')
    made: list[Path] = []

    def new() -> Till:
        made.append(tmp_path_factory.mktemp("till"))
        return a_till(made[-1], suite)

    yield new
    for folder in made:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def processes() -> BaseContext:
    """Makes processes that begin at once: forked from a server that has imported, and done nothing else.

    What was used in this process (Delta's threads, DuckDB's) cannot be forked; a fresh interpreter imports for seconds.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pipeline.ingestion.steps", "pipeline.ingestion.validation"])
    return context


@pytest.fixture(scope="session")
def open_data() -> Path:
    """The folder of the public data sets; what needs it is skipped where it is missing."""
    folder = Path(os.environ.get("AISLE_OPEN_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "online_retail.parquet").exists():
        pytest.skip(f"no open data in {folder}; name its folder by AISLE_OPEN_DATA")
    return folder
