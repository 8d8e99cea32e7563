"""Whether two commits make the same of the same deliveries: tables, models, decisions of the gate, states and pages.

    python -m benchmarks.compare_commits OLD NEW [--domain NAME] [--home DIR]
        [--open-data DIR [--store-days] [--daily DAYS]]

Each commit runs in a worktree and a home of its own, by its own command line, mappings and suites. Compared is to the
last digit, but for what differs with each run (`DIFFERS`), words meant for people (`WORDS`) and what was renamed
knowingly (`TABLES`, `COLUMNS`, `METRICS`). The exit code is 1 if anything else differs.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import html
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable, QueryBuilder
from pyarrow import csv

SATURDAY = 5
DAILY = "online-retail-days"
ROOT = Path(__file__).resolve().parents[1]

# What was renamed knowingly, by its old name. A commit that has the old name is read as if it had the new one.
TABLES: Mapping[str, str] = {}
COLUMNS: Mapping[tuple[str, str], str] = {("store_forecasts", "made_on"): "as_of", ("drift", "checked_on"): "as_of"}
METRICS: Mapping[str, tuple[str, float]] = {}
"""Old name of a metric -> its new name, and what the old value is multiplied with where the unit is another."""

DIFFERS = {"at", "landed_at", "spoken_at", "seconds", "peak_mb", "page", "rules"}
DIFFERS |= {f"aisle.{tag}" for tag in ("sha256", "fingerprint", "format")}
ADDED = {"already_committed", "missing", "closed", "warnings"}
"""Keys of JSON that later commits add."""
WORDS = {"reason", "reasons", "allowed", "sentence"}
"""Columns and keys of JSON that are not compared; of a quarantine, whose reasons are names, they are."""

CLI = "from pipeline.cli import main; main()"
WRITE = """
import sys
from datetime import date
from pathlib import Path
import pipeline
from pipeline.simulate.deliveries import delivery_bytes
assert Path(pipeline.__file__).is_relative_to(Path.cwd()), pipeline.__file__
address, start, end, file = sys.argv[1:]
Path(file).parent.mkdir(parents=True, exist_ok=True)
Path(file).write_bytes(delivery_bytes(address, date.fromisoformat(start), date.fromisoformat(end)))
"""
PREDICT = """
import json, sys
import numpy as np
from mlflow.models import Model
from skops import io
said = {}
for name, folder in json.loads(sys.stdin.read()).items():
    file = f"{folder}/model.skops"
    model = io.load(file, trusted=io.get_untrusted_types(file=file))
    rows = Model.load(folder).load_input_example(folder)
    answers = {how: getattr(model, how)(rows) for how in ("predict", "shares") if hasattr(model, how)}
    said[name] = {how: np.asarray(answer).tolist() for how, answer in answers.items()}
