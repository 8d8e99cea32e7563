"""`make demo`: a year of a simulated shop through a real Airflow, from invoice lines to segments, a model and drift.

The days are fixed, so that the same code gives the same result each time: a year of history as one delivery, a
training, and a week day by day. From the week's third day on, new tills record prices and quantities wrongly: the day's
delivery is accepted with warnings, because only a person can tell a wrong unit from a real change, and the drift checks
find it later. Each delivery has a few rows that break the contract. At its end the demo stops everything that it
started.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import yaml
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.local.airflow_api import AirflowApi, RunError
from deploy.local.installation import PROJECT, LocalAirflow
from deploy.local.services import StartError, exclusive, interrupt_on_signals
from deploy.local.summary import DemoSummary, Durations, Fault, gather, task_durations
from pipeline.reports.page import MORNING_PAGE
from pipeline.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path

HOME = PROJECT / ".aisle" / "demo"
AIRFLOW_HOME = HOME / "airflow"
TIMED_DAGS = ("ingest_transactions", "train_customer_segments")
DAGS = ("customers", "watch", *TIMED_DAGS)
PATIENCE = 900.0
"""Seconds that one step may take."""


@dataclass(frozen=True)
class Story:
    """The days and the shop of the demo. The week is from Monday to Sunday; the shop is closed on Saturdays."""

    opened: date = date(2023, 11, 20)
    week: date = date(2024, 11, 18)
    wrong_from: date = date(2024, 11, 20)
    customers: int = 900
    seed: int = 7
    prices: float = 100.0
    baskets: float = 24.0
    defects: str = "negative_price:2,zero_quantity:1,text_quantity:1"

    @property
    def days(self) -> list[date]:
        """The days of the week."""
        return [self.week + timedelta(days=n) for n in range(7)]

    @property
    def last(self) -> date:
        """The week's last day."""
        return self.days[-1]

    @property
    def fault(self) -> Fault:
        """What is wrong with the deliveries from `wrong_from` on."""
        what = f"new tills record prices {self.prices:g} times and quantities {self.baskets:g} times too high"
        return Fault(self.wrong_from, what)

    @property
    def address(self) -> str:
        """The address of the shop. From `wrong_from` on, its tills record pence as pounds and pieces as cartons."""
        return (
            f"simulate://shop?seed={self.seed}&customers={self.customers}&opened={self.opened}"
            f"&drift_from={self.wrong_from}&drift_prices={self.prices}&drift_baskets={self.baskets}"
            f"&defects={self.defects}"
        )


class Steps(Progress):
    """The steps of the demo: bars on a terminal, elsewhere a line when each begins."""

    def add_task(self, description: str, *args: Any, **kwargs: Any) -> TaskID:
        """Show a step that begins."""
        self.note(description)
        return super().add_task(description, *args, **kwargs)

    def note(self, text: str) -> None:
        """Write a line, unless a terminal shows the bars."""
        if not self.console.is_terminal:
            self.console.print(f"{datetime.now():%H:%M:%S} {text}", highlight=False)


def write_sources(file: Path, address: str) -> None:
    """Write the project's `sources.yaml` with the demo's shop as the source of the transactions."""
    spec = yaml.safe_load((PROJECT / "sources.yaml").read_text(encoding="utf-8"))
    source = next(iter(spec["tables"]["transactions"].values()))
    source["from"] = address
    file.write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")


