"""What a connection may cost: headers, time, number; and health checks that are answered whatever happens."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import httpx
import pytest

from pipeline.serving.connections import MAX_HEAD_BYTES, MAX_HEADERS, MAX_PIPELINED, Limits
from pipeline.settings import Settings
from tests.serving.helpers import HANG_SECONDS, until
from tests.serving.stub import PATH, WAITS, NumberPredictor, stub_service

HEAD = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service that lets an address have 5 connections, and its client."""
    home = str(tmp_path_factory.mktemp("connections"))
    with stub_service(Settings(home=home, serve_timeout_seconds=HANG_SECONDS, serve_connections=5)) as client:
        yield client


@contextmanager
def wire(client: httpx.Client) -> Iterator[socket.socket]:
    """A connection on which any bytes can be sent."""
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=HANG_SECONDS) as opened:
        yield opened


def read(opened: socket.socket) -> bytes:
    """What comes until the other side closes."""
    parts = []
    try:
        while part := opened.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        # What was sent and not read any more.
        pass
    return b"".join(parts)


def send(opened: socket.socket, data: bytes) -> None:
    """Send, also to a side that does not read to the end."""
    with suppress(ConnectionResetError, BrokenPipeError):
        opened.sendall(data)


LARGE = b"x" * (MAX_HEAD_BYTES + 1)
TRAILERS = b"POST /numbers HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(HEAD + b"A: " + LARGE, id="a line without end"),
        pytest.param(HEAD + b"A: " + LARGE + b"\r\n\r\n", id="a long header"),
        pytest.param(HEAD + LARGE + b": a\r\n\r\n", id="a long name"),
        pytest.param(b"GET /" + LARGE + b" HTTP/1.1\r\n\r\n", id="a long address"),
        pytest.param(b"GET /" + LARGE, id="an address without end"),
        pytest.param(HEAD + b"A: a\r\n" * (MAX_HEADERS + 1), id="many headers"),
        pytest.param(HEAD + b"A: \r\n" * 100_000, id="very many headers"),
        pytest.param(b"\r\n" * MAX_HEAD_BYTES, id="empty lines"),
        pytest.param(TRAILERS + b"A: a\r\n" * (MAX_HEADERS + 1), id="many trailers"),
        pytest.param(b"GET /model HTTP/1.1\r\nHost: localhost\r\n\r\n" * (MAX_PIPELINED + 50), id="many at once"),
    ],
)
def test_too_much_before_a_body_is_refused(service: httpx.Client, sent: bytes) -> None:
    with wire(service) as opened:
        send(opened, sent)
        answer = read(opened)
    assert not answer or b" 431 " in answer or b" 415 " in answer, answer[:300]
    assert service.get("/health/live").status_code == 200


def test_headers_within_the_limits_are_read(service: httpx.Client) -> None:
    headers = {f"a{n}": "x" * 200 for n in range(90)}
    assert service.get("/model", headers=headers).status_code == 200
    with wire(service) as opened:
        for byte in HEAD + b"A: " + b"x" * 5_000 + b"\r\nConnection: close\r\n\r\n":
            opened.sendall(bytes([byte]))
        assert read(opened).startswith(b"HTTP/1.1 200")


def test_a_connection_takes_many_large_bodies(service: httpx.Client) -> None:
    """The end of a body is not taken for a head, also where it comes after its answer."""
    for _ in range(3):
        for body in (b" " * 100_000, b'{"rows": [{"number": 5}]%s}' % (b" " * 200_000)):
            status = service.post(PATH, content=body, headers={"Content-Type": "application/json"}).status_code
            assert status == (200 if b"rows" in body else 400)
            assert service.post("/nothing", content=body).status_code == 404


def test_half_open_connections_make_room_for_others(service: httpx.Client) -> None:
    with ExitStack() as stack:
        idle = [stack.enter_context(wire(service)) for _ in range(40)]
        for opened in idle:
            send(opened, HEAD)
        with httpx.Client(base_url=service.base_url, timeout=HANG_SECONDS) as other:
            assert other.post(PATH, json={"rows": [{"number": 5}]}).status_code == 200
        # The oldest have been closed.
        assert read(idle[0]) == b""


def test_health_answers_while_every_connection_of_an_address_is_at_work(empty: Settings) -> None:
    with stub_service(empty, serve_connections=3) as client, ExitStack() as stack:
        try:
            body = b'{"rows": [{"number": %f}]}' % WAITS
            head = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" % PATH.encode()
            busy = [stack.enter_context(wire(client)) for _ in range(3)]
            client.close()
            with httpx.Client(base_url=client.base_url, timeout=HANG_SECONDS) as other:
                for opened in busy:
                    opened.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
                until(lambda: other.get("/model").status_code == 503)
                for path in ("/health/live", "/health/ready"):
                    assert other.get(path).status_code == 200
        finally:
            NumberPredictor.go.set()
        assert all(opened.recv(12) == b"HTTP/1.1 200" for opened in busy)


LONG = HANG_SECONDS
SHORT = 0.1


@pytest.mark.parametrize(
    ("limits", "sent"),
    [
        pytest.param({"head_seconds": SHORT}, b"", id="nothing is sent"),
        pytest.param({"head_seconds": SHORT}, HEAD, id="the headers do not end"),
        pytest.param({"head_seconds": SHORT}, b"\r\n", id="an empty line"),
        pytest.param({"idle_seconds": SHORT}, HEAD + b"\r\n", id="no further request"),
        pytest.param({"head_seconds": SHORT}, HEAD + b"\r\n" + HEAD, id="a further request does not end"),
        pytest.param({"head_seconds": SHORT, "idle_seconds": SHORT}, HEAD + b"\r\n\r\n", id="then an empty line"),
        pytest.param(
            {"request_seconds": SHORT},
            b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n1",
            id="the body does not end, although it is answered",
        ),
        pytest.param(
            {"request_seconds": SHORT},
            b"POST /numbers HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 9\r\n\r\n1",
            id="the body does not end",
        ),
    ],
)
def test_each_phase_of_a_connection_ends(empty: Settings, limits: dict[str, float], sent: bytes) -> None:
    """The time limits that are not tested are longer than the test would wait."""
    long = {"head_seconds": LONG, "idle_seconds": LONG, "request_seconds": LONG}
    with stub_service(empty, limits=Limits(5, **{**long, **limits})) as client, wire(client) as opened:
        opened.sendall(sent)
        answer = read(opened)
    assert answer.count(b"HTTP/1.1 200") == (1 if sent.startswith(HEAD + b"\r\n") else 0)


def test_an_answer_that_is_not_read_is_given_up(empty: Settings) -> None:
    """What the system itself keeps of an answer must be exceeded: megabytes."""
    body = b'{"rows": [%s]}' % b",".join([b'{"number": 5}'] * 10_000)
    head = b"POST /numbers HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    limits = Limits(5, request_seconds=1.0, head_seconds=LONG, idle_seconds=LONG)
    with stub_service(empty, limits=limits) as client, socket.socket() as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        opened.connect((client.base_url.host, client.base_url.port))
        # A request at a time, so that only the reading of the answers is slow.
        opened.settimeout(HANG_SECONDS)
        request = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            opened.sendall(request * 1_000)
