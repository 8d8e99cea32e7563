"""Run the service with uvicorn."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import uvicorn

from pipeline.serving.app import create_app
from pipeline.serving.keys import check_host
from pipeline.serving.log_config import log_config

if TYPE_CHECKING:
    from pipeline.settings import Settings

MAX_CONNECTIONS = 1_000
SWITCH_SECONDS = 0.0005
"""How long a thread that predicts or logs may hold the interpreter; Python's default of 5 ms delays requests."""
IDLE_SECONDS = 30
"""How long an idle connection is kept open."""


def run(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM, and finish the requests that were taken.

    It is one process with its own queues, limits, metrics and models. For more, run several behind a load balancer.

    Raises:
        UsageError: if the service would be open to a network without keys.
    """
    check_host(host, settings.api_keys)
    sys.setswitchinterval(SWITCH_SECONDS)
    uvicorn.run(
        create_app(settings),
        host=host,
        port=port,
        log_config=log_config(settings.log_level),
        access_log=False,
        server_header=False,
        # Clients are identified by their keys, so no forwarded address is trusted.
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=int(settings.serve_timeout_seconds) + 1,
    )
