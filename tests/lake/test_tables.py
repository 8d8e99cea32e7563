"""The lake: one commit or none, versions that stay, writers that lose nothing, files that are never seen half."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from multiprocessing.context import BaseContext
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline.errors import RefusedError, UsageError
from pipeline.lake import tables as module
from pipeline.lake.tables import Lake, TableRef
from pipeline.settings import Settings

FIRST = date(2025, 1, 1)


def day(n: int) -> date:
    return FIRST + timedelta(days=n)


def rows(of: date, *values: str) -> pa.Table:
    return pa.table({"value": pa.array(values, pa.string()), "day": pa.array([of] * len(values), pa.date32())})


def content(lake: Lake, table: str = "t", version: int | None = None) -> Counter[tuple[date, str]]:
    return Counter((row["day"], row["value"]) for row in lake.read(table, version).to_pylist())


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(Settings(home=str(tmp_path / "home")))


def another(lake: Lake) -> Lake:
    return Lake(Settings(home=str(lake.home)))


# Tables


def test_a_replacement_replaces_just_its_partitions(lake: Lake) -> None:
    lake.replace("t", {"day": [day(0)]}, rows(day(0), "a"))
    lake.replace("t", {"day": [day(1)]}, rows(day(1), "b"))
    ref = lake.replace("t", {"day": [day(0)]}, rows(day(0), "c", "d"))
    assert content(lake) == Counter([(day(0), "c"), (day(0), "d"), (day(1), "b")])
    assert ref == TableRef("t", 2, day(0))
    assert lake.days("t") == [day(0), day(1)]
    assert lake.row_counts("t", "day") == {"2025-01-01": 2, "2025-01-02": 1}


def test_an_old_version_stays_as_it_was(lake: Lake) -> None:
    old = lake.replace("t", {"day": [day(0)]}, rows(day(0), "a"))
    lake.replace("t", {"day": [day(0)]}, rows(day(0), "b"))
    assert content(lake, version=old.version) == Counter([(day(0), "a")])
    assert lake.files("t", old.version) != lake.files("t")


def test_an_empty_replacement_empties_its_partitions(lake: Lake) -> None:
    lake.replace("t", {"day": [day(0), day(1)]}, pa.concat_tables([rows(day(0), "a"), rows(day(1), "b")]))
    ref = lake.replace("t", {"day": [day(0)]}, rows(day(0)))
    assert content(lake, version=ref.version) == Counter([(day(1), "b")])
    assert lake.days("t") == [day(1)]


def test_an_empty_replacement_makes_a_table_too(lake: Lake) -> None:
    lake.replace("t", {"day": [day(0)]}, rows(day(0)))
    assert lake.exists("t")
    assert lake.read("t").num_rows == 0


@given(st.lists(st.tuples(st.integers(0, 2), st.lists(st.sampled_from("abc"), max_size=3)), max_size=5))
@hypothesis_settings(deadline=None, max_examples=12)
def test_a_table_is_what_was_last_written_to_each_day(writes: list[tuple[int, list[str]]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as home:
        lake = Lake(Settings(home=home))
        last: dict[int, list[str]] = {}
        for n, values in writes:
            lake.replace("t", {"day": [day(n)]}, rows(day(n), *values))
            last[n] = values
            assert content(lake) == Counter((day(d), v) for d, values in last.items() for v in values)


def test_rows_of_other_partitions_are_refused_and_nothing_is_written(lake: Lake) -> None:
    lake.replace("t", {"day": [day(0)]}, rows(day(0), "a"))
    with pytest.raises(Exception, match="validation"):
        lake.replace("t", {"day": [day(1)]}, rows(day(2), "b"))
    assert lake.version("t") == 0


@pytest.mark.parametrize("where", [{}, {"day": []}])
def test_a_replacement_must_say_of_what(lake: Lake, where: dict[str, list[date]]) -> None:
    lake.replace("t", {"day": [day(0)]}, rows(day(0), "a"))
    with pytest.raises(UsageError, match="must name the partitions"):
        lake.replace("t", where, rows(day(0), "b"))


def test_partitions_of_text_may_hold_anything(lake: Lake) -> None:
    names = ["it's", "a b/c", "50%", "é=ü"]
    for name in [*names, *names]:
        table = pa.table({"value": pa.array([name]), "delivery": pa.array([name])})
        lake.replace("t", {"delivery": [name]}, table)
    assert sorted(lake.read("t")["value"].to_pylist()) == sorted(names)
    assert all(Path(file).exists() for file in lake.files("t"))
    assert lake.read("t", where={"delivery": ["it's"]})["value"].to_pylist() == ["it's"]


def test_a_table_that_is_not_there_is_said(lake: Lake) -> None:
    assert not lake.exists("t")
    assert lake.days("t") == []
    assert lake.row_counts("t", "day") == {}
    with pytest.raises(RefusedError, match="does not exist yet"):
        lake.read("t")


def test_a_reference_survives_json() -> None:
    for ref in (TableRef("t", 3, day(0)), TableRef("t", 3)):
        assert TableRef.from_dict(ref.as_dict()) == ref


# Writers at once


def test_a_writer_that_was_overtaken_makes_its_rows_again(lake: Lake) -> None:
    lake.replace("t", {"day": [day(0)]}, rows(day(0), "a"))
    made = []

    def make() -> pa.Table:
        if not made:
            another(lake).replace("t", {"day": [day(0)]}, rows(day(0), "b"))
        made.append(sorted(v for _, v in content(lake)))
        return rows(day(0), *made[-1], "c")

    lake.update("t", {"day": [day(0)]}, make)
    assert made == [["a"], ["b"]], "rows are made from the version that they replace"
    assert content(lake) == Counter([(day(0), "b"), (day(0), "c")])


def test_threads_that_share_a_lake_replace_the_version_that_each_of_them_read(lake: Lake) -> None:
    lake.replace("t", {"day": [day(0)]}, rows(day(0), "a"))
    made = []

    def make() -> pa.Table:
        if not made:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(lake.replace, "t", {"day": [day(0)]}, rows(day(0), "b")).result()
        made.append(sorted(v for _, v in content(lake)))
        return rows(day(0), *made[-1], "c")

    lake.update("t", {"day": [day(0)]}, make)
    assert made == [["a"], ["b"]]
    assert content(lake) == Counter([(day(0), "b"), (day(0), "c")])


@pytest.mark.parametrize("before", [[], ["a"]], ids=["new partition", "old partition"])
def test_emptying_a_partition_sees_what_was_written_meanwhile(lake: Lake, before: list[str]) -> None:
    lake.replace("t", {"day": [day(9)]}, rows(day(9), "x"))
    if before:
        lake.replace("t", {"day": [day(0)]}, rows(day(0), *before))
    calls = []

    def make() -> pa.Table:
        if not calls:
            another(lake).replace("t", {"day": [day(0)]}, rows(day(0), "late"))
        calls.append(1)
        return rows(day(0))

    lake.update("t", {"day": [day(0)]}, make)
    assert len(calls) == 2
    assert lake.days("t") == [day(9)]


def test_a_writer_that_is_always_overtaken_gives_up_and_says_so(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONFLICT_RETRIES", 3)
    lake.replace("t", {"day": [day(0)]}, rows(day(0), "a"))

    def make() -> pa.Table:
        another(lake).replace("t", {"day": [day(0)]}, rows(day(0), "b"))
        return rows(day(0), "c")

    with pytest.raises(RefusedError, match="kept changing"):
        lake.update("t", {"day": [day(0)]}, make)
    assert content(lake) == Counter([(day(0), "b")])


def test_writers_of_different_days_do_not_disturb_each_other(lake: Lake) -> None:
    lake.replace("t", {"day": [day(0)]}, rows(day(0), "a"))
    calls: list[int] = []

    def make() -> pa.Table:
        calls.append(1)
        another(lake).replace("t", {"day": [day(1)]}, rows(day(1), "b"))
        return rows(day(0), "c")

    lake.update("t", {"day": [day(0)]}, make)
    assert len(calls) == 1
    assert content(lake) == Counter([(day(0), "c"), (day(1), "b")])


def test_writers_that_begin_a_table_at_once_lose_nothing(lake: Lake) -> None:
    def add(n: int) -> None:
        mine = another(lake)
        old = lambda: [v for _, v in content(mine)] if mine.exists("t") else []  # noqa: E731
        mine.update("t", {"day": [day(0)]}, lambda: rows(day(0), *old(), str(n)))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(add, range(6)))
    assert content(lake) == Counter((day(0), str(n)) for n in range(6))


@pytest.mark.parametrize("way", ["replace", "append"])
def test_a_table_that_another_writer_creates_during_the_write_is_not_doubled(lake: Lake, way: str) -> None:
    overtaken = []

    def late() -> Iterator[pa.RecordBatch]:
        # Delta reads the rows after it has found that the table does not exist, and before it commits.
        if not overtaken:
            overtaken.append(True)
            # In a thread of its own: Delta's own threads cannot write.
            with ThreadPoolExecutor(1) as pool:
                pool.submit(another(lake).replace, "t", {"day": [day(0)]}, rows(day(0), "first")).result()
        yield from rows(day(0), "second").to_batches()

    class Late:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return pa.RecordBatchReader.from_batches(rows(day(0)).schema, late()).__arrow_c_stream__(requested_schema)

    if way == "append":
        lake.append("t", Late(), ["day"])  # type: ignore[arg-type]
    else:
        lake.update("t", {"day": [day(0)]}, Late)  # type: ignore[arg-type]
    assert overtaken
    assert content(lake) == Counter([(day(0), "second"), *[(day(0), "first")] * (way == "append")])


def write_first(homes: list[str], way: str, name: str, together: Barrier) -> None:
    """Write to a table that does not exist yet, in each home at the same time as the other processes."""
    for home in homes:
        mine = Lake(Settings(home=home))
        table = rows(day(0), *[name] * 1000)
        together.wait(60)
        if way == "append":
            mine.append("t", table, ["day"])
        else:
            mine.replace("t", {"day": [day(0)]}, table)


@pytest.mark.parametrize("way", ["replace", "append"])
def test_first_writers_at_once_double_nothing_and_lose_nothing(
    tmp_path: Path, processes: BaseContext, way: str
) -> None:
    homes = [str(tmp_path / f"home{n}") for n in range(6)]
    together = processes.Barrier(4)
    writers = [processes.Process(target=write_first, args=(homes, way, name, together)) for name in "abcd"]  # type: ignore[attr-defined]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0] * 4
    for home in homes:
        counts = Counter(value for _, value in content(Lake(Settings(home=home))).elements())
        assert set(counts.values()) == {1000}
        assert len(counts) == (4 if way == "append" else 1)


PROGRAM = """
import sys
sys.path.insert(0, {root!r})
from datetime import date, timedelta
import pyarrow as pa
from pipeline.lake.tables import Lake
from pipeline.settings import Settings
lake = Lake(Settings(home={home!r}))
def rows(day, *values):
    return pa.table({{"value": pa.array(values, pa.string()), "day": pa.array([day] * len(values), pa.date32())}})
