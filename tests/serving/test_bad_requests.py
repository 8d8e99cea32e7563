"""Bad requests: each is answered with a 4xx that says what to change."""

from __future__ import annotations

import gzip
import json
from datetime import date, timedelta
from typing import Any

import httpx
import pytest

from pipeline.serving.body_limit import MAX_BYTES

JSON = {"Content-Type": "application/json"}
GOOD = {"visitors": 10}
FEATURES = {
    "recency_days": 4.0,
    "invoices": 3.0,
    "revenue": 88.95,
    "cancellation_rate": 0.25,
    "purchase_frequency": 1.8,
    "median_basket_units": 32.0,
}
LINE = {"invoice": "1", "stock_code": "22222", "quantity": 2, "unit_price": 2.5, "invoiced_at": "2025-03-03T10:00:00"}
LINES = {"lines": [LINE], "as_of": "2025-04-01"}
VISITS = {"prices": {"1": 1.5}, "day": "2025-04-01", "visits": [{"day": "2025-03-03", "bought": False}]}


def without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


MANY_VISITS = [{"day": str(date(2015, 1, 1) + timedelta(days=n)), "bought": False} for n in range(2_000)]
# Path, body, status, and a text that the answer must contain.
BODIES: list[tuple[str, Any, int, str]] = [
    ("/footfall", b"", 400, "JSON"),
    ("/footfall", b"{", 400, "JSON"),
    ("/footfall", b"visitors=10", 400, "JSON"),
    ("/footfall", b"\xff\xfe\x00", 400, "JSON"),
    ("/footfall", b'{"rows": [{"visitors": 1}]} {}', 400, "JSON"),
    ("/footfall", b'{"rows": ' * 500, 400, "JSON"),
    ("/footfall", b'{"rows": [{"visitors": 1, "visitors": 2}]}', 400, "twice"),
    ("/footfall", b'{"rows": [{"visitors": 1}], "rows": [{"visitors": 2}]}', 400, "twice"),
    ("/footfall", b'{"rows": [{"visitors": 1, "visitor\\u0073": 2}]}', 400, "twice"),
    ("/footfall", b'{"rows": [{"x": [{"a": 1, "a": 1}]}]}', 400, "twice"),
    ("/footfall", b'{"rows": [{%s}]}' % b",".join(b'"%d": 1' % n for n in range(1_001)), 422, "1000 keys"),
    ("/footfall", b"[%s1]" % (b"1," * 1_000_001), 422, "too many values"),
    ("/footfall", b'{"rows": [%s]}' % (b"9" * 5_000), 400, "JSON"),
    ("/footfall", b"[" * 100_000, 400, "JSON"),
    ("/footfall", '{"rows": []}'.encode("utf-16"), 400, "JSON"),
    ("/footfall", b'"rows"', 422, "object"),
    ("/footfall", b"null", 422, "object"),
    ("/footfall", [GOOD], 422, "object"),
    ("/footfall", {}, 422, "rows"),
    ("/footfall", {"rows": None}, 422, "rows"),
    ("/footfall", {"rows": {}}, 422, "rows"),
    ("/footfall", {"rows": []}, 422, "at least one"),
    ("/footfall", {"rows": [GOOD] * 10_001}, 422, "10000"),
    ("/footfall", {"rows": [GOOD], "row": 1}, 422, "row"),
    ("/footfall", {"rows": [5]}, 422, "rows.0"),
    ("/footfall", {"rows": [{}]}, 422, "rows.0.visitors"),
    ("/footfall", {"rows": [GOOD, {"visitor": 5}]}, 422, "rows.1.visitors"),
    ("/footfall", {"rows": [GOOD | {"day": "2025-01-01"}]}, 422, "rows.0.day"),
    ("/footfall", {"rows": [{"visitors": "10"}]}, 422, "without quotes"),
    ("/footfall", {"rows": [{"visitors": True}]}, 422, "number"),
    ("/footfall", {"rows": [{"visitors": None}]}, 422, "number"),
    ("/footfall", {"rows": [{"visitors": [10]}]}, 422, "number"),
    ("/footfall", {"rows": [{"visitors": -1}]}, 422, "ge: 0"),
    ("/footfall", {"rows": [{"visitors": 1e300}]}, 422, "le: "),
    ("/footfall", b'{"rows": [{"visitors": NaN}]}', 422, "finite"),
    ("/footfall", b'{"rows": [{"visitors": Infinity}]}', 422, "finite"),
    ("/footfall", b'{"rows": [{"visitors": 1e999}]}', 422, "finite"),
    ("/predict", {"rows": [{"store": 1}]}, 422, "rows.0.day"),
    ("/predict", {"rows": [{"store": "1", "day": "2024-07-03"}]}, 422, "without quotes"),
    ("/predict", {"rows": [{"store": 1.5, "day": "2024-07-03"}]}, 422, "whole number"),
    ("/predict", {"rows": [{"store": -1, "day": "2024-07-03"}]}, 422, "ge: 0"),
    ("/predict", {"rows": [{"store": 1, "day": "3.7.2024"}]}, 422, "2025-01-31"),
    ("/predict", {"rows": [{"store": 1, "day": "2024-07-03", "promo": 1}]}, 422, "true or false"),
    ("/predict", {"rows": [{"store": 1, "day": "2024-07-03", "state_holiday": "a"}]}, 422, "easter"),
    ("/segments", {"rows": [{}]}, 422, "either features or lines"),
    ("/segments", {"rows": [{"features": FEATURES, **LINES}]}, 422, "either features or lines"),
    ("/segments", {"rows": [{"features": without(FEATURES, "revenue")}]}, 422, "rows.0.features.revenue"),
    ("/segments", {"rows": [{"features": FEATURES | {"age": 5}}]}, 422, "rows.0.features.age"),
    ("/segments", {"rows": [{"features": FEATURES | {"revenue": "much"}}]}, 422, "number"),
    ("/segments", {"rows": [{"features": FEATURES, "as_of": "2025-04-01"}]}, 422, "as_of goes with lines"),
    ("/segments", {"rows": [without(LINES, "as_of")]}, 422, "as_of goes with lines"),
    ("/segments", {"rows": [LINES | {"lines": []}]}, 422, "at least one"),
    ("/segments", {"rows": [LINES | {"as_of": "01.04.2025"}]}, 422, "2025-01-31"),
    ("/segments", {"rows": [LINES | {"as_of": 20250401}]}, 422, "2025-01-31"),
    ("/segments", {"rows": [LINES | {"as_of": "2025-02-30"}]}, 422, "2025-01-31"),
    ("/segments", {"rows": [LINES | {"as_of": "9999-01-01"}]}, 422, "2200"),
    ("/segments", {"rows": [LINES | {"lines": [LINE | {"quantity": 1.5}]}]}, 422, "rows.0.lines.0.quantity"),
    ("/segments", {"rows": [LINES | {"lines": [LINE | {"invoice": ""}]}]}, 422, "rows.0.lines.0.invoice"),
    (
        "/segments",
        {"rows": [LINES | {"lines": [LINE | {"invoiced_at": "2025-03-03T10:00:00Z"}]}]},
        422,
        "without a time zone",
    ),
    ("/shoppers/purchase", {"rows": [without(VISITS, "prices")]}, 422, "rows.0.prices"),
    ("/shoppers/purchase", {"rows": [VISITS | {"prices": {}}]}, 422, "at least one"),
    ("/shoppers/purchase", {"rows": [VISITS | {"prices": {"1": 0}}]}, 422, "gt: 0"),
    ("/shoppers/purchase", {"rows": [VISITS | {"prices": {"1": "1.5"}}]}, 422, "without quotes"),
    ("/shoppers/purchase", {"rows": [VISITS | {"promotions": {"1": 1}}]}, 422, "true or false"),
    ("/shoppers/purchase", {"rows": [without(VISITS, "visits")]}, 422, "either state or visits"),
    ("/shoppers/purchase", {"rows": [without(VISITS, "day")]}, 422, "day goes with visits"),
    ("/shoppers/purchase", {"rows": [VISITS | {"visits": VISITS["visits"] * 2}]}, 422, "one visit a day"),
    ("/shoppers/purchase", {"rows": [VISITS | {"person": {"shoe_size": 44}}]}, 422, "rows.0.person.shoe_size"),
    ("/shoppers/purchase", {"rows": [{"prices": {"1": 1.5}, "state": {}}]}, 422, "rows.0.state.purchase_rate"),
    (
        "/shoppers/purchase",
        {"rows": [VISITS | {"visits": [{"day": "1950-03-03", "bought": False}]}]},
        422,
        "more than 50 years",
    ),
    # A body of more than 16 kB is refused at its first row with a fault.
    ("/footfall", {"rows": [{"visitors": "x", "y": 1}] * 2_000}, 422, "up to the first row"),
    ("/shoppers/purchase", {"rows": [VISITS | {"visits": [{}] * 10_000}]}, 422, "up to the first row"),
    ("/segments", {"rows": [LINES | {"lines": [LINE] * 6_000}] * 9}, 422, "50000 invoice lines"),
    ("/shoppers/purchase", {"rows": [VISITS | {"visits": MANY_VISITS}] * 26}, 422, "50000 people and visits"),
]


