"""The service in a process of its own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import uvicorn

from pipeline.serving.app import create_app
from pipeline.serving.keys import may_listen
from pipeline.serving.logs import CONFIG

if TYPE_CHECKING:
    from pipeline.settings import Settings

MAX_CONNECTIONS = 1_000
SWITCH_SECONDS = 0.0005
"""How long a thread that predicts or logs may keep those who answer waiting; Python's own 5 ms are a request's time."""
IDLE_SECONDS = 30


def run(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM, and then finish what runs.

    One process: queues, limits, counters and champions are its own. For more, run several behind a balancer.

    Raises:
        UsageError: if the service would be open to a network without keys.
    """
    may_listen(host, settings.api_keys)
    sys.setswitchinterval(SWITCH_SECONDS)
    uvicorn.run(
        create_app(settings),
        host=host,
        port=port,
        log_config=CONFIG,
        access_log=False,
        server_header=False,
        # Who is in front says nothing that is believed: keys name who asks.
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=int(settings.serve_timeout_seconds) + 1,
    )
