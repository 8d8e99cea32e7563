"""HTTP headers of report pages, wherever they are served."""

from __future__ import annotations

from collections.abc import Mapping

HEADERS: Mapping[str, str] = {
    # Pages contain their own style and the data of their charts, so the browser may load nothing else.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    # A page may be written again, and is not public.
    "Cache-Control": "private, no-cache",
}
SCRIPT_CACHE = "private, max-age=86400"
"""The cache control of Plotly's script, which has megabytes and changes only with a release."""
