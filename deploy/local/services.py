"""Processes of a local installation: free ports, logs, readiness, and an end to all of them."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SUPERVISOR = Path(__file__).with_name("supervisor.py")
HOST = "127.0.0.1"


class StartError(RuntimeError):
    """A service did not come up; the message holds the end of its log."""


def end_as_if_by_hand() -> None:
    """Let SIGTERM and SIGHUP end this process as Ctrl-C does, and Ctrl-C also where a shell has switched it off."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def free_port(wanted: int) -> int:
    """`wanted` if nobody listens there, else one that the system gives."""
    for port in (wanted, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StartError(f"no port is free on {HOST}")


@dataclass
class Service:
    """One long-running command with its log, run under a supervisor."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    """All of it; nothing is inherited beside."""
    folder: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it in a session of its own; it ends with this process, however that ends."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as out:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, str(SUPERVISOR), *self.command],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(self.environment),
                cwd=self.folder,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def check(self) -> None:
        """Raise StartError if it has ended, with the last lines of its log."""
        if not self.running:
            raise StartError(f"{self.name} ended; {self.log} ends:\n{self.last_lines()}")

    def wait(self) -> int:
        """Wait until it ends by itself; its exit code."""
        assert self._process is not None, "start it first"  # noqa: S101
        return self._process.wait()

    def stop(self) -> None:
        """Release the supervisor and wait until everything of it is gone."""
        if self._process is None:
            return
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()
        self._process = None

    def last_lines(self, count: int = 15) -> str:
        """The end of its log."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


def stop_all(services: Sequence[Service]) -> None:
    """End all services, side by side."""
    for service in services:
        if service.running and service._process and service._process.stdin:
            service._process.stdin.close()
    for service in services:
        service.stop()


def run_once(name: str, command: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path) -> None:
    """Run a command that ends by itself.

    Raises:
        StartError: when it fails, with the last lines of its log.
    """
    with Service(name, command, log, environment, folder) as service:
        if service.wait() != 0:
            raise StartError(f"{name} failed; {log} ends:\n{service.last_lines()}")


def wait_until_healthy(
    url: str, services: Sequence[Service], timeout: float, healthy: Callable[[httpx.Response], bool] = lambda _: True
) -> None:
    """Wait until `url` answers 200 and `healthy` is content with the answer.

    Raises:
        StartError: when a service ends or the time is over, with the last lines of its log.
    """
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        for service in services:
            service.check()
        try:
            answer = httpx.get(url, timeout=5, trust_env=False)
            if answer.status_code == httpx.codes.OK and healthy(answer):
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    logs = "\n\n".join(f"{service.log} ends:\n{service.last_lines()}" for service in services)
    raise StartError(f"nothing healthy at {url} within {timeout:.0f} s\n{logs}")