def play(story: Story, api: AirflowApi, progress: Steps) -> None:
    """Run the demo's days through Airflow.

    Raises:
        RunError: if a run fails or takes too long.
    """
    step = progress.add_task("finding the DAGs", total=None)
    api.wait_for_dags(set(DAGS))
    api.unpause_without_scheduled_run(DAGS)
    progress.update(step, total=1, completed=1)

    step = progress.add_task(f"a year of history, {story.opened} to {story.week - timedelta(days=1)}", total=None)
    form = {"from": str(story.opened), "until": str(story.week)}
    api.wait_run("ingest_transactions", api.trigger("ingest_transactions", form), PATIENCE)
    progress.update(step, total=1, completed=1)

    step = progress.add_task("training customer_segments", total=None)
    run = api.trigger("train_customer_segments", {"as_of": str(story.week)})
    api.wait_run("train_customer_segments", run, PATIENCE)
    progress.update(step, total=1, completed=1)

    step = progress.add_task(f"the week to {story.last}, day by day", total=7)
    for day in story.days:
        progress.note(str(day))
        # Day by day, as in production. Airflow's own backfill can crash its scheduler on SQLite.
        run = api.trigger("ingest_transactions", day=day)
        api.wait_run("ingest_transactions", run, PATIENCE)
        progress.advance(step)
    progress.update(step, description=f"the week to {story.last}: segments, drift, training")
    api.wait_until_quiet(PATIENCE)
    if failed := [run for run in api.runs() if run["state"] == "failed"]:
        raise RunError(", ".join(f"{run['dag_id']} {run['dag_run_id']} failed" for run in failed))
    for dag_id in TIMED_DAGS:
        # So that nothing is ingested or trained by the clock when this Airflow is opened again.
        api.pause(dag_id)


def show(console: Console, summary: DemoSummary, durations: Durations) -> None:
    """Print the closing table, the pages to open, and how to open this Airflow again."""
    table = Table(title="What happened", show_header=False, title_justify="left", pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, lines in summary.lines() + durations.lines():
        table.add_row(name, "\n".join(lines))
        table.add_section()
    console.print(table)
    console.print("Pages to open:")
    for page in newest_pages(HOME / "reports"):
        console.print(f"  {page}", highlight=False, soft_wrap=True)
    console.print("To open these runs in Airflow's and the model in MLflow's UI:")
    console.print(f"  AISLE_HOME={HOME} make up", highlight=False, soft_wrap=True)


def newest_pages(reports: Path) -> list[Path]:
    """The morning page, and the newest page of each folder of pages."""
    pages = sorted(reports.glob("*/**/*.html"), key=lambda page: page.stat().st_mtime)
    return [reports / MORNING_PAGE, *sorted({page.parent: page for page in pages}.values())]


def clear(home: Path) -> None:
    """Empty a folder, but for the locks of those who use it."""
    home.mkdir(parents=True, exist_ok=True)
    for path in home.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.suffix != ".lock":
            path.unlink()


def run(console: Console) -> None:
    """Run the demo in an empty home and print its results.

    Raises:
        StartError: if Airflow does not start, or another one is running in the same home.
        RunError: if a run fails or takes too long.
    """
    start, story = time.monotonic(), Story()
    settings = {"AISLE_HOME": str(HOME), "AISLE_SOURCES": str(HOME / "sources.yaml")}
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with exclusive(AIRFLOW_HOME), Steps(*columns, console=console) as progress:
        clear(HOME)
        write_sources(HOME / "sources.yaml", story.address)
        step = progress.add_task("starting Airflow", total=None)
        with (
            LocalAirflow(AIRFLOW_HOME, settings) as airflow,
            AirflowApi(airflow.url, airflow.password, airflow.check) as api,
        ):
            progress.update(step, total=1, completed=1)
            login = f"user admin, password {airflow.password}"
            progress.console.print(f"Airflow answers at {airflow.url} while this runs ({login}).", highlight=False)
            started = time.monotonic()
            play(story, api, progress)
            ended = time.monotonic()
            durations = task_durations(api)
            step = progress.add_task("stopping what was started", total=None)
        progress.update(step, total=1, completed=1)
    summary = gather(load_settings(home=str(HOME), sources=HOME / "sources.yaml"), story.fault)
    total = time.monotonic() - start
    show(console, summary, replace(durations, starting=started - start, story=ended - started, total=total))


def main(console: Console) -> int:
    """Run the demo; return the exit code."""
    interrupt_on_signals()
    try:
        run(console)
    except (StartError, RunError) as error:
        console.print(str(error), style="red", markup=False)
        console.print(f"Logs are under {AIRFLOW_HOME / 'logs'}.", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped; nothing is left running.")
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Console()))