@pytest.mark.parametrize(("path", "body", "status", "expected"), BODIES, ids=range(len(BODIES)))
def test_a_bad_body(client: httpx.Client, path: str, body: Any, status: int, expected: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    check_problem(client.post(path, content=content, headers=JSON), status, expected)


@pytest.mark.parametrize(
    ("method", "path", "headers", "content", "status", "expected"),
    [
        ("GET", "/footfall", {}, b"", 405, "POST"),
        ("PUT", "/footfall", JSON, b"{}", 405, "POST"),
        ("POST", "/model", JSON, b"{}", 405, "GET"),
        ("POST", "/footfall/", JSON, b"{}", 404, "/docs"),
        ("GET", "/model/nothing", {}, b"", 404, "store_sales"),
        ("GET", "/assets/..%2fapp.py", {}, b"", 404, "/docs"),
        ("GET", "/assets/app.py", {}, b"", 404, "no such page"),
        ("POST", "/footfall", {}, b"{}", 415, "Content-Type: application/json"),
        ("POST", "/footfall", {"Content-Type": "text/plain"}, b"{}", 415, "application/json"),
        ("POST", "/footfall", {"Content-Type": "application/x-www-form-urlencoded"}, b"a=1", 415, "application/json"),
        ("POST", "/footfall", JSON | {"Content-Encoding": "gzip"}, gzip.compress(b"{}", mtime=0), 400, "JSON"),
        ("POST", "/footfall", JSON, b" " * (MAX_BYTES + 1), 413, str(MAX_BYTES)),
    ],
)
def test_a_bad_address_or_header(
    client: httpx.Client, method: str, path: str, headers: dict[str, str], content: bytes, status: int, expected: str
) -> None:
    check_problem(client.request(method, path, headers=headers, content=content), status, expected)


def test_a_body_that_does_not_announce_its_size_is_cut_off(client: httpx.Client) -> None:
    pieces = (b" " * 1_000_000 for _ in range(12))
    check_problem(client.post("/footfall", content=pieces, headers=JSON), 413, str(MAX_BYTES))


def check_problem(answer: httpx.Response, status: int, expected: str) -> None:
    """The answer is a problem that says what to do and carries the request id."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert expected in answer.text, answer.text
    assert problem["status"] == status
    assert problem["todo"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    for fault in problem["faults"]:
        assert fault["what"]
        assert len(fault["observed"]) <= 100


def test_all_faults_are_counted_and_the_first_twenty_listed(client: httpx.Client) -> None:
    problem = client.post("/footfall", json={"rows": [{"visitors": "x", "y": 1}] * 100}).json()
    assert problem["observed"] == "200 faults"
    assert len(problem["faults"]) == 20
