"""The health of a table's files: whether its log is complete, and every data file is there and as long as the log says.

Delta itself notices little of it: an empty commit file, or a log that is gone, gives fewer rows without an error.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.lake.commits import WRITTEN
from pipeline.lake.digests import rows_digest
from pipeline.lake.tables import DAY_COLUMNS, Lake
from pipeline.redaction import redact

if TYPE_CHECKING:
    from upath import UPath

BROKEN = "broken"
"""The folder below home into which damaged tables are moved."""
_COMMIT = re.compile(r"^(\d{20})\.json$")
_CHECKPOINT = re.compile(r"^(\d{20})\.checkpoint\b.*\.parquet$")


def table_folder_days(lake: Lake, table: str) -> set[str]:
    """The days for which a table's folder has or had files, whatever its log says."""
    root = lake.path("lake", table)
    names = [path.name for path in root.iterdir()] if root.exists() else []
    return {name.partition("=")[2] for name in names if name.partition("=")[0] in DAY_COLUMNS}


@dataclass(frozen=True)
class Damage:
    """A fault of a table's files.

    Attributes:
        detail: what is wrong, in a sentence.
        part: the values of the partition columns, in the order of the columns' names; None if the log is damaged.
    """

    detail: str
    part: tuple[str, ...] | None


def damages(lake: Lake, table: str, *, deep: bool = False) -> list[str]:
    """Say what is wrong with the files of a table, in sentences; see `find_damages`."""
    return [damage.detail for damage in find_damages(lake, table, deep=deep)]


def find_damages(lake: Lake, table: str, *, deep: bool = False) -> list[Damage]:
    """Find what is wrong with the files of a table; nothing for a table that was never written.

    Args:
        lake: the lake.
        table: the table.
        deep: whether to read every data file, instead of comparing its size with the log.
    """
    root = lake.path("lake", table)
    sizes = _sizes(root)
    if not sizes:
        return []
    if found := _log_damages(root, sizes):
        return [Damage(detail, None) for detail in found]
    try:
        files, columns = lake.data_files(table), sorted(lake.partition_columns(table))
    except Exception as error:  # noqa: BLE001 - Delta raises many types, and whatever it cannot open is damaged
        return [Damage(f"its log cannot be read ({_first_line(error)})", None)]
    broken = []
    for file in files:
        if detail := _file_damage(root, file, sizes, deep):
            broken.append(Damage(detail, tuple(str(file[f"partition.{column}"]) for column in columns)))
    return broken or _changed_parts(lake, table, files, deep)


def set_aside(lake: Lake, table: str) -> str:
    """Move the folder of a damaged table to `broken/`, so that the table can be written anew; return where it is.

    Nothing is deleted, so that whoever wants to look at what happened still can.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    target = f"{BROKEN}/{table}-{stamp}"
    source, destination = lake.path("lake", table), lake.path(target)
    destination.parent.mkdir(parents=True, exist_ok=True)
    source.fs.mv(source.path, destination.path, recursive=True)
    source.fs.invalidate_cache()
    return target


def _sizes(root: UPath) -> dict[str, int]:
    """The size in bytes of each file of a table, by its path below the table's folder."""
    root.fs.invalidate_cache()
    found = root.fs.find(root.path, detail=True) if root.exists() else {}
    prefix = len(str(root.path).rstrip("/")) + 1
    return {path[prefix:]: int(about["size"]) for path, about in found.items()}


def _log_damages(root: UPath, sizes: Mapping[str, int]) -> list[str]:
    """Say what is wrong with the commits since the newest checkpoint."""
    names = [path.removeprefix("_delta_log/") for path in sizes if path.startswith("_delta_log/")]
    commits = sorted(int(match[1]) for name in names if (match := _COMMIT.match(name)))
    checkpoint = max((int(match[1]) for name in names if (match := _CHECKPOINT.match(name))), default=-1)
    if not commits and checkpoint < 0:
        return ["it has data files but no log"]
    needed = range(checkpoint + 1, max(commits, default=checkpoint) + 1)
    if missing := [number for number in needed if number not in set(commits)]:
        return [f"commit {number} of its log is missing" for number in missing]
    return [fault for number in needed if (fault := _commit_damage(root, number))]


def _commit_damage(root: UPath, number: int) -> str:
    """Say what is wrong with a commit: it must be whole, and add and remove as many files as it says."""
    try:
        lines = root.joinpath("_delta_log", f"{number:020}.json").read_text(encoding="utf-8").splitlines()
        actions = [json.loads(line) for line in lines if line.strip()]
        kinds = [next(iter(action)) for action in actions]
    except (ValueError, StopIteration, TypeError):
        return f"commit {number} of its log is damaged"
    about = next((action["commitInfo"] for action in actions if "commitInfo" in action), None)
    if about is None:
        return f"commit {number} of its log is cut off"
    metrics = about.get("operationMetrics", {})
    counted = {"num_added_files": kinds.count("add"), "num_removed_files": kinds.count("remove")}
    if any(name in metrics and int(metrics[name]) != count for name, count in counted.items()):
        return f"commit {number} of its log is cut off"
    return ""


def _file_damage(root: UPath, file: Mapping[str, Any], sizes: Mapping[str, int], deep: bool) -> str:
    path = unquote(file["path"])
    size = sizes.get(path)
    if size is None:
        return f"its data file {path} is missing"
    if size != file["size_bytes"]:
        return f"its data file {path} has {size} bytes instead of {file['size_bytes']}"
    if not deep:
        return ""
    try:
        with root.joinpath(path).open("rb") as stream:
            rows = pq.read_table(stream).num_rows
    except (pa.ArrowException, OSError, ValueError) as error:
        return f"its data file {path} cannot be read ({_first_line(error)})"
    return (
        "" if rows == file["num_records"] else f"its data file {path} has {rows} rows instead of {file['num_records']}"
    )


def _changed_parts(lake: Lake, table: str, files: list[dict[str, Any]], deep: bool) -> list[Damage]:
    """Find parts whose rows are not those that the pipeline wrote there: something else has changed them.

    Only the numbers of rows are compared, or, if `deep`, the content too.
    """
    columns = sorted(lake.partition_columns(table))
    counts: dict[tuple[str, ...], int] = {}
    for file in files:
        key = tuple(str(file[f"partition.{column}"]) for column in columns)
        counts[key] = counts.get(key, 0) + int(file["num_records"])
    found = []
    for key, record in _written(lake, table, len(columns)).items():
        rows, observed = int(record["rows"]), counts.get(key, 0)
        if observed != rows:
            found.append(Damage(f"its part {', '.join(key)} has {observed} rows instead of {rows}", key))
        elif deep and rows:
            where = {column: [value] for column, value in zip(columns, key, strict=True)}
            # A column that was added since reads as null here.
            if rows_digest(lake.read(table, where=where).select(record["columns"])) != record["digest"]:
                found.append(Damage(f"its part {', '.join(key)} has other rows than were written", key))
    return found


def _written(lake: Lake, table: str, width: int) -> dict[tuple[str, ...], dict[str, Any]]:
    """For each part what the newest commit that wrote it says of its rows."""
    newest: dict[tuple[str, ...], dict[str, Any]] = {}
    for commit in lake.history(table):
        record = json.loads(commit.get(WRITTEN, "null"))
        if record and len(record["part"]) == width:
            newest.setdefault(tuple(record["part"]), record)
    return newest


def file_hash(path: UPath) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return redact(lines[0][:200]) if lines else type(error).__name__
