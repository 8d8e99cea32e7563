"""What a browser is told of a report page, wherever it is served."""

from __future__ import annotations

from collections.abc import Mapping

HEADERS: Mapping[str, str] = {
    # Pages carry their own style and the data of their pictures; nothing is fetched, from nowhere.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    # A page may be written again; a shared cache must never have one.
    "Cache-Control": "private, no-cache",
}
SCRIPT_CACHE = "private, max-age=86400"
"""Plotly's script is megabytes, and changes only with a release."""
