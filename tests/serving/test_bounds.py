"""What a request may cost: it is bounded before the work is done, and health answers meanwhile."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

import httpx
import pytest

from pipeline.lake.query import CompiledQuery
from pipeline.serving import body, body_limit
from pipeline.settings import Settings
from tests.serving.helpers import HANG_SECONDS, until
from tests.serving.stub import PATH, WAITS, NumberPredictor, stub_service

JSON = {"Content-Type": "application/json"}
PURCHASE, SEGMENTS = "/shoppers/purchase", "/segments"
LARGE = json.dumps({"rows": [{"number": 5}] * 2_000}).encode()
"""More than the event loop reads itself."""


def answers(client: httpx.Client, path: str, rows: Sequence[Any]) -> list[dict[str, Any]]:
    answer = client.post(path, json={"rows": rows})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["answers"]
    return found


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happened to compiled queries: `compiled` and `run`."""
    seen: list[str] = []
    for name, what in (("__init__", "compiled"), ("__call__", "run")):
        monkeypatch.setattr(CompiledQuery, name, _noting(getattr(CompiledQuery, name), seen, what))
    return seen


def _noting(function: Callable[..., Any], seen: list[str], what: str) -> Callable[..., Any]:
    def note(*args: Any, **kwargs: Any) -> Any:
        seen.append(what)
        return function(*args, **kwargs)

    return note


def test_an_unknown_brand_is_refused_in_its_row(client: httpx.Client, examples: dict[str, dict[str, Any]]) -> None:
    sound = examples[PURCHASE]["rows"][0]
    foreign = sound | {"prices": sound["prices"] | {f"brand {n}": 1.0 for n in range(100)}}
    first, second, third = answers(client, PURCHASE, [sound, foreign, sound | {"prices": {"none": 1.0}}])
    assert first["purchase_probability"] > 0
    for refused in (second, third):
        assert refused["error"]["what"] == "The models do not know these brands"
        assert set(refused["error"]["allowed"].split(", ")) == set(sound["prices"])
    assert second["error"]["observed"].count("brand") == 5


def test_rows_of_one_caller_add_no_columns_for_others(
    client: httpx.Client, examples: dict[str, dict[str, Any]]
) -> None:
    """What the models do not use is no column, wherever a request says it."""
    sound = examples[PURCHASE]["rows"][0]
    names = {f"brand {n}": 1.0 for n in range(200)}
    state = sound["state"] | {"brand_purchases": names, "brand_units": names, "last_brand": "brand 7"}
    widths: list[int] = []
    from pipeline.shoppers import endpoint

    with pytest.MonkeyPatch.context() as patch:
        shelf = endpoint.with_mean_shelf
        patch.setattr(endpoint, "with_mean_shelf", lambda frame: widths.append(frame.shape[1]) or shelf(frame))
        answers(client, PURCHASE, [sound])
        answers(client, PURCHASE, [sound | {"state": state, "promotions": dict.fromkeys(names, True)}] * 50)
    assert widths[0] == widths[1]


@pytest.mark.parametrize(
    ("path", "row", "most"),
    [
        (PURCHASE, {"prices": {"1": 1.5}, "visits": [{"day": "1995-03-03", "bought": False}]}, 1),
        (
            SEGMENTS,
            {
                "lines": [
                    {
                        "invoice": "1",
                        "stock_code": "22222",
                        "quantity": 2,
                        "unit_price": 2.5,
                        "invoiced_at": "1995-03-03T10:00:00",
                    }
                ]
            },
            8,
        ),
    ],
    ids=["purchase", "segments"],
)
def test_many_days_are_few_queries(
    client: httpx.Client, queries: list[str], path: str, row: dict[str, Any], most: int
) -> None:
    """One query serves all days; of segments it is one a weekday, and one that assigns."""
    day = "as_of" if path == SEGMENTS else "day"
    days = [date(1995, 3, 4) + timedelta(days=n) for n in range(300)]
    found = answers(client, path, [row | {day: str(one)} for one in days])
    assert all("error" not in one for one in found)
    assert queries.count("run") <= most
    queries.clear()
    answers(client, path, [row | {day: str(one + timedelta(days=301))} for one in days[:14]])
    assert queries.count("compiled") == 0


