"""Run a command so that nothing of it outlives the one who started it.

    python supervisor.py COMMAND …

When standard input closes (its owner stopped it, failed, was interrupted or was killed outright), every process of this
session is ended: politely, then not. Airflow gives each task a process group of its own, so ending a group is not
enough; a session is. Start this script in a session of its own.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time

import psutil

PATIENCE = float(os.environ.get("LEASH_PATIENCE", "8"))
"""Seconds between asking and insisting."""


def session_members(session: int) -> list[psutil.Process]:
    """The living processes of a session, without this one."""
    members = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and os.getsid(process.pid) == session and _alive(process):
                members.append(process)
        except (ProcessLookupError, PermissionError, psutil.Error):
            continue
    return members


def end_session(session: int, patience: float = PATIENCE) -> None:
    """End every other process of a session, whatever its group."""
    deadline = time.monotonic() + patience
    asked = False
    while members := session_members(session):
        late = time.monotonic() > deadline
        for process in members:
            try:
                if late:
                    process.kill()
                elif not asked:
                    process.terminate()
            except psutil.NoSuchProcess:
                continue
        asked = True
        time.sleep(0.1)


def main(command: list[str]) -> int:
    """Run `command` until it ends or standard input closes; its exit code, or 0 when it was told to stop."""
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
