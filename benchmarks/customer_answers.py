"""Latency of the answers about customers from what the night kept, for a made-up shop of any size.

    python -m benchmarks.customer_answers [--customers 100000] [--seconds 8]

Champions are trained on a small simulated shop. Then the tables of its newest day are replaced by drawn rows of many
customers, and a client in a process of its own asks for one after the other: `POST /recommendations` for a customer and
for a basket, and `GET /customers/{customer}`. Each is first sent as often as it is answered, then at half of that rate.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa

from benchmarks.load import get, post, send
from benchmarks.serving import aisle, latency
from pipeline.customers import movements, programme
from pipeline.customers.domain import (
    DOMAIN,
    MOVEMENTS_TABLE,
    PROGRAMME_TABLE,
    RECOMMENDATIONS,
    RECOMMENDATIONS_TABLE,
    SEGMENTS,
    VALUE_TABLE,
)
from pipeline.customers.features import FEATURE_COLUMNS
from pipeline.customers.insiders import Bounds, Review, Rule
from pipeline.ingestion import steps as ingestion
from pipeline.lake.tables import Lake
from pipeline.registry.client import Registry
from pipeline.settings import Settings
from pipeline.training import lifecycle, scoring
from pipeline.training.spec import Run

ROOT = Path(__file__).resolve().parents[1]
START, AS_OF = dt.date(2025, 1, 1), dt.date(2025, 5, 1)
PRODUCTS, K, ASKED = 4_000, 10, 1_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure each; 0 if the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=8)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="aisle-bench-") as folder:
        settings = champions(Path(folder))
        keep(settings, given.customers)
        with aisle(settings.home_path) as (port, process):
            asked = np.random.default_rng(7).integers(0, given.customers, ASKED).tolist()
            found = []
            for name, requests in requests_of(port, asked).items():
                before = processor_seconds(process)
                load = send(port, requests, connections=32, seconds=given.seconds)
                each = 1000 * (processor_seconds(process) - before) / len(load.milliseconds)
                print(f"\n{name}: {load.rate:,.0f} requests/s at most, {each:.2f} ms of processor each")
                found.append(latency(port, name, requests, load.rate, given.seconds))
            print(f"\n{process.memory_info().rss / 2**20:,.0f} MB with {given.customers:,} customers")
    return 0 if all(found) else 1


def processor_seconds(process: psutil.Process) -> float:
    """The processor time that the server has used, which other work on the machine changes little."""
    times = process.cpu_times()
    return times.user + times.system


def champions(folder: Path) -> Settings:
    """A home in which the models of both endpoints are in use."""
    sources = folder / "sources.yaml"
    sources.write_text((ROOT / "sources.yaml").read_text().replace("customers=900", "customers=300"))
    settings = Settings(
        home=str(folder / "home"), sources=sources, expectations=ROOT / "expectations", code_version="benchmark"
    )
    for delivery in ingestion.pending(settings, DOMAIN.input_table, since=START, until=AS_OF):
        ingestion.ingest(settings, delivery)
    lifecycle.build_features(settings, DOMAIN, AS_OF)
    for model in (SEGMENTS, RECOMMENDATIONS):
        version = lifecycle.train(settings, DOMAIN.entry(model).spec(), AS_OF).version
        Registry(settings).promote(model, version, by="benchmark", reason="benchmark")
    return settings


def keep(settings: Settings, customers: int) -> None:
    """Write what nights keep of so many customers: features, segments of three days, members, value, all lists."""
    lake = Lake(settings)
    rng, ids = np.random.default_rng(3), [str(number) for number in range(customers)]
    day = pa.array([AS_OF] * customers, pa.date32())
    names = ("insiders", "regulars", "lapsed")
    for as_of in (AS_OF - dt.timedelta(days=31), AS_OF - dt.timedelta(days=1), AS_OF):
        segment = rng.integers(1, len(names) + 1, customers)
        rows = pa.table(
            {
                "customer_id": ids,
                "as_of": pa.array([as_of] * customers, pa.date32()),
                "segment": segment,
                "segment_name": [names[number - 1] for number in segment],
                "model_version": np.full(customers, 1 + (as_of == AS_OF)),
            }
        )
        lake.replace(DOMAIN.results_table, {"as_of": [as_of]}, rows)
    moved = movements.score(Run(settings, AS_OF, {}), scoring.RegisteredChampions(settings, DOMAIN))
    lake.replace(MOVEMENTS_TABLE, {"as_of": [AS_OF]}, lifecycle.dated(moved, AS_OF))
    features = {name: np.ceil(rng.exponential(9, customers)) for name in FEATURE_COLUMNS}
    lake.replace(DOMAIN.features_table, {"as_of": [AS_OF]}, pa.table({"customer_id": ids, "as_of": day, **features}))
    rule = Rule(AS_OF, Bounds(12.0, 12.0, 9.0), Bounds(9.0, 9.0, 12.0))
    review = Review(AS_OF, rule, dict.fromkeys(ids[::5], AS_OF), np.array(ids, dtype=object))
    lake.replace(PROGRAMME_TABLE, {"as_of": [AS_OF]}, lifecycle.dated(programme.rows_of(review), AS_OF))
    value = {
        name: rng.random(customers)
        for name in ("purchase_chance", "purchases", "revenue", "revenue_low", "revenue_high", "alive")
    }
    value["decile"] = rng.integers(1, 11, customers)
    lake.replace(VALUE_TABLE, {"as_of": [AS_OF]}, pa.table({"customer_id": ids, "as_of": day, **value}))
    products = [f"{number:05}" for number in range(PRODUCTS)]
    subjects = {"best": ids, "buy again": ids, "new to you": ids, "goes with": products, "popular": [""]}
    lake.replace(
        RECOMMENDATIONS_TABLE,
        {"as_of": [AS_OF]},
        pa.concat_tables([drawn_lists(rng, name, whose) for name, whose in subjects.items()]),
    )


def drawn_lists(rng: np.random.Generator, name: str, subjects: list[str]) -> pa.Table:
    """A list of `K` products for each subject."""
    count = len(subjects)
    codes = pa.array([f"{number:05}" for number in range(PRODUCTS)]).take(rng.integers(0, PRODUCTS, K * count))
    ends = pa.array(np.arange(0, K * count + 1, K), pa.int32())
    return pa.table(
        {
            "list": [name] * count,
            "subject": subjects,
            "products": pa.ListArray.from_arrays(ends, codes),
            "scores": pa.ListArray.from_arrays(ends, pa.array(rng.random(K * count))),
            "model_version": np.ones(count, dtype=np.int64),
            "as_of": pa.array([AS_OF] * count, pa.date32()),
        }
    )


def requests_of(port: int, asked: Sequence[int]) -> dict[str, list[bytes]]:
    """The requests, by what they ask."""

    def recommend(row: dict[str, object]) -> bytes:
        return post(port, "/recommendations", json.dumps({"rows": [row]}).encode())

    return {
        "POST /recommendations, a customer": [recommend({"customer": str(number)}) for number in asked],
        "POST /recommendations, a basket of five": [
            recommend({"basket": [f"{(number + 31 * n) % PRODUCTS:05}" for n in range(5)]}) for number in asked
        ],
        "GET /customers/{customer}": [get(port, f"/customers/{number}") for number in asked],
    }


if __name__ == "__main__":
    raise SystemExit(main())
