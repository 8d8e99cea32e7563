"""Pages for people: the start page at `/`, the API page at `/docs`, and the report pages."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from importlib import resources

from fastapi import APIRouter, Response
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import RedirectResponse

from pipeline.lake.tables import Lake
from pipeline.reports.headers import HEADERS as REPORT_HEADERS
from pipeline.reports.headers import headers_of
from pipeline.reports.index import index_page, read_file
from pipeline.serving.errors import ProblemError
from pipeline.serving.openapi import COMMON, problems

SCRIPTS = ("api.js", "chart.js", "customers.js", "footfall.js", "page.js", "shelf.js", "stores.js")
ASSETS: Mapping[str, str] = {
    **dict.fromkeys(SCRIPTS, "text/javascript; charset=utf-8"),
    "page.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""Files of the start page and their content types."""
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "private, no-cache",
}
STATIC = "/static-offline-docs"
"""The path at which FastAPIOffline serves the files of Swagger UI."""
DOCS_HEADERS = {
    # Swagger UI needs its inline script and the styles that it sets.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "private, no-cache",
}


def router(lake: Lake) -> APIRouter:
    """The routes of the pages."""
    routes = APIRouter(tags=["pages"])
    folder = resources.files("pipeline.serving") / "page"

    @routes.get("/docs", include_in_schema=False)
    def docs() -> Response:
        page = get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Aisle · API",
            swagger_js_url=f"{STATIC}/swagger-ui-bundle.js",
            swagger_css_url=f"{STATIC}/swagger-ui.css",
            swagger_favicon_url="/assets/icon.svg",
        )
        page.headers.update(DOCS_HEADERS)
        return page

    @routes.get("/", include_in_schema=False)
    def page() -> Response:
        return Response((folder / "index.html").read_bytes(), media_type="text/html", headers=PAGE_HEADERS)

    @routes.get("/assets/{name}", include_in_schema=False)
    def asset(name: str) -> Response:
        if name not in ASSETS:
            raise _missing(name)
        return Response((folder / name).read_bytes(), headers={"content-type": ASSETS[name], **PAGE_HEADERS})

    @routes.get("/reports", include_in_schema=False)
    def reports() -> Response:
        return RedirectResponse("/reports/")

    @routes.get(
        "/reports/{path:path}",
        summary="The report pages",
        response_class=Response,
        responses={
            200: {"description": "A page, or a list of pages", "content": {"text/html": {}}},
            **problems(*COMMON, HTTPStatus.NOT_FOUND),
        },
    )
    def report(path: str) -> Response:
        if not path or path.endswith("/"):
            return Response(index_page(lake, path.strip("/")), media_type="text/html", headers=REPORT_HEADERS)
        file = read_file(lake, path)
        if file is None:
            raise _missing(path)
        content, content_type = file
        return Response(content, headers={"content-type": content_type, **headers_of(path)})

    return routes


def _missing(path: str) -> ProblemError:
    return ProblemError(
        HTTPStatus.NOT_FOUND,
        "There is no such page",
        where="path",
        observed=path,
        todo="/reports/ lists the report pages",
    )
