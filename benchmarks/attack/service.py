"""Attacks on the prediction service, which runs in a process of its own: the worst that is known of each route.

Held means: an answer that is no failure, at most two seconds of the server's processor time and 200 MB more than before
(all that the request leaves behind included, such as the prediction log), and health checks that are answered within a
second all the while.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import psutil

from benchmarks.attack.outcome import Outcome
from pipeline.endpoints import MAX_ITEMS
from pipeline.lake.tables import Lake
from pipeline.registry.client import Registry
from pipeline.settings import Settings
from pipeline.stores.store_endpoint import HORIZON, RECENT_DAYS
from tests.serving.shop import shop_settings, train

SECONDS, MEGABYTES, HEALTH_SECONDS = 2.0, 200.0, 1.0
BYTES = 8_000_000
JSON = {"Content-Type": "application/json"}
IDLE_SECONDS = 0.3
"""A server that uses no processor for this long has done all that a request has caused."""


@dataclass(frozen=True)
class Server:
    """The service under attack."""

    port: int
    process: psutil.Process

    def send(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> int:
        """The status of an answer; 0 if the connection was closed without one."""
        wire = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            wire.request(method, path, body, JSON | (headers or {}))
            answer = wire.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            wire.close()

    def health(self) -> float:
        """Seconds until a health check is answered with 200; infinite if it is not."""
        began = time.perf_counter()
        return time.perf_counter() - began if self.send("GET", "/health/live") == 200 else float("inf")

    def measured(self, work: Callable[[], str]) -> tuple[str, float, float, float]:
        """The result of some work, the server's processor seconds and megabytes, and the slowest health check."""
        self._wait_until_idle()
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        before, seconds = self.process.memory_info().rss, self._seconds()
        done, slowest = threading.Event(), [0.0]

        def watch() -> None:
            while not done.wait(0.05):
                slowest.append(self.health())

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            result = work()
        finally:
            self._wait_until_idle()
            done.set()
            watching.join()
        peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())
        assert peak
        return result, self._seconds() - seconds, (int(peak[1]) * 1024 - before) / 1e6, max(slowest)

    def _seconds(self) -> float:
        times = self.process.cpu_times()
        return times.user + times.system

    def _wait_until_idle(self) -> None:
        before = -1.0
        # Health checks themselves take a little.
        while self._seconds() - before > 0.05:
            before = self._seconds()
            time.sleep(IDLE_SECONDS)


def attacks() -> Iterator[Outcome]:
    """Attack each route with the worst requests, then the connections, then the end of the process."""
    with tempfile.TemporaryDirectory(prefix="aisle-attack-") as folder:
        settings = shop_settings(Path(folder)).model_copy(update={"serve_timeout_seconds": 10.0})
        Registry(Settings(home=f"{folder}/empty")).models()
        train(settings, Path(folder) / "empty" / "mlflow.db")
        with serving(settings) as server:
            for path, name, body in requests(settings):
                yield _judge(
                    server, f"{path}, {name}", lambda path=path, body=body: str(server.send("POST", path, body))
                )
            yield from _other_requests(server)
            yield from _connections(server)
        yield from _end(settings)


