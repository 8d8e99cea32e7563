"""`make demo`: a year of a simulated shop through real Airflow, from invoice lines to segments, a model and drift.

The days are fixed, so the same code tells the same story each time: a year of history as one delivery, a training, and
a week day by day, from whose third day on new tills record prices and quantities wrongly. Each delivery has a few rows
that break the contract. What it starts, it stops.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import yaml
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.local.airflow_api import AirflowApi, RunError
from deploy.local.installation import PROJECT, LocalAirflow
from deploy.local.services import StartError, end_as_if_by_hand
from deploy.local.summary import DemoSummary, Durations, gather, task_durations
from pipeline.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path

HOME = PROJECT / ".aisle" / "demo"
DAGS = ("customers", "watch", "ingest_transactions", "train_customer_segments")
PATIENCE = 240.0
"""Seconds that one step of the story may take."""


@dataclass(frozen=True)
class Story:
    """The days of the demo. The week runs from Monday to Sunday; on Saturdays the shop is closed."""

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
    def address(self) -> str:
        """The shop. From `wrong_from` on its new tills record pence as pounds and pieces as cartons."""
        return (
            f"simulate://shop?seed={self.seed}&customers={self.customers}&opened={self.opened}"
            f"&drift_from={self.wrong_from}&drift_prices={self.prices}&drift_baskets={self.baskets}"
            f"&defects={self.defects}"
        )


def write_sources(file: Path, address: str) -> None:
    """The project's own `sources.yaml`, with the story's shop in the place of the simulated one."""
    spec = yaml.safe_load((PROJECT / "sources.yaml").read_text(encoding="utf-8"))
    source = next(iter(spec["tables"]["transactions"].values()))
    source["from"] = address
    file.write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")


def play(story: Story, api: AirflowApi, progress: Progress) -> None:
    """Tell the story through Airflow.

    Raises:
        RunError: when a run fails or takes too long.
    """
    step = progress.add_task("finding the DAGs", total=None)
    api.wait_for_dags(set(DAGS))
    api.unpause_without_tonight(DAGS)
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
        # Day by day as the nights would: Airflow's own backfill may bring its scheduler down on SQLite.
        run = api.trigger("ingest_transactions", day=day)
        api.wait_run("ingest_transactions", run, PATIENCE)
        progress.advance(step)
    progress.update(step, description=f"the week to {story.last}: segments, drift, what follows from it")
    api.wait_until_quiet(PATIENCE)
    if failed := [run for run in api.runs() if run["state"] == "failed"]:
        raise RunError(", ".join(f"{run['dag_id']} {run['dag_run_id']} failed" for run in failed))


def show(console: Console, outcome: DemoSummary, durations: Durations) -> None:
    """The short table at the end."""
    table = Table(title="What happened", show_header=False, title_justify="left", pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, lines in outcome.lines() + durations.lines():
        table.add_row(name, "\n".join(lines))
        table.add_section()
    console.print(table)
    console.print("Pages to open:")
    for page in newest_pages(HOME / "reports"):
        console.print(f"  {page}", highlight=False, soft_wrap=True)
    console.print("The same in Airflow's and MLflow's own pages:")
    console.print(f"  AISLE_HOME={HOME} make up", highlight=False, soft_wrap=True)


def newest_pages(reports: Path) -> list[Path]:
    """The newest page of each folder of pages."""
    pages = sorted(reports.rglob("*.html"), key=lambda page: page.stat().st_mtime)
    return sorted({page.parent: page for page in pages}.values())


def main(console: Console) -> int:
    """Play the story from an empty home; the exit code."""
    end_as_if_by_hand()
    begun = time.monotonic()
    story = Story()
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    write_sources(HOME / "sources.yaml", story.address)
    settings = {"AISLE_HOME": str(HOME), "AISLE_SOURCES": str(HOME / "sources.yaml")}
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=console) as progress:
            step = progress.add_task("starting Airflow", total=None)
            with (
                LocalAirflow(HOME / "airflow", settings) as airflow,
                AirflowApi(airflow.url, airflow.check) as api,
            ):
                progress.update(step, total=1, completed=1)
                progress.console.print(f"Airflow answers at {airflow.url} while this runs (no login).", highlight=False)
                started = time.monotonic()
                play(story, api, progress)
                ended = time.monotonic()
                durations = task_durations(api)
                step = progress.add_task("stopping what was started", total=None)
            progress.update(step, total=1, completed=1)
        outcome = gather(load_settings(home=str(HOME), sources=HOME / "sources.yaml"))
    except (StartError, RunError) as error:
        console.print(str(error), style="red", markup=False)
        console.print(f"Logs are under {HOME / 'airflow' / 'logs'}.", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped; nothing is left running.")
        return 130
    total = time.monotonic() - begun
    durations = replace(durations, starting=started - begun, story=ended - started, total=total)
    show(console, outcome, durations)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Console()))
