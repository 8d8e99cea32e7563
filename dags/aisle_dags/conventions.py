"""The one vocabulary of every DAG: owner, retries, tags, assets, and the form fields that name days.

`tests/dags/test_conventions.py` holds each DAG to it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Asset, Param

OWNER = "aisle"

# The first day a nightly run may be asked for, in a backfill or by the schedule. Unpausing starts one run, not a year.
FIRST_DAY = datetime(2009, 1, 1, tzinfo=UTC)

DEFAULT_ARGS: dict[str, Any] = {
    "owner": OWNER,
    # For what passes by itself: a network, a full disk, a writer that came first. A verdict on data is never retried.
    "retries": 2,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=15),
    "execution_timeout": timedelta(hours=2),
}

TAGS = {
    "ingestion": "brings a source's rows in",
    "domain": "turns clean tables into what the shop does next morning",
    "training": "makes a model, or puts one into use",
    "monitoring": "says whether a model still holds",
    "customers": "about who buys",
    "transactions": "about invoice lines",
    "shoppers": "about who visits, buys and answers to prices",
    "visits": "about visits to the shelf",
    "people": "about who the people are",
    "footfall": "about the door",
    "stores": "about the chain's stores and what they will sell",
    "store_days": "about what each store sold on a day",
    "store_plans": "about what is planned of each store's days ahead",
}


def scores_of(domain: str) -> Asset:
    """The event that a domain has scored more days."""
    return Asset(f"{domain}_scores")


def champion_of(model: str) -> Asset:
    """The event that another version of a model is in use."""
    return Asset(f"{model}_champion")


def retraining_of(model: str) -> Asset:
    """The event that `watch` asks for a training of a model."""
    return Asset(f"retrain_{model}")


def day_field(title: str, description: str) -> Param:
    """A form field for an optional date."""
    return Param(None, type=["null", "string"], format="date", title=title, description_md=description)
