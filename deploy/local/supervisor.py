"""Run a command so that none of its processes outlives the process that started it.

    python supervisor.py COMMAND …

When standard input closes (because the owner stopped the command, failed, was interrupted or was killed), every process
of this session is terminated, and killed if it does not end in time. Ending a process group would not be enough,
because Airflow gives each task a group of its own. Start this script in a session of its own.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time

import psutil

PATIENCE = float(os.environ.get("SUPERVISOR_PATIENCE", "8"))
"""Seconds between terminating and killing."""


def session_members(session: int) -> list[psutil.Process]:
    """The running processes of a session, without this one."""
    members = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and os.getsid(process.pid) == session and _alive(process):
                members.append(process)
        except (ProcessLookupError, PermissionError, psutil.Error):
            continue
    return members


def end_session(session: int, patience: float = PATIENCE) -> None:
    """End every other process of a session, in whatever process group it is."""
    deadline = time.monotonic() + patience
    terminated = False
    while members := session_members(session):
        late = time.monotonic() > deadline
        for process in members:
            try:
                if late:
                    process.kill()
                elif not terminated:
                    process.terminate()
            except psutil.NoSuchProcess:
                continue
        terminated = True
        time.sleep(0.1)


def main(command: list[str]) -> int:
    """Run `command` until it ends or standard input closes; return its exit code, or 0 if it was stopped."""
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603
    while child.poll() is None and not stopped:
        readable, _, _ = select.select([sys.stdin], [], [], 0.1)
        stopped = stopped or (bool(readable) and not os.read(sys.stdin.fileno(), 1))
    code = child.poll()
    end_session(os.getsid(0))
    return 0 if code is None else code


def _alive(process: psutil.Process) -> bool:
    return bool(process.status() != psutil.STATUS_ZOMBIE)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