"""


def child(lake: Lake, program: str) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).parents[2])
    text = PROGRAM.format(root=root, home=str(lake.home)) + program
    return subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE)


def test_processes_at_once_lose_nothing(lake: Lake) -> None:
    program = """
for n in range(4):
    def make():
        old = lake.read("t").to_pylist() if lake.exists("t") else []
        return rows(date(2025, 1, 1), *(r["value"] for r in old), "{name}" + str(n))
    lake.update("t", {{"day": [date(2025, 1, 1)]}}, make)
"""
    writers = [child(lake, program.format(name=name)) for name in "ab"]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert content(lake) == Counter((day(0), f"{name}{n}") for name in "ab" for n in range(4))


@pytest.mark.parametrize("after", [0.0, 0.01, 0.05, 0.2])
def test_a_killed_writer_leaves_a_whole_version(lake: Lake, after: float) -> None:
    lake.replace("t", {"day": [day(0)]}, rows(day(0), *["old"] * 1000))
    lake.land("t", "d", "x.csv", io.BytesIO(b"old"))
    writer = child(
        lake,
        """
import io
print("ready", flush=True)
n = 0
while True:
    n += 1
    lake.replace("t", {"day": [date(2025, 1, 1)]}, rows(date(2025, 1, 1), *[str(n)] * 200_000))
    lake.land("t", "d", "x.csv", io.BytesIO(str(n).encode() * 2_000_000))