print(json.dumps(said))
"""
DELIVERIES: dict[str, tuple[tuple[str, str, str, str, str], ...]] = {
    "customers": (
        (
            "transactions",
            "shop?seed=7&customers=600",
            "2025-05-12",
            "2025-06-23",
            "&defects=zero_quantity:3,text_price:2",
        ),
        ("transactions", "shop?seed=7&customers=600", "2025-06-21", "2025-07-01", ""),
    ),
    "shoppers": (
        ("visits", "visits?seed=7&people=320", "2025-04-01", "2025-07-01", ""),
        ("people", "people?seed=7&people=320", "2025-06-30", "2025-07-01", ""),
    ),
    "footfall": (("footfall", "footfall?seed=7", "2025-01-01", "2025-07-01", ""),),
    "stores": (
        ("store_days", "store_days?seed=7&stores=8", "2024-06-24", "2025-07-01", ""),
        ("stores", "stores?seed=7&stores=8", "2025-06-30", "2025-07-01", ""),
        ("store_plans", "store_plans?seed=7&stores=8", "2025-06-16", "2025-07-01", ""),
    ),
}
"""By domain: table, simulated address, first day, day after the last, and what is planted; a file each."""
NIGHTS = "nights"
"""Instead of a domain: deliveries of the shop night by night, with every defect that the simulator knows."""
DEFECTS = (
    "text_quantity:2,fractional_quantity,zero_quantity:3,missing_quantity",
    "text_price,nan_price:2,infinite_price,negative_price:2,missing_price",
    "missing_invoice,missing_stock_code:2,missing_date,other_date_format:2",
    "date_1900,date_2999,short_row:2,repeated_header",
    "huge_description",
    *("empty_file", "header_only", "truncated", "wrong_delimiter", "wrong_encoding"),
    *("duplicate_column", "missing_column", "extra_column"),
)
"""What is planted, a night each, after nine nights without."""
OPEN_NIGHTS = [day for n in range(25) if (day := date(2025, 5, 12) + timedelta(days=n)).weekday() != SATURDAY]
DELIVERIES[NIGHTS] = tuple(
    (
        "transactions",
        "shop?seed=7&customers=600",
        str(day),
        str(day + timedelta(days=1)),
        planted and f"&defects={planted}",
    )
    for day, planted in zip(OPEN_NIGHTS, (*[""] * 9, *DEFECTS), strict=True)
)
SHOPPERS = ("purchase_probability", "brand_choice", "purchase_quantity", "people_segments")
LAST = "2025-07-01"
SIMULATED = {
    "customers": (
        "ingest transactions --all",
        "quarantine list transactions",
        *(f"train customer_segments --as-of {day}" for day in ("2025-06-16", LAST)),
        f"score customers --day {LAST}",
    ),
    "shoppers": (
        "ingest visits --all",
        "ingest people --all",
        "train purchase_probability --as-of 2025-06-16",
        *(f"train {name} --as-of {LAST}" for name in SHOPPERS),
        f"score shoppers --day {LAST}",
    ),
    "footfall": (
        "ingest footfall --all",
        *(f"train footfall_buyers --as-of {day}" for day in ("2025-04-01", LAST)),
        f"score footfall --day {LAST}",
        "backtest footfall_buyers",
    ),
    "stores": (
        *(f"ingest {table} --all" for table in ("store_days", "stores", "store_plans")),
        "train store_sales --as-of 2025-06-30 --candidate linear_store",
        f"train store_sales --as-of {LAST} --candidate gradient_boosting --candidate random_forest",
        f"score stores --day {LAST}",
    ),
}
"""By domain, what the command line is asked, in this order; each with --json."""
ASKED_BY_NIGHT = (
    *(f"ingest transactions --from {day} --until {day + timedelta(days=5)}" for day in OPEN_NIGHTS[::4]),
    "quarantine list transactions",
    f"quarantine replay transactions till--{OPEN_NIGHTS[9]}.csv",
    "ingest transactions --all",
)
"""The nights overlap by a day, which is committed already; the last one is all of them again."""
OPEN = {
    "customers": (
        "ingest transactions --all",
        "train customer_segments --as-of 2011-12-10",
        "score customers",
    ),
    "shoppers": (
        "ingest visits --all",
        "ingest people --all",
        *(f"train {name}" for name in SHOPPERS),
        "score shoppers",
    ),
    "footfall": ("ingest footfall --all", "train footfall_buyers", "score footfall"),
    "stores": (
        *(f"ingest {table} --all" for table in ("store_days", "stores", "store_plans")),
        "train store_sales",
        "score stores",
    ),
}
"""The same for the public data sets. The stores' take minutes, so they need --store-days."""


@dataclass(frozen=True)
class Side:
    """A commit's worktree, and what it works with."""

    tree: Path
    home: Path
    sources: Path
    data: Path

    def run(self, *args: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run Python in the worktree. One thread: sums of several may differ in their last digits."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AISLE_")}
        env = {"HOME": self.home, "SOURCES": self.sources, "DATA": self.data, "CODE_VERSION": "compared", "THREADS": 1}
        env |= {"SEED": 7, "EXPECTATIONS": self.tree / "expectations"}
        env = kept | {f"AISLE_{name}": str(value) for name, value in env.items()} | {"PYTHONPATH": str(self.tree)}
        command = [sys.executable, *args]
        return subprocess.run(command, cwd=self.tree, env=env, input=given, capture_output=True, text=True)

    def ask(self, command: str) -> Any:
        """What a command of the command line says, and its exit code.

        Raises:
            RuntimeError: if it ends by anything but its word: done, or the data or the gate said no.
        """
        print(f"{self.tree.name}: aisle {command}", file=sys.stderr)
        module = (self.tree / "pipeline" / "cli" / "__main__.py").exists()
        done = self.run(*(("-m", "pipeline.cli") if module else ("-c", CLI)), *command.split(), "--json")
        if done.returncode not in (0, 1) or not done.stdout.strip():
            raise RuntimeError(f"{self.tree.name}: {command} ended with {done.returncode}\n{done.stderr[-3000:]}")
        return {"exit": done.returncode, "said": plain(json.loads(done.stdout.splitlines()[-1]))}


