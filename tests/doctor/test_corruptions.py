"""Whatever breaks in a home, `aisle doctor` notices it, and the command that it names puts it right, word for word."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from pipeline.ingestion import ledger
from pipeline.ingestion import steps as ingestion
from pipeline.ingestion.ledger import LEDGER, Status
from pipeline.ingestion.quarantine import export
from pipeline.ingestion.replay import replay
from tests.doctor.helpers import advice, aisle, faults, follow
from tests.suites import without_share_limit
from tests.till import Till, a_till

TABLE, RECEIVED, QUARANTINE = "transactions", "transactions.received", "transactions.quarantine"
FIRST, SECOND, MONTH = "till--2025-03-03.csv", "till--2025-03-04.csv", "files--month.csv"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Path:
    """A shop with deliveries that overlap, rows in quarantine and a correction."""
    folder = tmp_path_factory.mktemp("corruptions")
    till = a_till(folder, without_share_limit(folder / "expectations"))
    till.deliver("2025-03-03.csv", [till.line(1), till.line(2, quantity=0), till.line(3, quantity="x"), till.line(4)])
    till.deliver("2025-03-04.csv", [till.line(5, day="2025-03-04"), till.line("late", quantity=7)])
    till.deliver("files/month.csv", [till.line(4, quantity=9), till.line(6)])
    rows = export(till.settings, TABLE, FIRST).replace("2,10001,a thing,0", "2,10001,a thing,5")
    replay(till.settings, TABLE, FIRST, "".join(rows.splitlines(keepends=True)[:2]))
    shutil.copy(empty_mlflow, folder / "home" / "mlflow.db")
    return folder


@pytest.fixture
def shop(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Till:
    """A copy of it, in the environment."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    till = a_till(tmp_path, tmp_path / "expectations")
    for name in ("home", "sources", "data", "expectations"):
        monkeypatch.setenv(f"AISLE_{name.upper()}", str(getattr(till.settings, name)))
    return till


def state(till: Till, *, times: bool = True) -> list[Any]:
    """All that the tables and the ledger hold. When a correction landed, only its raw file knows."""
    tables: list[Any] = [sorted(till.lake.read(name).to_pylist(), key=str) for name in (TABLE, RECEIVED, QUARANTINE)]
    if not times:
        tables[1] = [{name: cell for name, cell in row.items() if name != "spoken_at"} for row in tables[1]]
    entries = [replace(e, landed_at=date.min) if e.corrects or not times else e for e in ledger.entries(till.lake)]
    return [*tables, sorted(entries, key=lambda entry: entry.delivery)]


# How to break things


def log_of(till: Till, table: str) -> list[Path]:
    return sorted(Path(till.settings.home, "lake", table, "_delta_log").glob("*.json"))


def data_of(till: Till, table: str) -> list[Path]:
    root = Path(till.settings.home, "lake", table)
    return [root / file["path"].replace("%3D", "=") for file in till.lake.data_files(table) if file["num_records"]]


def lose_commit(table: str, which: int) -> Callable[[Till], None]:
    return lambda till: log_of(till, table)[which].unlink()


def empty_commit(table: str, which: int) -> Callable[[Till], None]:
    return lambda till: log_of(till, table)[which].write_bytes(b"")


def cut_commit(table: str, lines: int) -> Callable[[Till], None]:
    """Cut a commit at the end of a line, so that it is still well formed."""

    def cut(till: Till) -> None:
        file = log_of(till, table)[-1]
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:lines]))

    return cut


def spoil_commit(table: str) -> Callable[[Till], None]:
    return lambda till: log_of(till, table)[1].write_bytes(b"\xff\x00 no JSON")


def empty_log(table: str) -> Callable[[Till], None]:
    return lambda till: [file.unlink() for file in log_of(till, table)] and None


def spoil_checkpoint(table: str) -> Callable[[Till], None]:
    def spoil(till: Till) -> None:
        DeltaTable(str(till.lake.path("lake", table))).create_checkpoint()
        (file,) = log_of(till, table)[0].parent.glob("*.checkpoint.parquet")
        file.write_bytes(b"PAR1 no more PAR1")

    return spoil