""",
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    time.sleep(after)
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait(30)
    writer.stdout.close()
    ((value, count),) = Counter(lake.read("t")["value"].to_pylist()).items()
    assert count == (1000 if value == "old" else 200_000)
    for file in (Path(str(lake.home)) / "raw" / "t" / "d").iterdir():
        if not file.name.startswith("."):
            assert hashlib.sha256(file.read_bytes()).hexdigest().startswith(file.name.split("-")[0])
    lake.replace("t", {"day": [day(0)]}, rows(day(0), "new"))
    assert content(lake) == Counter([(day(0), "new")])


# Files


def files(lake: Lake, *parts: str) -> list[str]:
    return sorted(path.name for path in Path(str(lake.path(*parts))).iterdir())


def test_bytes_land_as_they_came_and_once(lake: Lake) -> None:
    data = os.urandom(5_000_000)
    first = lake.land("t", "d", "x.csv", io.BytesIO(data))
    assert lake.land("t", "d", "x.csv", io.BytesIO(data)) == first
    assert (first.sha256, first.size) == (hashlib.sha256(data).hexdigest(), len(data))
    with lake.open_blob(first.path) as stream:
        assert stream.read() == data
    other = lake.land("t", "d", "x.csv", io.BytesIO(b"other"))
    assert files(lake, "raw", "t", "d") == sorted(Path(blob.path).name for blob in (first, other))


class Breaks(io.BytesIO):
    """A source that breaks off."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise OSError("gone")
        return super().read(10)


