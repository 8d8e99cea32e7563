"""A client of Airflow's public REST API, with what the demo needs of it."""

from __future__ import annotations

import time
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Self

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

DONE = ("success", "failed")


class RunError(RuntimeError):
    """A run failed or did not end in time; the message names it and its failed tasks."""


class AirflowApi:
    """A client of one Airflow.

    Args:
        url: the address of its API server.
        password: of the user `admin`.
        check: called repeatedly while waiting; raises if Airflow has stopped.
    """

    def __init__(self, url: str, password: str, check: Callable[[], None] = lambda: None) -> None:
        self._check, self._password = check, password
        self._http = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def __enter__(self) -> Self:
        login = {"username": "admin", "password": self._password}
        token = self._http.post("/auth/token", json=login).raise_for_status().json()["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def wait_for_dags(self, expected: set[str], timeout: float = 60) -> None:
        """Wait until Airflow has found all DAGs.

        Raises:
            RunError: if a DAG file cannot be imported, or a DAG is missing when the time is over.
        """

        def known() -> bool:
            for error in self._get("/importErrors")["import_errors"]:
                raise RunError(f"{error['filename']} cannot be imported:\n{error['stack_trace']}")
            return expected <= {found["dag_id"] for found in self._get("/dags", limit=100)["dags"]}

        self._wait(known, timeout, f"Airflow did not find all of {sorted(expected)}")

    def pause(self, dag_id: str) -> None:
        """Let no further run of a DAG start."""
        self._send("PATCH", f"/dags/{dag_id}", json={"is_paused": True})

    def unpause(self, dag_id: str) -> None:
        """Let a DAG run."""
        self._send("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def unpause_without_scheduled_run(self, dag_ids: Sequence[str], timeout: float = 20) -> None:
        """Let DAGs run, but skip the run that the schedule starts for last night: the caller chooses the days.

        Meanwhile no task can start, so that no task of that run does any work. Deleting the run would not help, because
        the schedule would start it again.
        """
        pool = self._get("/pools/default_pool")["slots"]
        self._send("PATCH", "/pools/default_pool", json={"slots": 0}, params={"update_mask": "slots"})
        for dag_id in dag_ids:
            self.unpause(dag_id)
        timed = {dag_id for dag_id in dag_ids if self._get(f"/dags/{dag_id}")["next_dagrun_run_after"]}

        def skipped() -> bool:
            for run in self.runs():
                if run["run_type"] == "scheduled" and run["dag_id"] in timed:
                    path = f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances"
                    tasks = self._get(path)["task_instances"]
                    for task in tasks:
                        # 409: the scheduler has skipped it already, because the task before it was skipped.
                        where, state = f"{path}/{task['task_id']}", {"new_state": "skipped"}
                        self._send("PATCH", where, json=state, allowed=(httpx.codes.CONFLICT,))
                    if tasks:
                        timed.remove(run["dag_id"])
            return not timed

        self._wait(skipped, timeout, f"no run was scheduled for {sorted(timed)}")
        self._send("PATCH", "/pools/default_pool", json={"slots": pool}, params={"update_mask": "slots"})

    def trigger(self, dag_id: str, form: Mapping[str, Any] | None = None, *, day: date | None = None) -> str:
        """Start a run with the values of its form, or for the data interval of a day; return the run's id."""
        body: dict[str, Any] = {"logical_date": None, "conf": dict(form or {})}
        if day:
            start, end = (f"{midnight}T00:00:00Z" for midnight in (day, day + timedelta(days=1)))
            body |= {"logical_date": start, "data_interval_start": start, "data_interval_end": end}
        return str(self._send("POST", f"/dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def runs(self, dag_id: str = "~") -> list[dict[str, Any]]:
        """The runs of a DAG, or of all, oldest first."""
        found = self._get(f"/dags/{dag_id}/dagRuns", limit=1000, order_by="run_after")["dag_runs"]
        return sorted(found, key=lambda run: run["start_date"] or run["queued_at"] or "")

    def wait_run(self, dag_id: str, run_id: str, timeout: float) -> dict[str, Any]:
        """Wait until a run has succeeded, and return it.

        Raises:
            RunError: if it failed or does not end in time.
        """

        def ended() -> dict[str, Any] | None:
            run = self._get(f"/dags/{dag_id}/dagRuns/{run_id}")
            return run if run["state"] in DONE else None

        run: dict[str, Any] = self._wait(ended, timeout, f"run {run_id} of {dag_id} has not ended")
        if run["state"] == "failed":
            failed = [
                task for task in self.task_instances() if task["state"] == "failed" and task["dag_run_id"] == run_id
            ]
            raise RunError(f"run {run_id} of {dag_id} failed at {', '.join(task['task_id'] for task in failed)}")
        return run

    def wait_until_quiet(self, timeout: float, calm: float = 3.0) -> None:
        """Wait until for `calm` seconds no run was queued or running."""
        since = time.monotonic()

        def quiet() -> bool:
            nonlocal since
            if any(run["state"] not in DONE for run in self.runs()):
                since = time.monotonic()
            return time.monotonic() - since > calm

        self._wait(quiet, timeout, "runs have not ended")

    def task_instances(self) -> list[dict[str, Any]]:
        """The task instances of all runs, each with state, start, and duration in seconds."""
        return list(self._pages("/dags/~/dagRuns/~/taskInstances", "task_instances"))

    def _pages(self, path: str, key: str, size: int = 100) -> Iterator[dict[str, Any]]:
        offset = 0
        while page := self._get(path, limit=size, offset=offset)[key]:
            yield from page
            offset += size

    def _get(self, path: str, **query: Any) -> Any:
        return self._http.get(f"/api/v2{path}", params=query).raise_for_status().json()

    def _send(self, method: str, path: str, *, allowed: Sequence[int] = (), **options: Any) -> Any:
        answer = self._http.request(method, f"/api/v2{path}", **options)
        if answer.is_error and answer.status_code not in allowed:
            raise RunError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    def _wait(self, found: Callable[[], Any], timeout: float, otherwise: str) -> Any:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self._check()
            if result := found():
                return result
            time.sleep(0.3)
        raise RunError(f"{otherwise} after {timedelta(seconds=round(timeout))}")
