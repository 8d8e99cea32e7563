"""What Prometheus is told."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ROWS = (1, 10, 100, 1_000, 10_000)
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Metrics:
    """The service's counters. Each application has its own, so that two in one process do not count together."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        known: Any = {"registry": self.registry, "namespace": "aisle"}
        self.requests = Counter("requests", "Requests answered", ["route", "method", "status"], **known)
        self.seconds = Histogram("request_seconds", "Seconds of a request", ["route"], buckets=SECONDS, **known)
        self.running = Gauge("requests_running", "Requests that are being answered", **known)
        self.waiting = Gauge("requests_waiting", "Requests in a model's queue", ["model"], **known)
        self.rows = Counter("rows", "Rows answered", ["model", "role"], **known)
        self.refused = Counter("rows_refused", "Rows answered with an error", ["model", "role"], **known)
        self.batch = Histogram("batch_rows", "Rows predicted at once", ["model"], buckets=ROWS, **known)
        self.version = Gauge("model_version", "Version that serves", ["model"], **known)
        self.age = Gauge("model_age_days", "Days since the day as of which the model was trained", ["model"], **known)
        self.reloads = Counter("reloads", "Looks at the registry, by what came of them", ["model", "outcome"], **known)
        self.logged = Counter("predictions_logged", "Predictions written to the lake", **known)
        self.dropped = Counter("predictions_dropped", "Predictions that could not be logged", **known)
        self.shadow_dropped = Counter("shadow_rows_dropped", "Rows a challenger was not asked for", ["model"], **known)

    def page(self) -> bytes:
        """What is scraped."""
        return generate_latest(self.registry)
