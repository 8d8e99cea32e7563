"""Processes of a local installation: their ports, logs, readiness and end."""

from __future__ import annotations

import fcntl
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import httpx
import psutil

from deploy.local.supervisor import session_members

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

SUPERVISOR = Path(__file__).with_name("supervisor.py")
HOST = "127.0.0.1"


class StartError(RuntimeError):
    """A service did not start; the message contains the end of its log."""


def interrupt_on_signals() -> None:
    """Let SIGTERM and SIGHUP interrupt this process as Ctrl-C does, and Ctrl-C also where a shell has disabled it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Use a folder alone among all local installations; the lock ends with this process, however it ends.

    Raises:
        StartError: if another process has the folder.
    """
    file = folder.with_name(f"{folder.name}.lock")
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StartError(
                f"Another `make up` or `make demo` is running in {folder}. End it with Ctrl-C there, then start again."
            ) from error
        yield


class Port:
    """A TCP port of loopback, reserved among local installations until it is released or this process ends.

    The server binds the TCP port much later than it is chosen, so that until then another installation would choose
    the same one. A UDP socket on the same number is the reservation: the system gives it to one process only.

    Args:
        wanted: the port to take if it is free; else, or for 0, the system chooses one.

    Raises:
        StartError: if no port is free.
    """

    def __init__(self, wanted: int) -> None:
        for candidate in (wanted, *[0] * 20):
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                reservation = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                try:
                    probe.bind((HOST, candidate))
                    self.number: int = probe.getsockname()[1]
                    reservation.bind((HOST, self.number))
                except OSError:
                    reservation.close()
                    continue
                self._reservation = reservation
                return
        raise StartError(f"no port is free on {HOST}")

    def release(self) -> None:
        """Let others have the port."""
        self._reservation.close()


@dataclass
class Service:
    """A long-running command with a log, run under a supervisor."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    """All variables; none is inherited."""
    folder: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the command in a session of its own; it ends when this process ends, however that happens."""
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
        """Whether the command was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def listens(self, port: int) -> bool:
        """Whether a process of this service listens on a TCP port."""
        if self._process is None:
            return False
        # The supervisor's process id is the id of the session.
        for process in session_members(self._process.pid):
            try:
                found = process.net_connections("tcp")
            except psutil.Error:
                continue
            if any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in found):
                return True
        return False

    def check(self) -> None:
        """Raise StartError, with the last lines of the log, if the command has ended."""
        if not self.running:
            raise StartError(f"{self.name} ended; {self.log} ends:\n{self.last_lines()}")

    def wait(self) -> int:
        """Wait until the command ends by itself; return its exit code."""
        assert self._process is not None, "start it first"  # noqa: S101
        return self._process.wait()

    def stop(self) -> None:
        """End the command and every process of its session, and wait for their end."""
        if self._process is None:
            return
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()
        self._process = None

    def last_lines(self, count: int = 15) -> str:
        """The last lines of the log."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


def stop_all(services: Sequence[Service]) -> None:
    """End all services at the same time."""
    for service in services:
        if service.running and service._process and service._process.stdin:
            service._process.stdin.close()
    for service in services:
        service.stop()


def run_once(name: str, command: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path) -> None:
    """Run a command to its end.

    Raises:
        StartError: if it fails, with the last lines of its log.
    """
    with Service(name, command, log, environment, folder) as service:
        if service.wait() != 0:
            raise StartError(f"{name} failed; {log} ends:\n{service.last_lines()}")


def wait_until_healthy(
    url: str,
    services: Sequence[Service],
    timeout: float,
    healthy: Callable[[httpx.Response], bool] = lambda _: True,
    *,
    server: Service,
) -> None:
    """Wait until `server` answers `url` with 200 and `healthy` accepts the answer.

    An answer of another program on the same port does not count.

    Args:
        url: the address, with its port.
        services: services of which none may end meanwhile.
        timeout: seconds to wait.
        healthy: whether an answer says that all is well.
        server: the service that must listen on the port.

    Raises:
        StartError: if a service ends or the time is over, with the last lines of its log.
    """
    port = httpx.URL(url).port or 80
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        for service in services:
            service.check()
        try:
            answer = httpx.get(url, timeout=5, trust_env=False)
            if server.listens(port) and answer.status_code == httpx.codes.OK and healthy(answer):
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    logs = "\n\n".join(f"{service.log} ends:\n{service.last_lines()}" for service in services)
    raise StartError(f"nothing healthy at {url} within {timeout:.0f} s\n{logs}")
