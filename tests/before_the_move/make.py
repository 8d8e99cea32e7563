"""Make the fixtures of this folder with the code of the commit before modules moved; README.md says how.

It imports the modules by their names of then, so it runs on that commit only.
"""

from __future__ import annotations

import json
import shutil
import tarfile
import tempfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from extracted import EXPECTED, HOME, HOME_ARCHIVE, MODELS, readdress
from mlflow import MlflowClient
from pipeline.model_files import flavour_of, read_example
from pipeline.watching import watch

from pipeline import ingest, training
from pipeline.domains import steps_of, watched_of
from pipeline.registry import Registry
from pipeline.settings import Settings
from pipeline.simulate.deliveries import delivery_bytes
from pipeline.stores import gradient_boosting, random_forest

HERE = Path(__file__).resolve().parent
COMMIT = "f954da8"

ADDRESSES = {
    "transactions": "simulate://shop?seed=7&customers=600",
    "visits": "simulate://visits?seed=7&people=150",
    "people": "simulate://people?seed=7&people=150",
    "footfall": "simulate://footfall?seed=7",
    "store_days": "simulate://store_days?seed=7&stores=6",
    "stores": "simulate://stores?seed=7&stores=6",
    "store_plans": "simulate://store_plans?seed=7&stores=6",
}
DAY = timedelta(days=1)
AS_OF = date(2025, 7, 1)
"""The morning on which everything is scored. The kinds of store sales are trained on the three mornings up to it."""
DELIVERIES = [
    ("transactions", AS_OF - 24 * DAY, AS_OF - 2 * DAY, "&defects=negative_price:2,zero_quantity:3"),
    ("transactions", AS_OF - 2 * DAY, AS_OF - DAY, ""),
    ("transactions", AS_OF - DAY, AS_OF, "&defects=missing_date:1,zero_quantity:1"),
    ("visits", date(2025, 5, 1), AS_OF, ""),
    ("people", AS_OF - DAY, AS_OF, ""),
    ("footfall", AS_OF - 120 * DAY, AS_OF, ""),
    ("store_days", date(2024, 7, 8), AS_OF, ""),
    ("stores", AS_OF - DAY, AS_OF, ""),
    ("store_plans", AS_OF - 3 * DAY, AS_OF, ""),
]
"""Table, first day, day after the last, and what is planted."""
TRAINED = [
    ("customer_segments", AS_OF, None),
    ("store_sales", AS_OF - 2 * DAY, "linear_store"),
    ("store_sales", AS_OF - DAY, "random_forest"),
    ("store_sales", AS_OF, "gradient_boosting"),
    ("purchase_probability", AS_OF, None),
    ("brand_choice", AS_OF, None),
    ("purchase_quantity", AS_OF, None),
    ("people_segments", AS_OF, None),
    ("footfall_buyers", AS_OF - 60 * DAY, None),
]
"""Model, morning of the training, and candidate where there are several."""
DOMAINS = {
    "customer_segments": "customers",
    "store_sales": "stores",
    "people_segments": "shoppers",
    "purchase_probability": "shoppers",
    "brand_choice": "shoppers",
    "purchase_quantity": "shoppers",
    "footfall_buyers": "footfall",
}
ANSWERS = ("predict", "predict_proba", "shares")
SMALL = {(gradient_boosting, "ROUNDS"): 20, (random_forest, "TREES"): 2, (random_forest, "ROWS"): 200}
"""Keeps the trees' files small."""


def deliver(settings: Settings, folder: Path) -> None:
    """Write the simulator's deliveries as files, and bring them in, the oldest first."""
    for table, start, end, planted in DELIVERIES:
        file = folder / table / f"{end - DAY}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(delivery_bytes(ADDRESSES[table] + planted, start, end))
        for delivery in ingest.pending(settings, table):
            if delivery.name == file.name:
                ingest.ingest(settings, delivery)