def lose_data(table: str) -> Callable[[Till], None]:
    return lambda till: data_of(till, table)[0].unlink()


def cut_data(table: str) -> Callable[[Till], None]:
    return lambda till: data_of(till, table)[0].write_bytes(data_of(till, table)[0].read_bytes()[:-9])


def foreign_data(table: str) -> Callable[[Till], None]:
    return lambda till: shutil.copy(data_of(till, LEDGER)[0], data_of(till, table)[0]) and None


def spoil_data(table: str) -> Callable[[Till], None]:
    def spoil(till: Till) -> None:
        file = data_of(till, table)[0]
        data = bytearray(file.read_bytes())
        data[8:40] = b"\xff" * 32
        file.write_bytes(data)

    return spoil


def lose_table(table: str) -> Callable[[Till], None]:
    return lambda till: shutil.rmtree(till.lake.path("lake", table))


def lose_lake(till: Till) -> None:
    shutil.rmtree(till.lake.path("lake"))


def change_rows(table: str, change: Callable[[pa.Table], pa.Table]) -> Callable[[Till], None]:
    """Write other rows with another writer of Delta tables."""

    def write(till: Till) -> None:
        rows = change(till.lake.read(table))
        write_deltalake(str(till.lake.path("lake", table)), rows, mode="overwrite")

    return write


def set_cell(column: str, value: object, at: int = 0) -> Callable[[pa.Table], pa.Table]:
    def change(rows: pa.Table) -> pa.Table:
        cells = rows[column].to_pylist()
        cells[at] = value
        return rows.set_column(rows.schema.get_field_index(column), column, pa.array(cells, rows[column].type))

    return change


def entry(delivery: str = FIRST, **changes: object) -> Callable[[Till], None]:
    """Change an entry of the ledger behind the pipeline's back."""

    def change(till: Till) -> None:
        name = correction(till) if delivery == "correction" else delivery
        rows = [row | (changes if row["delivery"] == name else {}) for row in till.lake.read(LEDGER).to_pylist()]
        write_deltalake(
            str(till.lake.path("lake", LEDGER)), pa.Table.from_pylist(rows, schema=ledger.SCHEMA), mode="overwrite"
        )

    return change


def change_received_and_clean(till: Till) -> None:
    for table in (RECEIVED, TABLE):
        rows = till.lake.read(table)
        prices = [
            99.0 if cell == "5" else price
            for cell, price in zip(rows["invoice"].to_pylist(), rows["unit_price"].to_pylist(), strict=True)
        ]
        column = pa.array(prices, rows["unit_price"].type)
        changed = rows.set_column(rows.schema.get_field_index("unit_price"), "unit_price", column)
        write_deltalake(str(till.lake.path("lake", table)), changed, mode="overwrite")


def correction(till: Till) -> str:
    (name,) = ledger.corrections_of(till.lake, TABLE, FIRST)
    return name


def raw(till: Till, delivery: str) -> Path:
    name = correction(till) if delivery == "correction" else delivery
    return Path(till.settings.home, ledger.entries(till.lake, TABLE, name)[0].blob)


def lose_raw(delivery: str) -> Callable[[Till], None]:
    return lambda till: raw(till, delivery).unlink()


def cut_raw(delivery: str) -> Callable[[Till], None]:
    return lambda till: raw(till, delivery).write_bytes(b"Invoice") and None


def change_raw(delivery: str) -> Callable[[Till], None]:
    return lambda till: (
        raw(till, delivery).write_bytes(raw(till, delivery).read_bytes().replace(b"a thing", b"a think")) and None
    )


