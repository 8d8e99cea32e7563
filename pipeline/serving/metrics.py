"""The service's metrics for Prometheus."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histogram of request times."""
ROWS = (1, 10, 100, 1_000, 10_000)
"""Upper bounds of the histogram of batch sizes."""
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Metrics:
    """The metrics of one application, in a registry of their own: two applications in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        common: Any = {"registry": self.registry, "namespace": "aisle"}
        self.requests = Counter("requests", "Requests answered", ["route", "method", "status"], **common)
        self.seconds = Histogram(
            "request_seconds", "Seconds from request to answer", ["route"], buckets=SECONDS, **common
        )
        self.running = Gauge("requests_running", "Requests being answered", **common)
        self.waiting = Gauge("requests_waiting", "Requests queued or being predicted", ["model"], **common)
        self.rows = Counter("rows", "Rows predicted", ["model", "role"], **common)
        self.refused = Counter("rows_refused", "Rows answered with an error", ["model", "role"], **common)
        self.batch = Histogram("batch_rows", "Rows predicted in one call", ["model"], buckets=ROWS, **common)
        self.version = Gauge("model_version", "Version of the loaded champion", ["model"], **common)
        self.age = Gauge(
            "model_age_days",
            "Days since the champion's as-of day; absent for undated training data",
            ["model"],
            **common,
        )
        self.reloads = Counter("reloads", "Polls of the registry, by outcome", ["model", "outcome"], **common)
        self.logged = Counter("predictions_logged", "Predictions written to the lake", **common)
        self.dropped = Counter("predictions_dropped", "Predictions that could not be logged", **common)
        self.shadow_dropped = Counter(
            "shadow_rows_dropped", "Rows that a challenger did not predict because it was too slow", ["model"], **common
        )

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
