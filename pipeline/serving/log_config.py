"""The service's log: JSON, one object per line."""

from __future__ import annotations

from typing import Any

from pythonjsonlogger.json import JsonFormatter

from pipeline.redaction import redact

FIELDS = "%(asctime)s %(levelname)s %(name)s %(message)s"


class RedactingJsonFormatter(JsonFormatter):
    """Writes a record as JSON without the passwords of addresses, also those of libraries' lines and tracebacks."""

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """The fields of the line."""
        return {name: _redacted(value) for name, value in super().process_log_record(log_data).items()}


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    return {name: _redacted(part) for name, part in value.items()} if isinstance(value, dict) else value


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
                "()": RedactingJsonFormatter,
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
