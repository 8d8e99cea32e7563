"""Three years of simulated nights by the command line: does the last week cost what the first one cost?

python -m benchmarks.nights --home FOLDER [--nights 1095] [--fill-until 1088]

Each night ingests all tables, scores the four domains and writes the morning page, in one process. The models are
trained once, on the year before the first night, and everything that a night makes stays, so that what grows is what
piles up: files, logs and pages. A night is a line of `nights.jsonl` in the home; a run that is ended goes on where it
was.

A thousand nights take hours. `--fill-until` takes the short way over most of them: the input of the days between is
ingested as one delivery, and the results, features and pages of each night between are copies of the last one's, each
written by a commit of its own, as the night would have.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.results import Goal, Row

GROUP = "three years of nights"
PROJECT = Path(__file__).parents[1]
FIRST = date(2025, 1, 6)
"""The first night; the year before it is history."""
HISTORY = date(2024, 1, 1)
SIZES = {"customers=900": "customers=150", "people=400": "people=60", "stores=40": "stores=8"}
TABLES = ("transactions", "visits", "people", "footfall", "store_days", "stores", "store_plans")
DOMAINS = ("customers", "stores", "shoppers", "footfall")
TRAININGS = {
    "customer_segments": (),
    "recommendations": (),
    "customer_value": (),
    "store_sales": ("--candidate", "linear_store"),
    "purchase_probability": (),
    "brand_choice": (),
    "purchase_quantity": (),
    "people_segments": (),
    "footfall_buyers": (),
}


@dataclass
class Night:
    """What a night cost.

    Attributes:
        day: whose deliveries it ingested.
        cpu: processor seconds of each part, children included.
        files: number of files below the home, by kind.
        bytes: their bytes, by kind.
        rss_mb: peak resident memory of the process so far.
    """

    day: str
    cpu: dict[str, float] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    rss_mb: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--nights", type=int, default=1095, help="nights in all, those of earlier runs included")
    parser.add_argument(
        "--fill-until", type=int, default=0, help="copy the nights before this one instead of playing them"
    )
    parser.add_argument("--at-most", type=int, default=0, help="end after so many nights, to go on later")
    args = parser.parse_args()
    args.home.mkdir(parents=True, exist_ok=True)
    prepare(args.home)
    log = args.home / "nights.jsonl"
    done = nights_of(log)
    if not done:
        history()
    if args.fill_until > done:
        fill(done, args.fill_until)
        with log.open("a") as out:
            out.write("\n" * (args.fill_until - done))
        done = args.fill_until
    until = min(args.nights, done + args.at_most) if args.at_most else args.nights
    for number in range(done, until):
        night = play(args.home, FIRST + timedelta(days=number))
        with log.open("a") as out:
            out.write(json.dumps(vars(night)) + "\n")


def nights_of(log: Path) -> int:
    """The number of nights so far; one that was filled is an empty line."""
    return len(log.read_text().splitlines()) if log.exists() else 0


def fill(first: int, end: int) -> None:
    """Ingest the days of some nights at once, and copy the results and pages of the last night for each of them."""
    from pipeline.lake.maintenance import Maintenance
    from pipeline.lake.tables import Lake
    from pipeline.settings import load_settings

    since, until = FIRST + timedelta(days=first), FIRST + timedelta(days=end)
    for table in TABLES:
        aisle("ingest", table, "--from", str(since), "--until", str(until), accepted=(0, 1))
    lake = Lake(load_settings())
    tables = [name for name in Maintenance(load_settings()).tables() if lake.partition_columns(name) == ["as_of"]]
    rows = {name: lake.read(name, where={"as_of": [since]}) for name in tables}
    # A delivery of several days has its first and last in its name.
    pages = [file.path for file in lake.files_below("reports") if str(since) in file.name and "_" not in file.name]
    for day in (since + timedelta(days=n) for n in range(1, end - first + 1)):
        for name, copied in rows.items():
            dated = pa.array([day] * copied.num_rows, pa.date32())
            lake.replace(
                name, {"as_of": [day]}, copied.set_column(copied.schema.get_field_index("as_of"), "as_of", dated)
            )
        for page in pages:
            lake.write_blob(page.replace(str(since), str(day)), lake.path(page).read_bytes())


def rows(home: Path) -> list[Row]:
    """The rows of the table: the last nights beside those of the third week, the first whose pages show a fortnight."""
    lines = (home / "nights.jsonl").read_text().splitlines()
    played = {number: Night(**json.loads(line)) for number, line in enumerate(lines) if line}
    early = [night for number, night in played.items() if 14 <= number < 21]
    late = [night for number, night in played.items() if number > max(played) - 7]

    def row(what: str, parts: Sequence[str], goal: Goal | None = None) -> Row:
        then, now = (
            sum(statistics.median(night.cpu[part] for night in nights) for part in parts) for nights in (early, late)
        )
        return Row(GROUP, what, now, now, beside="in the third week", beside_seconds=then, beside_cpu=then, goal=goal)

    ingest, score = ([part for part in late[0].cpu if part.startswith(word)] for word in ("ingest", "score"))
    return [
        row(f"night {max(played) + 1:,}, processor time", tuple(late[0].cpu), Goal(ratio=1.2)),
        row("– seven deliveries", ingest),
        row("– features, scores and pages of four domains", score),
        row("– the morning page", ["morning page"]),
    ]


def prepare(home: Path, *, small: bool = True) -> None:
    """Point the settings at `home`, and at the simulated sources of the project, made smaller if `small`."""
    text = (PROJECT / "sources.yaml").read_text()
    for usual, fewer in SIZES.items() if small else ():
        text = text.replace(usual, fewer)
    (home / "sources.yaml").write_text(text)
    os.environ |= {"AISLE_HOME": str(home / "aisle"), "AISLE_SOURCES": str(home / "sources.yaml")}


def history() -> None:
    """Ingest the year before the first night, and train every model on it."""
    for table in TABLES:
        since = FIRST - timedelta(days=1) if table in ("people", "stores", "store_plans") else HISTORY
        aisle("ingest", table, "--from", str(since), "--until", str(FIRST))
    for model, options in TRAININGS.items():
        # The gate refuses what so small a chain teaches little about; it is scored all the same, for its cost.
        aisle("train", model, "--as-of", str(FIRST), *options, accepted=(0, 1))
        aisle("promote", model, "1", "--reason", "benchmark")


def play(home: Path, day: date) -> Night:
    """Run one night, and say what it cost."""
    night = Night(str(day))
    for table in TABLES:
        with timed(night, f"ingest {table}"):
            aisle("ingest", table, "--day", str(day), accepted=(0, 1))
    for domain in DOMAINS:
        with timed(night, f"score {domain}"):
            aisle("score", domain, "--day", str(day + timedelta(days=1)))
    with timed(night, "morning page"):
        write_morning_page()
    for folder, _, names in os.walk(home / "aisle"):
        kind = kind_of(Path(folder).relative_to(home / "aisle"))
        night.files[kind] = night.files.get(kind, 0) + len(names)
        night.bytes[kind] = night.bytes.get(kind, 0) + sum(Path(folder, name).stat().st_size for name in names)
    night.rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return night


def write_morning_page() -> None:
    """Write the morning page, as the last task of a night does."""
    from pipeline.morning import page
    from pipeline.settings import load_settings

    page.write_morning_page(load_settings())


def kind_of(folder: Path) -> str:
    """`lake/TABLE`, its log, or the first folder."""
    parts = folder.parts
    if parts[:1] == ("lake",) and len(parts) > 1:
        return f"log of {parts[1]}" if "_delta_log" in parts else parts[1]
    return parts[0] if parts else "home"


@contextlib.contextmanager
def timed(night: Night, part: str) -> Iterator[None]:
    """Add the processor time of what is done to a night."""
    before = os.times()
    yield
    after = os.times()
    night.cpu[part] = round(sum(after[:4]) - sum(before[:4]), 3)


def aisle(*args: str, accepted: tuple[int, ...] = (0,)) -> dict[str, Any]:
    """Run a command in this process."""
    from pipeline.cli.app import app
    from pipeline.errors import AisleError

    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = app([*args, "--json"], standalone_mode=False)
    except AisleError as error:
        code, refusal = 1, error
        if 1 in accepted:
            print(args, refusal)
    if (code or 0) not in accepted:
        raise SystemExit(f"aisle {' '.join(args)}: exit code {code}\n{out.getvalue()}{err.getvalue()}")
    return {}


if __name__ == "__main__":
    main()
