"""What every DAG has in common: owner, retries, tags, assets, and the form fields for days.

`tests/dags/test_conventions.py` checks each DAG against it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Asset, Param

OWNER = "aisle"

# The first day that a backfill may ingest. Unpausing a DAG starts one run and not one for each day, because catchup is
# off.
FIRST_DAY = datetime(2009, 1, 1, tzinfo=UTC)

DEFAULT_ARGS: dict[str, Any] = {
    "owner": OWNER,
    # For temporary causes: the network, a full disk, a concurrent writer. A refusal of the data is never retried.
    "retries": 2,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=15),
    "execution_timeout": timedelta(hours=2),
}

TAGS = {
    "ingestion": "ingests rows from a source",
    "domain": "makes features, scores and a report from clean tables",
    "training": "trains models and promotes them",
    "monitoring": "detects drift of the champions",
    "housekeeping": "removes what is no longer needed",
    "customers": "about customers",
    "transactions": "about invoice lines",
    "shoppers": "about visits, purchases and how they respond to prices",
    "visits": "about visits to the shelf",
    "people": "about the attributes of people",
    "footfall": "about visitors and buyers by day",
    "stores": "about stores and the forecast of their sales",
    "store_days": "about what each store sold on a day",
    "store_plans": "about the plan of each store for the days ahead",
}


def scores_of(domain: str) -> Asset:
    """The asset whose event says that a domain has scored further days."""
    return Asset(f"{domain}_scores")


def champion_of(model: str) -> Asset:
    """The asset whose event says that a model has a new champion."""
    return Asset(f"{model}_champion")


def retraining_of(model: str) -> Asset:
    """The asset whose event is a request by `watch` to train a model."""
    return Asset(f"retrain_{model}")


def day_field(title: str, description: str) -> Param:
    """A form field for an optional date."""
    return Param(None, type=["null", "string"], format="date", title=title, description_md=description)