def test_the_day_to_which_rows_are_moved_changes_nothing(client: httpx.Client) -> None:
    """Two years of days, leap day and turn of the year among them, at the same distances in each row."""

    def customer(as_of: date) -> dict[str, Any]:
        lines = [(1, 9, 2), (40, 17, 1), (41, 9, 3), (300, 9, -1), (364, 23, 1), (365, 0, 5), (366, 0, 9), (0, 1, 9)]
        return {
            "as_of": str(as_of),
            "lines": [
                {
                    "invoice": str(n),
                    "stock_code": f"2222{n}",
                    "quantity": quantity,
                    "unit_price": 2.5,
                    "invoiced_at": f"{as_of - timedelta(days=days)}T{hour:02d}:00:00",
                }
                for n, (days, hour, quantity) in enumerate(lines)
            ],
        }

    def shopper(day: date) -> dict[str, Any]:
        visits = [(1, "1"), (8, None), (9, "2"), (33, "1"), (400, "1"), (0, "2")]
        return {
            "prices": {"1": 1.5, "2": 1.6, "3": 2.0},
            "day": str(day),
            "visits": [
                {"day": str(day - timedelta(days=ago)), "bought": brand is not None, "brand": brand, "quantity": 2}
                for ago, brand in visits
            ],
        }

    days = [date(2023, 12, 1) + timedelta(days=7 * n) for n in range(100)]
    for path, row in ((SEGMENTS, customer), (PURCHASE, shopper)):
        found = answers(client, path, [row(day) for day in days])
        assert "error" not in found[0]
        assert all(one == found[0] for one in found)


def test_health_answers_while_a_body_is_read(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, go = threading.Event(), threading.Event()
    check = body.check_structure

    def slow(content: bytes) -> None:
        if len(content) > body.SMALL_BYTES:
            reading.set()
            go.wait(HANG_SECONDS)
        check(content)

    monkeypatch.setattr(body, "check_structure", slow)
    with stub_service(empty) as client:
        sender = threading.Thread(target=client.post, args=(PATH,), kwargs={"content": LARGE, "headers": JSON})
        sender.start()
        try:
            assert reading.wait(HANG_SECONDS)
            assert client.get("/health/ready").status_code == 200
            assert client.post(PATH, json={"rows": [{"number": 5}]}).status_code == 200
        finally:
            go.set()
            sender.join(HANG_SECONDS)


def test_health_answers_while_every_thread_is_busy(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are read by threads, of which there are forty."""
    go, busy = threading.Event(), threading.Semaphore(0)

    def hang(*_: Any) -> str:
        busy.release()
        go.wait(HANG_SECONDS)
        return "a page"

    monkeypatch.setattr("pipeline.serving.pages.index_page", hang)
    with stub_service(empty) as client:
        readers = [threading.Thread(target=client.get, args=("/reports/",)) for _ in range(50)]
        for reader in readers:
            reader.start()
        try:
            for _ in range(40):
                assert busy.acquire(timeout=HANG_SECONDS)
            for path in ("/health/live", "/health/ready", "/model"):
                assert client.get(path).status_code == 200
            assert client.post(PATH, content=LARGE, headers=JSON).status_code == 200
        finally:
            go.set()
            for reader in readers:
                reader.join(HANG_SECONDS)


def test_a_request_that_timed_out_costs_nothing_more(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three that wait for the thread that reads bodies, only the first, which runs, is read."""
    go = threading.Event()
    read: list[int] = []
    check = body.check_structure

    def slow(content: bytes) -> None:
        if len(content) > body.SMALL_BYTES:
            read.append(len(content))
            go.wait(HANG_SECONDS)
        check(content)

    monkeypatch.setattr(body, "check_structure", slow)
    with stub_service(empty, serve_timeout_seconds=0.3) as client:
        senders = [
            threading.Thread(target=client.post, args=(PATH,), kwargs={"content": LARGE + b" " * n, "headers": JSON})
            for n in range(3)
        ]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(HANG_SECONDS)
        go.set()
        until(lambda: client.post(PATH, content=LARGE + b" " * 9, headers=JSON).status_code == 200)
    assert sum(size < len(LARGE) + 9 for size in read) == 1


def test_bodies_of_all_requests_together_are_bounded(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "MAX_TOTAL_BYTES", 150_000)
    waiting = json.dumps({"rows": [{"number": WAITS}]}).encode().ljust(200_000)
    with stub_service(empty) as client:
        sender = threading.Thread(target=client.post, args=(PATH,), kwargs={"content": waiting, "headers": JSON})
        sender.start()
        try:
            until(lambda: "aisle_requests_waiting" in client.get("/metrics").text and _waits(client))
            refused = client.post(PATH, content=LARGE.ljust(100_000), headers=JSON)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            # A small one passes, and waits for its turn.
            assert client.get("/model").status_code == 200
        finally:
            NumberPredictor.go.set()
            sender.join(HANG_SECONDS)
        assert client.post(PATH, content=LARGE.ljust(100_000), headers=JSON).status_code == 200


def _waits(client: httpx.Client) -> bool:
    return 'aisle_requests_waiting{model="numbers"} 1.0' in client.get("/metrics").text