def test_a_landing_that_fails_leaves_nothing(lake: Lake) -> None:
    with pytest.raises(OSError, match="gone"):
        lake.land("t", "d", "x.csv", Breaks(b"x" * 100))
    assert files(lake, "raw", "t", "d") == []


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_nothing_else(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.write_blob("reports/page.html", b"old")

    def full(self: Path, target: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(type(lake.home), "replace", full)
    with pytest.raises(OSError, match="disk full"):
        lake.write_blob("reports/page.html", b"new")
    assert lake.path("reports", "page.html").read_bytes() == b"old"
    assert files(lake, "reports") == ["page.html"]


def test_nobody_sees_half_a_file(lake: Lake) -> None:
    contents = [bytes([n]) * 3_000_000 for n in (1, 2)]
    lake.write_blob("page", contents[0])
    done = threading.Event()

    def write() -> None:
        for n in range(40):
            lake.write_blob("page", contents[n % 2])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not done.is_set():
        data = lake.path("page").read_bytes()
        seen.add((len(data), len(set(data[:: 1 << 12]))))
    writer.join()
    assert seen == {(3_000_000, 1)}


# Buckets

# In a process of its own: gcsfs reads its environment when it is imported. Tables are left out: Delta's own client
# does not get along with the emulator.
BUCKET = """
import io, os, socket
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
os.environ |= {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}", "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
from gcp_storage_emulator.server import create_server
create_server("127.0.0.1", port, in_memory=True, default_bucket="shop").start()
from pipeline.ingestion.addresses import matches, missing
from pipeline.lake.tables import Lake
from pipeline.settings import Settings

lake = Lake(Settings(home="gs://shop/aisle"))
lake.write_blob("reports/page.html", b"old")
lake.write_blob("reports/page.html", b"new")
assert lake.path("reports", "page.html").read_bytes() == b"new"
first = lake.land("t", "d", "x.csv", io.BytesIO(b"bytes"))
assert lake.land("t", "d", "x.csv", io.BytesIO(b"bytes")) == first
assert lake.open_blob(first.path).read() == b"bytes"
assert [path.name for path in lake.path("raw", "t", "d").iterdir()] == [first.path.split("/")[-1]]
for day in (1, 2):
    lake.write_blob(f"drops/2025-01-0{day}.csv", b"x")
found = [(name, str(day)) for _, name, day in matches("gs://shop/aisle/drops/{day}.csv")]
assert found == [("2025-01-01.csv", "2025-01-01"), ("2025-01-02.csv", "2025-01-02")], found
assert missing("gs://shop/aisle/drops/{day}.csv") is None
assert missing("gs://shop/aisle/absent/{day}.csv")
print("done", flush=True)
os._exit(0)
"""


def test_files_in_a_bucket() -> None:
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", BUCKET], capture_output=True, text=True, timeout=60, cwd=root)
    assert done.stdout.endswith("done\n"), done.stderr[-2000:]


def test_a_column_that_a_later_release_adds_is_null_in_earlier_days(tmp_path: Path) -> None:
    lake = Lake(Settings(home=str(tmp_path)))
    lake.replace("features", {"day": ["1"]}, pa.table({"day": ["1"], "x": [1.0]}))
    lake.replace("features", {"day": ["2"]}, pa.table({"day": ["2"], "x": [2.0], "y": [3.0]}))
    rows = lake.read("features").sort_by("day")
    assert rows.select(["x", "y"]).to_pydict() == {"x": [1.0, 2.0], "y": [None, 3.0]}
    with pytest.raises(Exception, match="number of fields"):
        lake.replace("features", {"day": ["3"]}, pa.table({"day": ["3"], "x": [2.0]}))


def test_a_table_is_opened_from_a_checkpoint_that_is_at_most_ten_commits_old(lake: Lake) -> None:
    """A delivery opens tables some twenty times, and reads each commit since the last checkpoint every time."""
    for number in range(25):
        lake.replace("t", {"day": [day(1)]}, rows(day(1), str(number)))
    log = lake.path("lake", "t", "_delta_log")
    newest = max(int(file.name.split(".")[0]) for file in log.glob("*.checkpoint.parquet"))
    assert lake.version("t") - newest < 10
