"""Run the service with uvicorn."""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

import uvicorn

from pipeline.serving.app import create_app
from pipeline.serving.connections import IDLE_SECONDS, SENDING_SECONDS, Limits, protocol_with
from pipeline.serving.keys import check_host
from pipeline.serving.log_config import log_config

if TYPE_CHECKING:
    from types import FrameType

    from fastapi import FastAPI

    from pipeline.serving.prediction_log import PredictionLog
    from pipeline.settings import Settings

CLOSING_SECONDS, FLUSH_SECONDS = 5.0, 3.0
SWITCH_SECONDS = 0.0005
"""How long a thread that predicts or logs may hold the interpreter; Python's default of 5 ms delays requests."""


log = logging.getLogger(__name__)


def run(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM, and finish the requests that were taken.

    It is one process with its own queues, limits, metrics and models. For more, run several behind a load balancer.

    Raises:
        UsageError: if the service would be open to a network without keys.
    """
    check_host(host, settings.api_keys)
    sys.setswitchinterval(SWITCH_SECONDS)
    Server(configure(create_app(settings), settings, host=host, port=port), settings.serve_timeout_seconds).run()


class Server(uvicorn.Server):
    """uvicorn's server, whose end is bounded: work that does not end in time is abandoned.

    On the first signal the prediction log is written, before anything else is waited for. Threads cannot be cancelled,
    and Python waits for them at its end, so the process is ended from outside of them.

    Args:
        config: of uvicorn; its application is one of `create_app`.
        seconds: how long running requests may take; they and what closes after them get `CLOSING_SECONDS` more.
    """

    def __init__(self, config: uvicorn.Config, seconds: float) -> None:
        super().__init__(config)
        self._predictions: PredictionLog = config.app.state.prediction_log  # type: ignore[union-attr]
        self._seconds = seconds
        self._abandon: threading.Timer | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by a signal."""
        self._predictions.hurry()
        if self._abandon is None:
            self._abandon = threading.Timer(self._seconds + CLOSING_SECONDS, self._give_up)
            self._abandon.daemon = True
            self._abandon.start()
        super().handle_exit(sig, frame)

    def _give_up(self) -> None:
        log.error("requests that did not end in time were abandoned")
        # What was predicted since the signal; a lake that does not answer must not keep the process.
        writing = threading.Thread(target=self._predictions.flush, daemon=True)
        writing.start()
        writing.join(FLUSH_SECONDS)
        logging.shutdown()
        os._exit(1)


def configure(app: FastAPI, settings: Settings, **options: Any) -> uvicorn.Config:
    """Return uvicorn's configuration for the service.

    Args:
        app: the application.
        settings: the limits of connections, the time limit of requests, the level of the log.
        options: further arguments of `uvicorn.Config`, such as `host` and `port`.
    """
    seconds = settings.serve_timeout_seconds
    limits = Limits(settings.serve_connections, seconds + SENDING_SECONDS)
    return uvicorn.Config(
        app,
        **{
            "http": protocol_with(limits),
            # Nothing is served over WebSockets.
            "ws": "none",
            "log_config": log_config(settings.log_level),
            "access_log": False,
            "server_header": False,
            # Clients are identified by their keys, so no forwarded address is trusted.
            "proxy_headers": False,
            "timeout_keep_alive": int(IDLE_SECONDS),
            "timeout_graceful_shutdown": int(seconds) + 1,
            **options,
        },
    )