@contextmanager
def worktrees(folder: Path, commits: Mapping[str, str]) -> Iterator[dict[str, Path]]:
    """A worktree of each commit, taken away at the end."""
    git = ["git", "-C", str(ROOT), "worktree"]
    trees = {name: folder / name for name in commits}
    try:
        for name, commit in commits.items():
            subprocess.run([*git, "add", "--quiet", "--detach", str(trees[name]), commit], check=True)
        yield trees
    finally:
        for tree in trees.values():
            subprocess.run([*git, "remove", "--force", str(tree)], capture_output=True)


def simulated(tree: Path, folder: Path, domains: Iterable[str]) -> Side:
    """A side whose deliveries are files that its own simulator has written."""
    side = Side(tree, folder / "home", folder / "sources.yaml", folder / "data")
    for name, address, start, end, planted in (delivery for domain in domains for delivery in DELIVERIES[domain]):
        file = side.data / name / f"{start}.csv"
        side.run("-c", WRITE, f"simulate://{address}{planted}", start, end, str(file)).check_returncode()
    text = (tree / "sources.yaml").read_text(encoding="utf-8").replace("simulate://shop", "simulate://transactions")
    file = "{day}.csv" if NIGHTS in domains else "*.csv"
    side.sources.write_text(re.sub(r"simulate://(\w+)\S*", rf"\1/{file}", text), encoding="utf-8")
    return side


def daily(tree: Path, folder: Path, data: Path, days: int) -> Side:
    """A side whose deliveries are the first days of the public invoice lines, a file each."""
    side = Side(tree, folder / "home", tree / "examples" / "open-data" / "sources.yaml", folder)
    drops = folder / "drops" / "transactions"
    drops.mkdir(parents=True)
    lines = pq.read_table(data / "online_retail.parquet")
    dates = lines["InvoiceDate"].cast(pa.date32())
    for day in sorted(pc.unique(dates).to_pylist())[:days]:
        csv.write_csv(lines.filter(pc.equal(dates, day)), drops / f"{day}.csv")
    return side


def plain(value: Any) -> Any:
    """JSON without what differs with each run and what people read, under the names of today."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value if not _added_rule(item)]
    if not isinstance(value, dict):
        return value
    kept = {key: plain(item) for key, item in value.items() if key not in DIFFERS | WORDS | ADDED}
    if kept.get("metric") in METRICS:
        kept["metric"], factor = METRICS[kept["metric"]]
        kept["observed"] = _times(kept["observed"], factor)
    renamed = {METRICS[key][0]: _times(item, METRICS[key][1]) for key, item in kept.items() if key in METRICS}
    return {key: item for key, item in kept.items() if key not in METRICS} | renamed


def _added_rule(item: Any) -> bool:
    """Whether this is the result of a rule that later commits add, or ask where it does not apply."""
    if not isinstance(item, dict):
        return False
    return item.get("rule") == "NotOlder" or (item.get("metric"), item.get("observed", 0)) == (
        "rmspe_difference_high",
        None,
    )


def _times(value: Any, factor: float) -> Any:
    return float(f"{value * factor:.12g}") if isinstance(value, float) and factor != 1 else value


def table(home: Path, name: str) -> dict[str, Any]:
    """A table's columns, partition columns and number of rows, and a digest of the rows in any order."""
    target = DeltaTable(str(home / "lake" / name))
    types = {field.name: str(field.type) for field in target.schema().fields}
    today = {column: COLUMNS.get((name, column), column) for column in types}
    kept = set(types) - DIFFERS - (set() if name.endswith(".quarantine") else WORDS)
    rows = []
    for row in pa.table(QueryBuilder().register("t", target).execute("SELECT * FROM t").read_all()).to_pylist():
        named = {today[c]: plain(json.loads(v)) if c == "figures" else v for c, v in row.items() if c in kept}
        rows.append(json.dumps(named, sort_keys=True, default=str))
    columns = sorted((today[column], kind) for column, kind in types.items())
    parts = [today[column] for column in target.metadata().partition_columns]
    return {"columns": columns, "partition": parts, "rows": len(rows), "content": digest("\n".join(sorted(rows)))}


