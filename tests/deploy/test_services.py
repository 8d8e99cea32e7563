"""Nothing that is started locally outlives the one who started it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from deploy.local.services import HOST, Service, StartError, free_port, run_once, wait_until_healthy

PROJECT = Path(__file__).resolve().parents[2]

# A parent that ignores being asked, a child in a process group of its own (as Airflow's tasks are), and a grandchild.
FAMILY = """
import os, pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = '''
import os, subprocess, time
os.setpgid(0, 0)
print(os.getpid(), subprocess.Popen(["sleep", "300"]).pid, flush=True)
time.sleep(300)
'''
p = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE, text=True)
pathlib.Path(sys.argv[1]).write_text(f"{os.getpid()} {p.stdout.readline()}")
time.sleep(300)
"""

OWNER = """
import os, pathlib, signal, sys, time
from deploy.local.services import Service
# A shell that starts the tests in the background has them ignore SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)
folder = pathlib.Path(sys.argv[2])
command = [sys.executable, "-c", sys.argv[1], str(folder / "pids")]
Service("family", command, folder / "log", dict(os.environ), folder).start()
time.sleep(300)
"""


def wait_for(condition: object, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.05)
    return False


def pids_in(file: Path) -> list[int]:
    assert wait_for(lambda: file.exists() and len(file.read_text().split()) == 3), "the family did not start"
    return [int(pid) for pid in file.read_text().split()]


def gone(pids: list[int]) -> bool:
    return not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids)


def test_stopping_ends_the_whole_family(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FAMILY, str(tmp_path / "pids")]
    service = Service("family", command, tmp_path / "log", dict(os.environ) | {"LEASH_PATIENCE": "1"}, tmp_path)
    service.start()
    pids = pids_in(tmp_path / "pids")
    assert not gone(pids)
    service.stop()
    assert gone(pids)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_the_family_ends_with_its_owner_however_that_ends(tmp_path: Path, how: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "LEASH_PATIENCE": "1"}
    owner = subprocess.Popen([sys.executable, "-c", OWNER, FAMILY, str(tmp_path)], env=environment)
    try:
        pids = pids_in(tmp_path / "pids")
        owner.send_signal(how)
        owner.wait(timeout=20)
        assert wait_for(lambda: gone(pids)), f"alive after the owner's end: {pids}"
    finally:
        owner.kill()


def test_a_taken_port_is_replaced() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
    assert free_port(port) == port


def test_a_service_that_ends_while_starting_shows_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('the disk is full'); raise SystemExit(3)"]
    service = Service("brief", command, tmp_path / "log", dict(os.environ), tmp_path)
    service.start()
    try:
        with pytest.raises(StartError, match="the disk is full"):
            wait_until_healthy(f"http://{HOST}:{free_port(0)}/", [service], timeout=20)
    finally:
        service.stop()


def test_a_service_that_is_never_healthy_is_given_up(tmp_path: Path) -> None:
    service = Service("mute", ["sleep", "60"], tmp_path / "log", dict(os.environ), tmp_path)
    service.start()
    try:
        with pytest.raises(StartError, match="nothing healthy"):
            wait_until_healthy(f"http://{HOST}:{free_port(0)}/", [service], timeout=0.5)
    finally:
        service.stop()


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such column')"]
    with pytest.raises(StartError, match="no such column"):
        run_once("migrate", command, tmp_path / "log", dict(os.environ), tmp_path)