def train(settings: Settings) -> dict[str, tuple[str, int]]:
    """Train every model, ask the gate, and put each version in use: name of its folder -> model and version."""
    made = {}
    for model, as_of, candidate in TRAINED:
        steps = steps_of(DOMAINS[model])
        if model != "people_segments":
            steps.build_features(settings, as_of)
        if candidate:
            steps.try_candidate(settings, as_of, candidate)
        version = steps.train(settings, model, as_of).version
        if steps.gate(settings, model, version).accepted:
            training.promote(settings, model, version, by="fixture")
        else:
            Registry(settings).promote(model, version, by="fixture", reason="a fixture needs a champion")
        made[f"{model}-{candidate}" if candidate else model] = (model, version)
    return made


def score(settings: Settings) -> None:
    """Score every domain on its morning, write its page, and watch its models."""
    for domain in sorted(set(DOMAINS.values())):
        steps = steps_of(domain)
        steps.build_features(settings, AS_OF)
        steps.score(settings, AS_OF)
        steps.write_report(settings, AS_OF)
        watch(settings, AS_OF, watched_of(domain))


def answers(model: Any, example: pd.DataFrame) -> dict[str, Any]:
    """What a model says of its example, by method."""
    return {name: np.asarray(getattr(model, name)(example)).tolist() for name in ANSWERS if hasattr(model, name)}


def save_models(settings: Settings, made: dict[str, tuple[str, int]]) -> None:
    """Pack the folder of each version as the registry keeps it, and write what its model says of its example."""
    registry, client = Registry(settings), MlflowClient(settings.mlflow_uri, settings.mlflow_uri)
    shutil.rmtree(EXPECTED, ignore_errors=True)
    EXPECTED.mkdir()
    for name, (model, version) in made.items():
        entry = client.get_model_version(model, str(version))
        folder = Path(entry.source)
        loaded = flavour_of("sklearn", name).load(folder)
        kept = {
            "model": model,
            "version": version,
            "type": type(loaded).__name__,
            "sha256": entry.tags["aisle.sha256"],
            "provenance": registry.get(model, version).provenance.tags(),
            "metrics": dict(registry.get(model, version).metrics),
            "answers": answers(loaded, read_example(folder)),
        }
        (EXPECTED / f"{name}.json").write_text(json.dumps(kept, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with tarfile.open(MODELS, "w:gz", compresslevel=9) as archive:
        for name, (model, version) in made.items():
            archive.add(client.get_model_version(model, str(version)).source, f"models/{name}")


def save_home(folder: Path) -> None:
    """Pack the home with its deliveries, without pages, and with a word in place of its own path in the registry."""
    (folder / "home" / "mlflow.db.lock").unlink(missing_ok=True)
    readdress(folder / "home" / "mlflow.db", str(folder / "home"), HOME)
    with tarfile.open(HOME_ARCHIVE, "w:gz", compresslevel=9) as archive:
        for name in ("home", "data", "sources.yaml"):
            archive.add(folder / name, name, filter=lambda file: None if file.name.endswith((".html", ".js")) else file)


def main() -> None:
    """Make everything anew, in a temporary folder, and keep the results beside this file."""
    root = HERE.parents[1]
    for (module, name), value in SMALL.items():
        setattr(module, name, value)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        text = (root / "sources.yaml").read_text(encoding="utf-8")
        lines = [
            f"      from: {line.split('//')[1].split('?')[0]}/*.csv" if "simulate://" in line else line
            for line in text.replace("simulate://shop", "simulate://transactions").splitlines()
        ]
        (folder / "sources.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        settings = Settings(
            home=str(folder / "home"),
            sources=folder / "sources.yaml",
            data=str(folder / "data"),
            expectations=root / "expectations",
            code_version=COMMIT,
        )
        deliver(settings, folder / "data")
        made = train(settings)
        score(settings)
        save_models(settings, made)
        save_home(folder)


if __name__ == "__main__":
    main()
