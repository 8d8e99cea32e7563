"""
### Domains without a DAG file of their own

Makes the Airflow DAGs of each table, domain and model of `pipeline.domains` that has no file in this folder.
They are wired like the others and only lack notes on what to do when they fail.
"""

from __future__ import annotations

from pathlib import Path

from aisle_dags.ingestion import ingestion_dag
from aisle_dags.scoring import scoring_dag
from aisle_dags.training import training_dag
from pipeline.domains import DOMAINS


def _has_own_file(dag_id: str) -> bool:
    return Path(__file__).with_name(f"{dag_id}.py").exists()


for domain in DOMAINS:
    for contract in domain.contracts:
        if not _has_own_file(f"ingest_{contract.table}"):
            ingestion_dag(contract.table, f"### Ingest {contract.table}")
    if not _has_own_file(domain.name):
        scoring_dag(domain.name, f"### {domain.name.capitalize()}")
    for model in domain.model_names:
        if not _has_own_file(f"train_{model}"):
            training_dag(model, f"### Train {model}")