def fitted(file: Path) -> str:
    """A digest of a model file: ids in order of appearance, arrays by content, our own types by their name alone."""
    with zipfile.ZipFile(file) as archive:
        contents = {name: digest(archive.read(name)) for name in archive.namelist()}
        schema = archive.read("schema.json").decode()
    seen: dict[str, int] = {}
    schema = re.sub(r'"(\w+\.\w+)"', lambda found: f'"{contents.get(found[1], found[1])}"', schema)
    schema = re.sub(r'("__id__": )(\d+)', lambda found: f"{found[1]}{seen.setdefault(found[2], len(seen))}", schema)
    return digest(re.sub(r"\bpipeline(\.[a-z_0-9]+)+", "pipeline", schema))


def models(side: Side) -> dict[str, Any]:
    """Of each registered version: what the registry and its files hold, and what it says of its example."""
    found: dict[str, Any] = {}
    folders: dict[str, str] = {}
    with sqlite3.connect(side.home / "mlflow.db") as db:
        for name, version, run, source in db.execute("SELECT name, version, run_id, source FROM model_versions"):
            of = ("WHERE name = ? AND version = ?", (name, version))
            tags = dict(db.execute(f"SELECT key, value FROM model_version_tags {of[0]}", of[1]))
            aliases = db.execute(f"SELECT alias FROM registered_model_aliases {of[0]}", of[1])
            folder = folders[f"model {name} {version}"] = source
            read = {key: json.loads(tags.pop(f"aisle.{key}", "null")) for key in ("gate", "accepted", "metrics")}
            found |= {
                f"model {name} {version}: decision": plain([read["gate"], read["accepted"]]),
                f"model {name} {version}: metrics": plain(read["metrics"]),
                f"model {name} {version}: params": sorted(
                    db.execute("SELECT key, value FROM params WHERE run_uuid = ?", (run,))
                ),
                f"model {name} {version}: tags, aliases": [plain(tags), sorted(aliases)],
                f"model {name} {version}: artefacts": _files(Path(folder) / "artefacts"),
                f"model {name} {version}: example": digest((Path(folder) / "input_example.json").read_bytes()),
                f"model {name} {version}: fitted": fitted(Path(folder) / "model.skops"),
            }
    said = side.run("-c", PREDICT, given=json.dumps(folders))
    said.check_returncode()
    return found | {f"{name}: predictions": answer for name, answer in json.loads(said.stdout.splitlines()[-1]).items()}


def _files(folder: Path) -> dict[str, Any]:
    """What the files below a folder hold: JSON, else NumPy's arrays."""
    found: dict[str, Any] = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                found[str(file.relative_to(folder))] = {n: digest(archive.read(n)) for n in archive.namelist()}
        else:
            found[str(file.relative_to(folder))] = plain(json.loads(file.read_bytes()))
    return found


def made(side: Side, commands: Sequence[str]) -> dict[str, Any]:
    """Run the commands on a side, and say by name all that there is to compare."""
    asked = [*commands, *(["watch"] if any(command.startswith("score") for command in commands) else [])]
    found = {f"aisle {command}": side.ask(command) for command in asked}
    lake = side.home / "lake"
    names = sorted(str(log.parent.relative_to(lake)) for log in lake.rglob("_delta_log"))
    found |= {f"table {TABLES.get(name, name)}": table(side.home, name) for name in names}
    found |= models(side) if (side.home / "mlflow.db").exists() else {}
    found |= {f"files {name}/": _files(side.home / name) for name in ("state", "trials")}
    pages = sorted((side.home / "reports").rglob("*.html"))
    found |= {f"page {page.stem}": words_of(page) for page in pages if "validation" in page.parts}
    return found | {"pages": [str(page.relative_to(side.home)) for page in pages]}


