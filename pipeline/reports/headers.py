"""HTTP headers of report pages, wherever they are served."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

DISTRIBUTIONS = "distributions"
"""The folder of pages that another library draws, below a model's drift pages."""
HEADERS: Mapping[str, str] = {
    # Pages contain their own style and the data of their charts; the browser may load only the scripts beside them.
    # Plotly draws a chart as a blob to turn it into a picture.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    # A page may be written again, and is not public.
    "Cache-Control": "private, no-cache",
}
_SANDBOX = "; sandbox allow-scripts allow-popups allow-popups-to-escape-sandbox"
"""The scripts of such a page run in an origin of their own: they reach neither Airflow nor the service, whatever text
of a delivery they draw. Its link back opens as a page outside of the sandbox."""
_ASSETS = "assets"
"""The folder of scripts that change only with a release, of which Plotly's has megabytes."""


def headers_of(path: str) -> Mapping[str, str]:
    """The headers of a file below `reports/`."""
    parts = PurePosixPath(path).parts
    if parts[:1] == (_ASSETS,):
        return {**HEADERS, "Cache-Control": "private, max-age=86400"}
    if DISTRIBUTIONS not in parts:
        return HEADERS
    name = "Content-Security-Policy"
    return {**HEADERS, name: HEADERS[name] + _SANDBOX}
