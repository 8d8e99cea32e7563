"""A real browser without a window, for tests of what pages do."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from pipeline.reports.headers import headers_of

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--mute-audio"),
)
MESSAGE = "ran"
# Without quotes and blanks, because JSON would put a backslash before a quote.
_RUN = f"onload=parent.postMessage('{MESSAGE}','*')"
PLANTED = f"</script><svg {_RUN}>\"'><svg {_RUN}><script>{_RUN[7:]}</script>"
"""Text that tells the page around its own page if a browser runs it, in a script, an element or an attribute."""
FRAMES = """<!DOCTYPE html><body data-loaded="0" data-heard=""><script>
addEventListener("message", event => { document.body.dataset.heard += event.data + "; " })
for (const path of PATHS) {
  const frame = document.createElement("iframe")
  frame.onload = () => { document.body.dataset.loaded = 1 + Number(document.body.dataset.loaded) }
  frame.src = path
  document.body.append(frame)
}
</script></body>"""


def browser() -> str:
    """The path of a browser. Without one the test is skipped, but not in CI, whose machines have Chrome."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        reason = f"no browser: none of {', '.join(NAMES)} is installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def document(url: str, milliseconds: int | None = 10_000) -> str:
    """The document at an address after its scripts have run, as HTML.

    Args:
        url: the address.
        milliseconds: how long it is waited, by a clock of the browser that stands still while it works. None: until
            the page is loaded, by the real clock.
    """
    waiting = [] if milliseconds is None else [f"--virtual-time-budget={milliseconds}"]
    path = browser()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        done = subprocess.run(
            [path, *FLAGS, f"--user-data-dir={profile}", *waiting, "--dump-dom", url],
            capture_output=True,
            check=True,
            timeout=300,
        )
    return done.stdout.decode()


@contextmanager
def served(reports: Path, extra: Mapping[str, str], inserted: str = "") -> Iterator[str]:
    """Serve a folder of reports with the headers that the service and the plugin send, and further pages without.

    Args:
        reports: the folder.
        extra: the further pages: path -> content.
        inserted: HTML that is inserted at the beginning of each report.

    Yields:
        The address.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = unquote(urlsplit(self.path).path.lstrip("/"))
            content = extra[name].encode() if name in extra else None
            if content is None and (reports / name).is_file():
                content = (reports / name).read_bytes().replace(b"<head>", b"<head>" + inserted.encode(), 1)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Type", "text/javascript" if name.endswith(".js") else "text/html; charset=utf-8")
            for header, value in {} if name in extra else headers_of(name).items():
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def opened_together(reports: Path, paths: list[str], more: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Open pages in frames of one page.

    Returns:
        How many were loaded, and what planted text said that ran.
    """
    frames = FRAMES.replace("PATHS", repr(paths))
    with served(reports, {**(more or {}), "frames": frames}) as address:
        body = document(f"{address}/frames").split("<body", 1)[1].split(">", 1)[0]
    values = dict(part.split('="', 1) for part in body.strip().removesuffix('"').split('" '))
    return int(values["data-loaded"]), values["data-heard"]
