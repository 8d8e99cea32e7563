"""Paths that several layers of the service must know."""

from __future__ import annotations

HEALTH = ("/health/live", "/health/ready")


def is_health(path: str) -> bool:
    """Whether a path is a health check, which needs no key and is always answered."""
    return path in HEALTH
