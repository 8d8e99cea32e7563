"""Processes that are started locally end with their owner, and do not mix with those of another installation."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from deploy.local.demo import clear
from deploy.local.services import HOST, Port, Service, StartError, exclusive, run_once, wait_until_healthy

PROJECT = Path(__file__).resolve().parents[2]

# A parent that ignores SIGTERM, a child in a process group of its own (as Airflow's tasks are), and a grandchild.
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
    service = Service("family", command, tmp_path / "log", dict(os.environ) | {"SUPERVISOR_PATIENCE": "1"}, tmp_path)
    service.start()
    pids = pids_in(tmp_path / "pids")
    assert not gone(pids)
    service.stop()
    assert gone(pids)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_the_family_ends_with_its_owner_however_that_ends(tmp_path: Path, how: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "SUPERVISOR_PATIENCE": "1"}
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
        number = taken.getsockname()[1]
        replaced = Port(number)
        assert replaced.number != number
        replaced.release()


def test_a_port_that_is_chosen_but_not_yet_bound_is_given_to_nobody_else() -> None:
    first = Port(0)
    second = Port(first.number)
    code = f"from deploy.local.services import Port; print(Port({first.number}).number)"
    other = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert len({first.number, second.number, int(other.stdout)}) == 3
    second.release()
    # The server itself can bind it.
    with socket.create_server((HOST, first.number)):
        pass
    first.release()
    again = Port(first.number)
    assert again.number == first.number
    again.release()


def test_a_folder_is_used_by_one_process_at_a_time(tmp_path: Path) -> None:
    code = """
import pathlib, sys
from deploy.local.services import exclusive
with exclusive(pathlib.Path(sys.argv[1])):
    pass
"""
    command = [sys.executable, "-c", code, str(tmp_path / "airflow")]
    with exclusive(tmp_path / "airflow"):
        other = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
        assert other.returncode == 1
        assert "is running in" in other.stderr
    assert subprocess.run(command, cwd=PROJECT, check=False).returncode == 0


def test_the_demo_empties_its_home_but_not_its_lock(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    for name in ("sources.yaml", "airflow.lock", "lake/table"):
        (tmp_path / name).touch()
    clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["airflow.lock"]


@contextmanager
def started(name: str, command: list[str], folder: Path) -> Iterator[Service]:
    service = Service(name, command, folder / f"{name}.log", dict(os.environ), folder)
    service.start()
    try:
        yield service
    finally:
        service.stop()


def test_a_service_that_ends_while_starting_shows_the_end_of_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('the disk is full'); raise SystemExit(3)"]
    with started("brief", command, tmp_path) as service, pytest.raises(StartError, match="the disk is full"):
        wait_until_healthy(f"http://{HOST}:{Port(0).number}/", [service], timeout=20, server=service)


def test_a_service_that_is_never_healthy_is_given_up(tmp_path: Path) -> None:
    with started("mute", ["sleep", "60"], tmp_path) as service, pytest.raises(StartError, match="nothing healthy"):
        wait_until_healthy(f"http://{HOST}:{Port(0).number}/", [service], timeout=0.5, server=service)


SERVER = ["-m", "http.server", "--bind", HOST]


def test_the_answer_of_another_program_on_the_port_does_not_count(tmp_path: Path) -> None:
    port = Port(0).number
    url = f"http://{HOST}:{port}/"
    with started("foreign", [sys.executable, *SERVER, str(port)], tmp_path) as foreign:
        wait_until_healthy(url, [foreign], timeout=20, server=foreign)
        with started("ours", ["sleep", "60"], tmp_path) as ours, pytest.raises(StartError, match="nothing healthy"):
            wait_until_healthy(url, [ours], timeout=0.5, server=ours)


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such column')"]
    with pytest.raises(StartError, match="no such column"):
        run_once("migrate", command, tmp_path / "log", dict(os.environ), tmp_path)