def words_of(page: Path) -> list[str]:
    """What a page says, piece by piece, without its time and its ways to other pages."""
    content = re.sub(
        r"(?s)<(style|script|nav)\b.*?</\1>|<p class=\"ways\">.*?</p>", " ", page.read_text(encoding="utf-8")
    )
    pieces = (html.unescape(piece).strip() for piece in re.split(r"<[^>]*>", content))
    return [re.sub(r", landed \S+ \S+ UTC", "", piece) for piece in pieces if piece]


def compared(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """A row for each thing that either side has: its name, both sides in short, and whether they are the same."""
    rows = []
    for name in dict.fromkeys((*old, *new)):
        texts = [json.dumps(side[name], sort_keys=True) if name in side else "" for side in (old, new)]
        short = (_short(side[name]) if name in side else "missing" for side in (old, new))
        rows.append((name, *short, "equal" if texts[0] == texts[1] else "DIFFERENT"))
    return rows


def _short(value: Any) -> str:
    if isinstance(value, dict) and "rows" in value and "content" in value:
        return f"{value['rows']:,} rows, {value['content']}"
    return value if isinstance(value, str) else f"{digest(json.dumps(value, sort_keys=True))}"


def digest(content: str | bytes) -> str:
    """Enough of a SHA-256 to tell two contents apart."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:12]


def main() -> int:
    """Compare two commits, print a table, and say by the exit code whether all is equal."""
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("old", help="a commit")
    args.add_argument("new", help="another")
    args.add_argument("--home", type=Path, help="keep both homes below this empty folder")
    args.add_argument("--open-data", type=Path, help="folder of the public data sets, to be compared on as well")
    args.add_argument("--store-days", action="store_true", help="the public store days, too, which take minutes")
    args.add_argument("--daily", type=int, default=0, help="of the open data only so many days, as daily files")
    args.add_argument(
        "--domain", action="append", choices=[*SIMULATED, NIGHTS], help="this one only; again for more, but for nights"
    )
    opts = args.parse_args()
    domains = opts.domain or list(SIMULATED)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # worktrees are taken away then, too
    with tempfile.TemporaryDirectory(prefix="aisle-compare-") as temporary:
        work = (opts.home or Path(temporary)).absolute()
        with worktrees(Path(temporary), {"old": opts.old, "new": opts.new}) as trees:
            results = []
            for name, tree in trees.items():
                side = simulated(tree, work / name, domains)
                asked = ASKED_BY_NIGHT if NIGHTS in domains else [c for domain in domains for c in SIMULATED[domain]]
                found = _files_written(side) | made(side, asked)
                if opts.daily:
                    side = daily(tree, work / name / "daily", opts.open_data.absolute(), opts.daily)
                    commands = [f"ingest transactions --all --source {DAILY}"] * 2
                    found |= {f"daily files, {what}": value for what, value in made(side, commands).items()}
                elif opts.open_data:
                    mapping = tree / "examples" / "open-data" / "sources.yaml"
                    side = Side(tree, work / name / "open", mapping, opts.open_data.absolute())
                    commands = [c for domain in domains if domain != "stores" or opts.store_days for c in OPEN[domain]]
                    found |= {f"open data, {what}": value for what, value in made(side, commands).items()}
                results.append(found)
    rows = compared(*results)
    for name in (name for name in results[0] if "page " in name and results[0][name] != results[1].get(name)):
        print(*difflib.unified_diff(results[0][name], results[1].get(name, []), name, name, lineterm="", n=0), sep="\n")
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    for row in (("what", opts.old, opts.new, ""), *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    different = [row[0] for row in rows if row[3] != "equal"]
    print(f"\n{len(rows)} compared, {len(different)} different{': ' if different else ''}{'; '.join(different)}")
    return 1 if different else 0


def _files_written(side: Side) -> dict[str, Any]:
    """The simulator's deliveries by their bytes."""
    files = sorted(path for path in side.data.rglob("*.csv"))
    return {f"delivery {path.relative_to(side.data)}": digest(path.read_bytes()) for path in files}


if __name__ == "__main__":
    raise SystemExit(main())