def first_half(rows: pa.Table) -> pa.Table:
    return rows[: rows.num_rows // 2]


def doubled(rows: pa.Table) -> pa.Table:
    return pa.concat_tables([rows, rows])


DEEP = ("--deep",)
CORRUPTIONS: dict[str, tuple[Callable[[Till], None], tuple[str, ...]]] = {
    "a commit of the clean log is missing": (lose_commit(TABLE, 1), ()),
    "the last commit of the clean log is missing": (lose_commit(TABLE, -1), ()),
    "a commit of the received log is missing": (lose_commit(RECEIVED, 1), ()),
    "the last commit of the received log is missing": (lose_commit(RECEIVED, -1), ()),
    "the first commit of the quarantine's log is missing": (lose_commit(QUARANTINE, 0), ()),
    "a commit of the ledger is missing": (lose_commit(LEDGER, 2), ()),
    "the last commit of the ledger is missing": (lose_commit(LEDGER, -1), ()),
    "a commit of the clean log is empty": (empty_commit(TABLE, 1), ()),
    "a commit of the received log is empty": (empty_commit(RECEIVED, 1), ()),
    "a commit of the clean log is cut at a line": (cut_commit(TABLE, 1), ()),
    "a commit of the received log is spoilt": (spoil_commit(RECEIVED), ()),
    "the clean log is emptied": (empty_log(TABLE), ()),
    "the received log is emptied": (empty_log(RECEIVED), ()),
    "the quarantine's log is emptied": (empty_log(QUARANTINE), ()),
    "the ledger's log is emptied": (empty_log(LEDGER), ()),
    "a checkpoint of the clean log is broken": (spoil_checkpoint(TABLE), ()),
    "a checkpoint of the ledger is broken": (spoil_checkpoint(LEDGER), ()),
    "a clean data file is missing": (lose_data(TABLE), ()),
    "a received data file is missing": (lose_data(RECEIVED), ()),
    "a data file of the ledger is missing": (lose_data(LEDGER), ()),
    "a clean data file is cut": (cut_data(TABLE), ()),
    "a received data file is another table's": (foreign_data(RECEIVED), ()),
    "a quarantine data file is spoilt, its size the same": (spoil_data(QUARANTINE), DEEP),
    "the clean table is gone": (lose_table(TABLE), ()),
    "the received table is gone": (lose_table(RECEIVED), ()),
    "the quarantine is gone": (lose_table(QUARANTINE), ()),
    "the ledger is gone": (lose_table(LEDGER), ()),
    "every table is gone": (lose_lake, ()),
    "clean rows are lost": (change_rows(TABLE, first_half), ()),
    "clean rows are doubled": (change_rows(TABLE, doubled), ()),
    "a clean value is changed": (change_rows(TABLE, set_cell("quantity", 1000)), ()),
    "received rows are lost": (change_rows(RECEIVED, first_half), ()),
    "received rows are doubled": (change_rows(RECEIVED, doubled), ()),
    "a value is changed in received and clean alike": (change_received_and_clean, DEEP),
    "quarantined rows are lost": (change_rows(QUARANTINE, first_half), ()),
    "quarantined rows are doubled": (change_rows(QUARANTINE, doubled), ()),
    "a quarantined row is changed": (change_rows(QUARANTINE, set_cell("raw", "{}")), DEEP),
    "entries of the ledger are lost": (change_rows(LEDGER, first_half), ()),
    "entries of the ledger are doubled": (change_rows(LEDGER, doubled), ()),
    "the ledger says refused": (entry(status="refused"), ()),
    "the ledger says replaced": (entry(status="replaced"), ()),
    "the ledger says landed": (entry(SECOND, status="landed"), ()),
    "the ledger says nonsense": (entry(status="nonsense"), ()),
    "the ledger says that a correction was replaced": (entry("correction", status="replaced"), ()),
    "the ledger's number of rows is changed": (entry(read=9), ()),
    "the ledger's checksum is changed": (entry(sha256="0" * 64), ()),
    "the ledger's address of the raw bytes is changed": (entry(blob="raw/transactions/nowhere"), ()),
    "the ledger's size of the raw bytes is changed": (entry(size=1), ()),
    "raw bytes are missing": (lose_raw(FIRST), ()),
    "raw bytes of another source are missing": (lose_raw(MONTH), ()),
    "raw bytes are cut": (cut_raw(FIRST), ()),
    "raw bytes are changed, their size the same": (change_raw(SECOND), DEEP),
    "raw bytes of a correction are missing": (lose_raw("correction"), ()),
    "raw bytes of a correction are changed, their size the same": (change_raw("correction"), DEEP),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_is_noticed_and_what_the_doctor_advises_mends_it(shop: Till, name: str) -> None:
    corrupt, options = CORRUPTIONS[name]
    # When a delivery landed, only the tables know to the microsecond; the raw files know their order.
    before = state(shop, times=corrupt is not lose_lake)
    corrupt(shop)
    found = faults(*options)
    assert found, "the doctor says that all is well"
    assert {finding["what"] for finding in found} == {"ledger of transactions"}
    follow(found)
    assert faults("--deep") == []
    assert state(shop, times=corrupt is not lose_lake) == before


def test_several_corruptions_are_all_named_and_repaired_at_once(shop: Till) -> None:
    before = state(shop)
    for name in (
        "received rows are lost",
        "quarantined rows are lost",
        "clean rows are doubled",
        "raw bytes are missing",
    ):
        CORRUPTIONS[name][0](shop)
    (found,) = faults()
    assert advice(found) == [
        ["ingest", TABLE, "--source", "till", "--all"],
        ["repair", TABLE],
    ], "the repair needs the raw bytes"
    follow([found])
    assert faults("--deep") == []
    assert state(shop) == before


def test_rows_of_a_delivery_that_was_refused_are_removed(shop: Till) -> None:
    before = state(shop)
    rows = shop.lake.read(RECEIVED, where={"delivery": [FIRST]})
    wrong = rows.set_column(rows.schema.get_field_index("delivery"), "delivery", pa.array(["till--x"] * rows.num_rows))
    shop.lake.replace(RECEIVED, {"delivery": ["till--x"]}, wrong)
    (first,) = ledger.entries(shop.lake, TABLE, FIRST)
    refused = replace(first, delivery="till--x", status=Status.REFUSED, read=0, clean=0, quarantined=0)
    ledger.record(shop.lake, refused)
    (found,) = faults()
    assert "refused or replaced" in found["detail"]
    follow([found])
    assert faults("--deep") == []
    assert [*state(shop)[:3], [e for e in state(shop)[3] if e.delivery != "till--x"]] == before


def test_what_is_well_is_not_written_again(shop: Till) -> None:
    versions = [shop.lake.version(name) for name in (TABLE, RECEIVED, QUARANTINE, LEDGER)]
    assert "nothing to repair" in aisle("repair", TABLE).output
    assert [shop.lake.version(name) for name in (TABLE, RECEIVED, QUARANTINE, LEDGER)] == versions


def test_there_are_more_than_enough_corruptions() -> None:
    assert len(CORRUPTIONS) >= 22


def test_a_home_that_is_well_is_said_to_be(shop: Till) -> None:
    assert faults() == []
    assert faults("--deep") == []


@pytest.mark.parametrize(
    "name",
    ["a commit of the clean log is empty", "clean rows are lost", "received rows are lost", "the ledger says landed"],
)
def test_already_committed_is_not_believed_where_the_tables_say_otherwise(shop: Till, name: str) -> None:
    CORRUPTIONS[name][0](shop)
    result = aisle("ingest", TABLE, "--all", "--json")
    answer = json.loads(result.stdout)
    if name == "the ledger says landed":
        assert answer.get("already_committed", 0) == 1
        return
    assert result.exit_code == 1
    assert all("aisle repair transactions" in reason for reason in answer["refused"].values())
    assert answer["refused"]


@dataclass
class Counted:
    """Calls of the engine."""

    times: int = 0


def test_to_believe_it_costs_no_query_where_deliveries_do_not_overlap(shop: Till, monkeypatch: Any) -> None:
    from pipeline.lake import engine

    counted = Counted()

    def connect(*arguments: Any) -> Iterator[Any]:
        counted.times += 1
        raise AssertionError("the engine was asked")

    shop.deliver("2025-03-10.csv", [shop.line(day="2025-03-10")])
    delivery = shop.found("2025-03-10.csv")
    monkeypatch.setattr(engine, "connect", connect)
    assert ingestion.ingest(shop.settings, delivery).unchanged
    assert counted.times == 0
