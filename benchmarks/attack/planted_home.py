"""A shop in which every text of every table is a script, with all pages that are made of it."""

from __future__ import annotations

import csv
import io
import json
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from pipeline.contracts import CONTRACTS
from pipeline.contracts.contract import ColumnType
from pipeline.dates import UNDATED
from pipeline.domains import DOMAINS, spec_of
from pipeline.ingestion import steps as ingestion
from pipeline.lake.tables import Lake
from pipeline.monitoring.watch import watch
from pipeline.registry.client import Registry
from pipeline.settings import Settings
from pipeline.simulate.deliveries import delivery_bytes
from pipeline.training import lifecycle, scoring
from tests.stores import simulated

ROOT = Path(__file__).resolve().parents[2]
START, TRAINED, AS_OF = date(2025, 1, 1), date(2025, 4, 15), date(2025, 5, 1)
EARLIER = date(2024, 6, 15)
"""The first day of transactions, of which some models need nine months."""
INGESTED = ("transactions", "visits", "people", "footfall")
TEXT = (ColumnType.TEXT, ColumnType.IDENTIFIER)


def make(settings: Settings, text: str) -> None:
    """Ingest tables whose texts end in `text`, train and score every domain, watch every model.

    Args:
        settings: of an empty home, whose mapping and suites are written, too.
        text: what every text ends in.
    """
    _write_sources(settings, text)
    for table in INGESTED:
        (delivery,) = ingestion.pending(settings, table)
        ingestion.ingest(settings, delivery)
    _write_chain(settings, text)
    for domain in DOMAINS:
        is_chain = domain.name == "stores"
        trained, as_of = (simulated.AS_OF, simulated.AS_OF + timedelta(days=1)) if is_chain else (TRAINED, AS_OF)
        lifecycle.build_features(settings, domain, trained)
        for entry in domain.models:
            version = lifecycle.train(settings, spec_of(entry.name), trained).version
            Registry(settings).promote(entry.name, version, by=text, reason=text)
        lifecycle.build_features(settings, domain, as_of)
        scoring.score(settings, domain, as_of)
        scoring.write_report(settings, domain, as_of)
        watch(settings, as_of, [spec_of(entry.name) for entry in domain.models])


def _write_sources(settings: Settings, text: str) -> None:
    mapping = yaml.safe_load((ROOT / "sources.yaml").read_text())
    mapping["home_country"] += text
    settings.expectations.mkdir()
    for table in CONTRACTS:
        suite = {"meta": {"max_quarantined_share": 1}, "expectations": []}
        (settings.expectations / f"{table}.json").write_text(json.dumps(suite))
    for table in INGESTED:
        (source,) = mapping["tables"][table].values()
        address = source["from"].replace("customers=900", "customers=150").replace("people=400", "people=150")
        start = EARLIER if table == "transactions" else START
        until = START + timedelta(days=1) if table == "people" else AS_OF
        file = Path(settings.data) / f"{table}.csv"
        file.write_text(_planted(delivery_bytes(address, start, until).decode(), table, source["columns"], text))
        source["from"] = file.name
        source.pop("options", None)
        for name, column in source["columns"].items():
            if isinstance(column, str) and "{brand}" in column:
                source["columns"][name] = column + text
    settings.sources.write_text(yaml.safe_dump(mapping))


def _planted(content: str, table: str, columns: dict[str, str], text: str) -> str:
    """Add the text to every cell of a column of text, and to the names of the columns that have a brand each."""
    texts = {
        columns[column.name] for column in CONTRACTS[table].columns if column.type in TEXT and column.name in columns
    }
    patterns = [name.partition("{")[0] for name in columns.values() if "{brand}" in name]
    header, *rows = csv.reader(io.StringIO(content))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([name + text + text if any(map(name.startswith, patterns)) else name for name in header])
    at = [n for n, name in enumerate(header) if name in texts]
    for row in rows:
        for n in at:
            # "0" is no brand.
            row[n] = row[n] and row[n] + text if row[n] != "0" else "0"
        writer.writerow(row)
    return out.getvalue()


def _write_chain(settings: Settings, text: str) -> None:
    """Write the stores' tables, whose attributes are text; holidays are one of four words."""
    simulated.write_chain(settings, simulated.AS_OF)
    lake = Lake(settings)
    stores = lake.read("stores")
    for name in ("store_type", "assortment", "state"):
        planted = pc.binary_join_element_wise(stores[name], pa.scalar(text), "")
        stores = stores.set_column(stores.schema.get_field_index(name), name, planted)
    lake.replace("stores", {"day": [UNDATED]}, stores)