@contextmanager
def serving(settings: Settings) -> Iterator[Server]:
    """Run the service with the limits that it has by default."""
    variables = {"HOME": settings.home, "SOURCES": str(settings.sources), "SERVE_LOG_SECONDS": "0.5"}
    started = subprocess.Popen(
        [sys.executable, "-c", "from pipeline.cli.app import main; main()", "serve", "--port", "0"],
        env={**os.environ, **{f"AISLE_{name}": value for name, value in variables.items()}},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stderr is not None
    try:
        port = next(int(found[1]) for line in started.stderr if (found := re.search(r"127\.0\.0\.1:(\d+)", line)))
        threading.Thread(target=started.stderr.read, daemon=True).start()
        server = Server(port, psutil.Process(started.pid))
        while server.send("GET", "/health/ready") != 200:
            time.sleep(0.2)
        yield server
    finally:
        started.kill()
        started.wait()


def _judge(
    server: Server, name: str, work: Callable[[], str], good: str = "200 400 404 413 415 422 429 431 503"
) -> Outcome:
    result, seconds, megabytes, health = server.measured(work)
    held = result in good.split() and seconds <= SECONDS and megabytes <= MEGABYTES and health <= HEALTH_SECONDS
    return Outcome(name, held, f"{result}, {seconds:.2f} s, {megabytes:.0f} MB, health in {health * 1000:.0f} ms")


def _filled(item: str, most: int = 10**9, start: str = '{"rows":[', end: str = "]}") -> bytes:
    """A body of as many of an item as eight megabytes hold."""
    count = min(most, (BYTES - len(start) - len(end)) // (len(item) + 1))
    return (start + ",".join([item] * count) + end).encode()


def requests(settings: Settings) -> Iterator[tuple[str, str, bytes]]:
    """Path, what it is, and body of the worst requests."""
    for path in ("/predict", "/segments", "/shoppers/purchase", "/footfall"):
        yield path, "empty rows", _filled("{}")
        yield path, "10,000 empty rows", _filled("{}", 10_000)
        yield path, "a row of unknown keys", _filled_keys('{"rows":[{', "}]}")
        yield path, "rows of unknown keys", _filled("{" + ",".join(f'"k{n}":1' for n in range(900)) + "}")
        yield path, "nested lists", b"[" * BYTES
        yield path, "nested rows", b'{"rows":' * (BYTES // 8)
        yield path, "numbers", _filled("1")
        yield path, "texts", _filled('"aa"')
        yield path, "empty lists", _filled("[]", 999_999)
        yield path, "a long number", b'{"rows":[' + b"9" * (BYTES - 20) + b"]}"
        yield path, "a long text", b'{"rows":["' + b"\\u0000" * (BYTES // 6 - 20) + b'"]}'
        yield path, "repeated keys", _filled('"a":1', start="{", end="}")
        yield path, "spaces", b" " * BYTES
        yield path, "more than the limit", b" " * (BYTES + 1)
    for path in ("/recommendations", "/customers", "/stores", "/shoppers/shelf"):
        yield path, "empty rows", _filled("{}")
        yield path, "rows of unknown keys", _filled("{" + ",".join(f'"k{n}":1' for n in range(900)) + "}")
        yield path, "nested lists", b"[" * BYTES
        yield path, "a long text", b'{"rows":[{"customer":"' + b"\\u0000" * (BYTES // 6 - 20) + b'"}]}'
    yield from _recommendations()
    yield from _customers(settings)
    yield from _stores(settings)
    yield from _segments()
    yield from _purchases()
    yield from _shelves()
    yield "/footfall", "10,000 rows", _filled('{"visitors":123456.5}', 10_000)


def _filled_keys(start: str, end: str) -> bytes:
    keys = ",".join(f'"{n:x}":1' for n in range(700_000))
    return (start + keys + end).encode()


def _recommendations() -> Iterator[tuple[str, str, bytes]]:
    path, basket = "/recommendations", [f"{code}" for code in range(20_000, 20_100)]
    yield path, "10,000 rows for guests", _filled("{}", 10_000)
    yield path, "10,000 unknown customers", _filled('{"customer":"nobody"}', 10_000)
    yield path, "10,000 baskets of a product", _filled('{"basket":["22222"]}', 10_000)
    yield path, "baskets of 100 products", _filled(json.dumps({"basket": basket}))
    yield path, "as many products as there is room for", _filled(json.dumps({"basket": basket}), 490)
    yield path, "a product a hundred times", _filled(json.dumps({"basket": ["22222"] * 100}), 490)
    yield path, "a basket of eight megabytes", _filled('"22222"', 10**9, '{"rows":[{"basket":[', "]}]}")
    yield path, "codes that are too long", _filled(json.dumps({"basket": ["x" * 65] * 100}))
    yield path, "lone surrogates", _filled('{"customer":"\\ud800"}', 10_000)


def _customers(settings: Settings) -> Iterator[tuple[str, str, bytes]]:
    path = "/customers"
    known = Lake(settings).read("customer_segments").select(["customer_id"]).to_pydict()["customer_id"]
    rows = [{"customer": customer} for customer in known]
    yield path, "10,000 known customers", json.dumps({"rows": (rows * 10_000)[:10_000]}).encode()
    yield path, "10,000 unknown customers", _filled('{"customer":"nobody"}', 10_000)
    yield path, "customers that are too long", _filled(json.dumps({"customer": "x" * 65}))
    yield path, "lone surrogates", _filled('{"customer":"\\ud800"}', 10_000)


def _stores(settings: Settings) -> Iterator[tuple[str, str, bytes]]:
    state = Lake(settings).read("store_forecasts").select(["store", "day"]).to_pylist()
    plan = {"promo": True, "open": True, "state_holiday": "public", "school_holiday": True}
    known = [{"store": row["store"], "day": str(row["day"]), **plan} for row in state]
    unique = list({(row["store"], row["day"]): row for row in known}.values())
    yield "/predict", "10,000 rows", json.dumps({"rows": (unique * 10_000)[:10_000]}).encode()
    unknown = [{"store": 10**6 + n, "day": "2024-07-03"} for n in range(10_000)]
    yield "/predict", "10,000 unknown stores", json.dumps({"rows": unknown}).encode()
    days = [{"store": 1, "day": str(date(1900, 1, 1) + timedelta(days=n))} for n in range(10_000)]
    yield "/predict", "10,000 days out of reach", json.dumps({"rows": days}).encode()
    stores = [{"store": store} for store in sorted({row["store"] for row in state})]
    room = MAX_ITEMS // (RECENT_DAYS + HORIZON)
    yield "/stores", "as many stores as there is room for", json.dumps({"rows": (stores * room)[:room]}).encode()
    unknown = [{"store": 10**6 + n} for n in range(room)]
    yield "/stores", "as many unknown stores", json.dumps({"rows": unknown}).encode()
    yield "/stores", "10,000 stores", json.dumps({"rows": (stores * 10_000)[:10_000]}).encode()
    yield "/stores", "numbers that are no stores", _filled('{"store":-1}')
    yield "/stores", "a store of a long number", b'{"rows":[{"store":' + b"9" * (BYTES - 30) + b"}]}"


def _segments() -> Iterator[tuple[str, str, bytes]]:
    path = "/segments"
    names = ("recency_days", "invoices", "revenue", "cancellation_rate", "purchase_frequency", "median_basket_units")
    features = {"features": dict.fromkeys(names, 1.5)}
    line = {"invoice": "1", "stock_code": "22222", "quantity": 1, "unit_price": 1, "invoiced_at": "2025-03-03T10:00:00"}

    def rows(count: int, lines: int = 1, step: int = 1) -> bytes:
        first = date(2025, 3, 4)
        each = [
            {"as_of": str(first + timedelta(days=step * n % 60_000)), "lines": [line] * lines} for n in range(count)
        ]
        return json.dumps({"rows": each}, separators=(",", ":")).encode()

    yield path, "seven weekdays, for the first time", rows(7)
    yield path, "300 days", rows(300)
    yield path, "10,000 days", rows(10_000)
    yield path, "10,000 features", _filled(json.dumps(features), 10_000)
    yield path, "50,000 lines of five customers", rows(5, 10_000)
    yield path, "50,000 lines of 10,000 customers", rows(10_000, 5)
    yield path, "as many lines as there is room for", rows(7, 10_000)
    yield path, "empty features", _filled('{"features":{}}', 10_000)
    yield path, "empty lines", _filled('{"lines":[' + ",".join(["{}"] * 9_000) + "]}")
    yield path, "lines with a fault at their end", rows(7, 10_000)[:-40] + b'"}]}]}'


def _purchases() -> Iterator[tuple[str, str, bytes]]:
    path = "/shoppers/purchase"
    history = ("days_since_visit", "days_since_purchase", "never_bought", "bought_last_time", "visits_lately")
    numbers = dict.fromkeys((*history, "purchases", "units"), 1.0) | {"purchase_rate": 0.3, "purchase_rate_short": 0.3}
    brands = {str(n): 1.5 for n in range(1, 6)}
    state = {**numbers, "brand_purchases": brands, "brand_units": brands, "last_brand": "1", "age": 40, "income": 9}
    sound = {"prices": brands, "promotions": dict.fromkeys(brands, True), "state": state}
    yield path, "10,000 states", _filled(json.dumps(sound, separators=(",", ":")), 10_000)
    unknown = [sound | {"prices": {**brands, **{f"b{n}-{k}": 1 for k in range(60)}}} for n in range(1_000)]
    yield path, "1,000 rows of 60 unknown brands each", json.dumps({"rows": unknown}, separators=(",", ":")).encode()
    wide = {
        "promotions": {f"b{k}": True for k in range(200)},
        "state": state | {"brand_units": dict.fromkeys(map(str, range(200)), 1)},
    }
    yield path, "unknown brands in all other places", _filled(json.dumps(sound | wide, separators=(",", ":")))
    only = {"prices": {str(n): 1 for n in range(200)}, "state": state}
    yield path, "200 brands on each shelf", _filled(json.dumps(only, separators=(",", ":")), 10_000)

    def rows(count: int, visits: int, step: int = 1) -> bytes:
        first = date(1960, 1, 1)
        days = [str(first + timedelta(days=n)) for n in range(visits)]
        seen = [{"day": day, "bought": True, "brand": "1", "quantity": 1} for day in days]
        each = [
            {"prices": brands, "day": str(first + timedelta(days=visits + step * n % 15_000)), "visits": seen}
            for n in range(count)
        ]
        return json.dumps({"rows": each}, separators=(",", ":")).encode()

    yield path, "300 days", rows(300, 1)
    yield path, "10,000 days", rows(10_000, 1)
    yield path, "50,000 visits of 25 people", rows(25, 2_000)
    yield path, "50,000 visits of 10,000 people", rows(10_000, 5)
    yield path, "as many visits as there is room for", _filled_visits()
    yield path, "empty visits", _filled('{"visits":[' + ",".join(["{}"] * 200) + "]}", 10_000)
    yield (
        path,
        "visits of one day",
        _filled('{"day":"2025-01-01","bought":true}', 2_000, '{"rows":[{"visits":[', "]}]}"),
    )


def _shelves() -> Iterator[tuple[str, str, bytes]]:
    path, brands = "/shoppers/shelf", {f"brand {n}": 1.5 for n in range(50)}
    yield path, "5 shelves as today", _filled("{}", 5)
    yield path, "6 shelves", _filled("{}", 6)
    yield path, "prices of unknown brands", json.dumps({"rows": [{"prices": brands}] * 5}).encode()
    yield (
        path,
        "prices of a hundred thousand brands",
        json.dumps({"rows": [{"prices": {f"brand {n}": 1.5 for n in range(100_000)}}]}).encode(),
    )
    yield path, "prices that are far away", json.dumps({"rows": [{"prices": {"1": 1e300, "2": 1e-300}}] * 5}).encode()
    yield (
        path,
        "5 shelves at once of promotions",
        json.dumps({"rows": [{"promotions": {str(n): bool(n % 2) for n in range(1, 6)}}] * 5}).encode(),
    )


def _filled_visits() -> bytes:
    days = (str(date(2015, 1, 1) + timedelta(days=n)) for n in range(2_000))
    visits = ",".join(f'{{"day":"{day}","bought":true}}' for day in days)
    return _filled(f'{{"prices":{{"1":1}},"day":"2025-01-02","visits":[{visits}]}}')


def _other_requests(server: Server) -> Iterator[Outcome]:
    long = "x" * 3_000
    gets = (
        "/reports/" + long + ".html",
        "/reports/" + "x/" * 1_500 + "x.html",
        "/model/" + long,
        f"/assets/{long}",
        f"/{long}",
        f"/customers/{long}",
        "/customers/" + "%00" * 1_000,
    )
    for path in gets:
        yield _judge(
            server,
            f"GET {path[:12]}… of {len(path)} letters",
            lambda path=path: str(server.send("GET", path)),
            "404 422",
        )
    for path in ("/openapi.json", "/metrics", "/model", "/reports/", "/", "/docs"):
        yield _judge(server, f"100 times GET {path}", lambda path=path: _worst(server, "GET", path, 100), "200")
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}):
        name = next(iter(headers.items()))
        good = "401" if "Host" in headers else "403"
        yield _judge(
            server,
            f"POST /reload, {': '.join(name)}",
            lambda h=headers: str(server.send("POST", "/reload", headers=h)),
            good,
        )
    body = _filled('{"visitors":1}', 10_000)
    yield _judge(server, "32 requests of 10,000 rows at once", lambda: _at_once(server, "/footfall", body, 32))


def _worst(server: Server, method: str, path: str, times: int) -> str:
    return str(max(server.send(method, path) for _ in range(times)))


def _at_once(server: Server, path: str, body: bytes, times: int) -> str:
    found: list[int] = []
    senders = [threading.Thread(target=lambda: found.append(server.send("POST", path, body))) for _ in range(times)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    return "500" if set(found) - {200, 429, 503} else "200"


def _connections(server: Server) -> Iterator[Outcome]:
    head = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
    floods: Sequence[tuple[str, bytes, bytes]] = (
        ("200 MB of one header line", head + b"A: ", b"x" * 1_000_000),
        ("200 MB of headers", head, b"A: a\r\n" * 160_000),
        ("200 MB of an address", b"GET /", b"x" * 1_000_000),
        ("200 MB of empty lines", b"", b"\r\n" * 500_000),
        (
            "200 MB of trailers",
            b"POST /footfall HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            b"A: a\r\n" * 160_000,
        ),
        ("200 MB of pipelined requests", b"", (head + b"\r\n") * 20_000),
        (
            "200 MB of a body that is refused",
            b"POST /none HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\n",
            b"x" * 1_000_000,
        ),
        (
            "200 MB of a body in chunks",
            b"POST /footfall HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n",
            b"f4240\r\n" + b" " * 1_000_000 + b"\r\n",
        ),
    )
    for name, start, part in floods:
        yield _judge(server, name, lambda start=start, part=part: _flood(server, start, part), "200")
    for name, sent in (("silent", b""), ("half-open", head), ("with a header of 30 kB", head + b"A: " + b"x" * 30_000)):
        yield _judge(server, f"1,000 connections, {name}", lambda sent=sent: _crowd(server, sent), "200")


def _flood(server: Server, start: bytes, part: bytes) -> str:
    """Send 200 MB unless the server closes before."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as wire, suppress(OSError):
        wire.sendall(start)
        for _ in range(200):
            wire.sendall(part)
    return str(server.send("GET", "/health/live"))


def _crowd(server: Server, sent: bytes) -> str:
    """Open a thousand connections, and ask for health and a prediction while they are open."""
    with ExitStack() as stack:
        for _ in range(1_000):
            wire = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60))
            with suppress(OSError):
                wire.sendall(sent)
        statuses = {server.send("GET", "/health/ready"), server.send("POST", "/footfall", b'{"rows":[{"visitors":1}]}')}
    return "200" if statuses == {200} else str(statuses)


def _end(settings: Settings) -> Iterator[Outcome]:
    """SIGTERM while every endpoint is at work."""
    with serving(settings) as server:
        heavy = [(path, body) for path, name, body in requests(settings) if name.startswith(("10,000 ", "50,000 "))]
        senders = [threading.Thread(target=server.send, args=("POST", path, body)) for path, body in heavy]
        for sender in senders:
            sender.start()
        time.sleep(0.5)
        began = time.perf_counter()
        server.process.send_signal(signal.SIGTERM)
        code = server.process.wait(120)
        seconds = time.perf_counter() - began
        for sender in senders:
            sender.join()
    yield Outcome(
        "SIGTERM while every endpoint is at work", seconds < 16, f"ended in {seconds:.1f} s, exit code {code}"
    )
