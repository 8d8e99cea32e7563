"""A shop whose deliveries a test writes by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipeline.contracts import CONTRACTS
from pipeline.ingestion import steps as ingestion
from pipeline.ingestion.deliveries import Delivery
from pipeline.ingestion.ledger import LedgerEntry
from pipeline.lake.tables import Lake
from pipeline.settings import Settings

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
