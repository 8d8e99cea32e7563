"""The service's log: JSON, one object per line."""

from __future__ import annotations

from typing import Any

FIELDS = "%(asctime)s %(levelname)s %(name)s %(message)s"


def log_config(level: str) -> dict[str, Any]:
    """Return what `logging.config.dictConfig` takes, which uvicorn calls.

    Args:
        level: of the pipeline's own lines, such as INFO.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": "pythonjsonlogger.json.JsonFormatter",
                "fmt": FIELDS,
                "rename_fields": {"asctime": "at", "levelname": "level", "name": "logger"},
            }
        },
        "handlers": {"out": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr", "formatter": "json"}},
        "root": {"level": "WARNING", "handlers": ["out"]},
        "loggers": {
            "pipeline": {"level": level},
            "uvicorn": {"level": "INFO"},
            # The service writes its own line per request, with an id and without a payload.
            "uvicorn.access": {"level": "WARNING"},
        },
    }
