"""Addresses of MLflow's own pages, for links from report pages."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from pipeline.settings import Settings


def version_address(settings: Settings, model: str, version: int) -> str | None:
    """Return the address of a registered version in MLflow; None if no address is configured."""
    if not settings.mlflow_url:
        return None
    return f"{settings.mlflow_url.rstrip('/')}/#/models/{quote(model)}/versions/{version}"
