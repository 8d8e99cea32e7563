"""Aisle's reports inside the Airflow UI: an entry in the navigation, and a tab on each DAG.

The pages are read from `reports/` below AISLE_HOME, a folder or a bucket. Airflow does not authenticate requests to a
plugin, so this plugin does, by Airflow's own means: a user who may see DAGs may see their reports.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from fastapi import FastAPI

PREFIX = "/aisle"


def folder_of(dag_id: str) -> str:
    """The folder of a DAG's pages, below `reports/`."""
    for prefix, folder in (("ingest_", "validation"), ("train_", "drift")):
        if dag_id.startswith(prefix):
            return f"{folder}/{dag_id.removeprefix(prefix)}"
    return "drift" if dag_id == "watch" else dag_id


def make_app() -> "FastAPI":
    """Make the web application. Its imports are here, so that only the API server loads them."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.core_api.security import GetUserDep
    from fastapi import Depends, FastAPI, HTTPException, Request, status
    from fastapi.responses import RedirectResponse, Response
    from starlette.middleware.base import RequestResponseEndpoint

    from pipeline.lake.tables import Lake
    from pipeline.reports.headers import HEADERS, headers_of
    from pipeline.reports.index import index_page, missing_page, read_file
    from pipeline.settings import load_settings

    # Not string annotations: FastAPI would look up their names in the module.
    def may_read(user: GetUserDep) -> None:
        # For DAGs in general, so that the answer does not depend on the DAG that a request names.
        if not get_auth_manager().is_authorized_dag(method="GET", user=user):
            raise HTTPException(status.HTTP_403_FORBIDDEN, "Forbidden")

    app = FastAPI(dependencies=[Depends(may_read)], openapi_url=None)

    @app.middleware("http")
    async def secure(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.get("/dag/{dag_id}")
    def of_dag(dag_id: str) -> Response:
        return RedirectResponse(f"../{quote(folder_of(dag_id))}/")

    @app.get("/{path:path}")
    def page(path: str) -> Response:
        lake = Lake(load_settings())
        if not path or path.endswith("/"):
            return Response(index_page(lake, path.strip("/")), media_type="text/html")
        file = read_file(lake, path)
        if file is None:
            return Response(missing_page(), status.HTTP_404_NOT_FOUND, media_type="text/html")
        content, kind = file
        return Response(content, media_type=kind, headers=dict(headers_of(path)))

    return app


class AisleReports(AirflowPlugin):
    """The plugin that Airflow registers."""

    name = "aisle_reports"
    # Relative addresses, because Airflow may be served below a path.
    external_views = [  # noqa: RUF012 - the base class declares it so
        {
            "name": "Reports",
            "href": f"{PREFIX[1:]}/",
            "url_route": "aisle",
            "destination": "nav",
            "nav_top_level": True,
        },
        {
            "name": "Reports",
            "href": f"{PREFIX[1:]}/dag/{{DAG_ID}}",
            "url_route": "aisle-dag",
            "destination": "dag",
        },
    ]

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The web application. Only the API server reads it, and only then is it imported."""
        return [{"app": make_app(), "url_prefix": PREFIX, "name": "Aisle's reports"}]
