"""The service conforms to its OpenAPI description; schemathesis generates the requests."""

from __future__ import annotations

import re
from typing import Any

import httpx
import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)


def test_examples_work_when_pasted(client: httpx.Client, examples: dict[str, dict[str, Any]]) -> None:
    assert set(examples) == {
        "/predict",
        "/stores",
        "/segments",
        "/recommendations",
        "/customers",
        "/shoppers/purchase",
        "/shoppers/shelf",
        "/footfall",
    }
    for path, body in examples.items():
        answer = client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        assert all("error" not in one for one in answer.json()["answers"])


def test_docs_open_without_a_network(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert "https://" not in page.text
    # Swagger UI's own script and the one that starts it.
    assert "script-src 'self' 'unsafe-inline'" in page.headers["content-security-policy"]
    for asset in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert client.get(asset).status_code == 200


def operations(client: httpx.Client) -> list[tuple[str, str]]:
    paths = client.get("/openapi.json").json()["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


def test_everything_is_described(client: httpx.Client) -> None:
    assert set(operations(client)) == {
        ("POST", "/predict"),
        ("POST", "/stores"),
        ("GET", "/stores/{value}"),
        ("POST", "/segments"),
        ("POST", "/recommendations"),
        ("POST", "/customers"),
        ("GET", "/customers/{value}"),
        ("POST", "/shoppers/purchase"),
        ("POST", "/shoppers/shelf"),
        ("POST", "/footfall"),
        ("GET", "/model"),
        ("GET", "/model/{name}"),
        ("POST", "/reload"),
        ("GET", "/health/live"),
        ("GET", "/health/ready"),
        ("GET", "/metrics"),
        ("GET", "/reports/{path}"),
    }


@pytest.mark.filterwarnings("ignore")
def test_no_response_is_a_5xx_or_undocumented(client: httpx.Client) -> None:
    schema = schemathesis.openapi.from_url(str(client.base_url.join("/openapi.json")))
    sent = 0
    for found in schema.get_all_operations():
        operation: Any = found.ok()

        @hypothesis.given(case=operation.as_strategy())
        @hypothesis.settings(
            max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
        )
        def check(case: Any) -> None:
            nonlocal sent
            sent += 1
            case.call_and_validate(
                checks=[
                    not_a_server_error,
                    status_code_conformance,
                    content_type_conformance,
                    response_schema_conformance,
                ]
            )

        check()
    assert sent > 100
