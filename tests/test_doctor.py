"""The doctor finds every fault at once, and what the ledger says is held against the tables."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.doctor import examine, ledger_adds_up
from pipeline.errors import AisleError
from pipeline.ingestion import ledger
from pipeline.ingestion import steps as ingestion
from pipeline.ingestion.ledger import Status
from pipeline.ingestion.quarantine import export
from pipeline.ingestion.repair import repair
from pipeline.ingestion.replay import replay
from pipeline.ingestion.sources import load_sources
from pipeline.settings import Settings

NAME = "2025-03-03.csv"
ID = f"till--{NAME}"
Break = Callable[[Any], None]


@pytest.fixture
def well(till: Any, home: Settings) -> Settings:
    """A home with a registry and a delivery."""
    till.deliver(NAME, [till.line(1), till.line(2, quantity=0)])
    settings: Settings = till.settings
    return settings.model_copy(update={"tracking_uri": home.mlflow_uri})


def test_all_is_well(well: Settings) -> None:
    findings = examine(lambda: well)
    assert {f.what: f.well for f in findings} == dict.fromkeys(
        (
            "home",
            "sources.yaml",
            *(f"source {name} of transactions" for name in load_sources(well).spec.tables["transactions"]),
            "suite of transactions",
            "ledger of transactions",
            "days of transactions",
            "registry",
        ),
        True,
    )
    (ledger_finding,) = (finding for finding in findings if finding.what == "ledger of transactions")
    assert "1 delivery, 2 rows read" in ledger_finding.detail


def test_days_without_rows_are_named(well: Settings, till: Any) -> None:
    """The shop is closed on Sunday the 9th."""
    till.deliver("2025-03-10.csv", [till.line(day="2025-03-10")])
    for day in ("2025-03-05", "2025-03-06"):
        till.deliver(f"{day}.csv", [till.line(day=day)])
    (found,) = (f for f in examine(lambda: well) if f.what == "days of transactions")
    assert found.detail.startswith(
        "2025-03-03 to 2025-03-10; no rows of 3 days: 2025-03-04, 2025-03-07 to 2025-03-08. Ask the source for them"
    )


def test_files_that_name_no_days_lack_none(till: Any, home: Settings) -> None:
    till.deliver("files/any.csv", [till.line(day=day) for day in ("2025-03-03", "2025-03-07")])
    settings = till.settings.model_copy(update={"tracking_uri": home.mlflow_uri})
    assert "days of transactions" not in {f.what for f in examine(lambda: settings)}


def test_one_fault_does_not_hide_the_next(well: Settings) -> None:
    broken = well.model_copy(update={"home": "/proc/nowhere", "sources": well.sources.with_name("none.yaml")})
    broken = broken.model_copy(update={"tracking_uri": "nonsense://"})
    found = {f.what: f for f in examine(lambda: broken)}
    assert [what for what, f in found.items() if not f.well] == [
        "home",
        "sources.yaml",
        "registry",
    ], "the fault of the mapping file is named once, not once a table"
    assert all(f.detail for f in found.values())


def test_a_missing_folder_and_a_missing_suite_are_found(well: Settings, tmp_path: Path) -> None:
    elsewhere = well.model_copy(update={"data": str(tmp_path / "absent"), "expectations": tmp_path})
    faults = {finding.what: finding.detail for finding in examine(lambda: elsewhere) if not finding.well}
    assert any(what.startswith("source ") and "absent" in detail for what, detail in faults.items())
    assert "AISLE_EXPECTATIONS" in faults["suite of transactions"]


@pytest.fixture
def shop(till: Any) -> Any:
    """A shop with two deliveries of the till that overlap a file, rows in quarantine, and one correction."""
    till.deliver(NAME, [till.line(1), till.line(2, quantity=0), till.line(3, quantity="x"), till.line(4)])
    till.deliver("2025-03-04.csv", [till.line(5, day="2025-03-04"), till.line("late", quantity=7)])
    till.deliver("files/month.csv", [till.line(4, quantity=9), till.line(6)])
    rows = export(till.settings, "transactions", ID).replace("2,10001,a thing,0", "2,10001,a thing,5")
    replay(till.settings, "transactions", ID, "".join(rows.splitlines(keepends=True)[:2]))
    return till


def state(till: Any) -> Any:
    """All that the tables and the ledger hold."""
    names = ("transactions", "transactions.received", "transactions.quarantine")
    tables = [sorted(till.lake.read(name).to_pylist(), key=str) for name in names]
    return [*tables, ledger.entries(till.lake)]


def rows_of(till: Any, table: str, delivery: str) -> pa.Table:
    rows: pa.Table = till.lake.read(table, where={"delivery": [delivery]})
    return rows


def correction(till: Any) -> str:
    (name,) = ledger.corrections_of(till.lake, "transactions", ID)
    return name


def lose_received_rows(till: Any) -> None:
    till.lake.replace("transactions.received", {"delivery": [ID]}, rows_of(till, "transactions.received", ID)[:1])


def lose_a_correction(till: Any) -> None:
    name = correction(till)
    till.lake.replace("transactions.received", {"delivery": [name]}, rows_of(till, "transactions.received", name)[:0])


def double_received_rows(till: Any) -> None:
    till.lake.append("transactions.received", till.lake.read("transactions.received"))


def lose_the_quarantine(till: Any) -> None:
    till.lake.replace("transactions.quarantine", {"delivery": [ID]}, rows_of(till, "transactions.quarantine", ID)[:0])


def double_the_clean_table(till: Any) -> None:
    till.lake.append("transactions", till.lake.read("transactions"))


def empty_a_clean_day(till: Any) -> None:
    till.lake.replace("transactions", {"day": [date(2025, 3, 3)]}, till.lake.read("transactions")[:0])


def change_a_clean_value(till: Any) -> None:
    rows = till.lake.read("transactions", where={"day": ["2025-03-04"]})
    wrong = rows.set_column(rows.schema.get_field_index("quantity"), "quantity", pa.array([1000]))
    till.lake.replace("transactions", {"day": [date(2025, 3, 4)]}, wrong)


def delete_the_clean_table(till: Any) -> None:
    shutil.rmtree(till.lake.path("lake", "transactions"))


def miscount_in_the_ledger(till: Any) -> None:
    (entry,) = ledger.entries(till.lake, "transactions", ID)
    ledger.record(till.lake, replace(entry, read=9))


def keep_rows_of_a_refused_delivery(till: Any) -> None:
    rows = rows_of(till, "transactions.received", ID)
    wrong = rows.set_column(rows.schema.get_field_index("delivery"), "delivery", pa.array(["till--x"] * rows.num_rows))
    (entry,) = ledger.entries(till.lake, "transactions", ID)
    ledger.record(till.lake, replace(entry, delivery="till--x", status=Status.REFUSED))
    till.lake.replace("transactions.received", {"delivery": ["till--x"]}, wrong)


def forget_a_delivery(till: Any) -> None:
    empty = till.lake.read("ledger")[:0]
    till.lake.replace("ledger", {"table": ["transactions"], "delivery": ["till--2025-03-04.csv"]}, empty)


def lose_raw_bytes(till: Any) -> None:
    till.lake.path(ledger.entries(till.lake, "transactions", ID)[0].blob).unlink()


def cut_raw_bytes(till: Any) -> None:
    till.lake.path(ledger.entries(till.lake, "transactions", ID)[0].blob).write_bytes(b"Invoice")


def lose_raw_bytes_of_a_correction(till: Any) -> None:
    till.lake.path(ledger.entries(till.lake, "transactions", correction(till))[0].blob).unlink()


REPAIR, INGEST = "aisle repair transactions", "aisle ingest transactions --all"
BREAKS: list[tuple[Break, str, str]] = [
    (lose_received_rows, "the ledger says 2 clean and 2 quarantined, the tables hold 1 and 2", REPAIR),
    (lose_a_correction, "the ledger says 1 clean and 0 quarantined, the tables hold 0 and 0", REPAIR),
    (double_received_rows, "the ledger says 2 clean and 2 quarantined, the tables hold 4 and 2", REPAIR),
    (lose_the_quarantine, "the ledger says 2 clean and 2 quarantined, the tables hold 2 and 0", REPAIR),
    (double_the_clean_table, "does not follow from the received rows on 2025-03-03, 2025-03-04", REPAIR),
    (empty_a_clean_day, "does not follow from the received rows on 2025-03-03", REPAIR),
    (change_a_clean_value, "does not follow from the received rows on 2025-03-04", REPAIR),
    (delete_the_clean_table, "does not follow from the received rows on 2025-03-03, 2025-03-04", REPAIR),
    (miscount_in_the_ledger, "9 rows read are not 2 clean + 2 quarantined", REPAIR),
    (keep_rows_of_a_refused_delivery, "the ledger says that it was refused or replaced", REPAIR),
    (forget_a_delivery, "the ledger does not know the delivery", INGEST),
    (lose_raw_bytes, "are missing", INGEST),
    (cut_raw_bytes, "have 7 bytes instead of", INGEST),
    (lose_raw_bytes_of_a_correction, "are missing", REPAIR),
]


def follow(till: Any, remedy: str) -> None:
    """Do what the doctor advises."""
    if remedy == REPAIR:
        assert not repair(till.settings, "transactions").failed
    else:
        for delivery in ingestion.pending(till.settings, "transactions"):
            ingestion.ingest(till.settings, delivery)


@pytest.mark.parametrize(("break_it", "detail", "remedy"), BREAKS, ids=[b.__name__ for b, _, _ in BREAKS])
def test_the_advice_of_the_doctor_puts_right_whatever_is_broken(
    shop: Any, break_it: Break, detail: str, remedy: str
) -> None:
    before = state(shop)
    assert "each accounted for" in ledger_adds_up(shop.settings, "transactions")
    break_it(shop)
    with pytest.raises(AisleError) as fault:
        ledger_adds_up(shop.settings, "transactions")
    assert detail in str(fault.value.observed)
    assert fault.value.todo.startswith(remedy)
    assert remedy == REPAIR or REPAIR not in fault.value.todo
    follow(shop, remedy)
    assert "each accounted for" in ledger_adds_up(shop.settings, "transactions")
    after = state(shop)
    if break_it is keep_rows_of_a_refused_delivery:
        after[-1] = [entry for entry in after[-1] if entry.delivery != "till--x"]
    if break_it is forget_a_delivery:
        # It lands anew, so the time of its landing differs.
        assert [len(part) for part in after] == [len(part) for part in before]
    else:
        assert after == before


def test_several_faults_are_all_named_and_repaired_at_once(shop: Any) -> None:
    before = state(shop)
    for break_it in (lose_received_rows, lose_the_quarantine, double_the_clean_table, miscount_in_the_ledger):
        break_it(shop)
    with pytest.raises(AisleError) as fault:
        ledger_adds_up(shop.settings, "transactions")
    assert fault.value.todo == REPAIR
    repair(shop.settings, "transactions")
    assert state(shop) == before


def test_without_a_fault_the_clean_table_is_not_written_again(shop: Any) -> None:
    version = shop.lake.version("transactions")
    done = repair(shop.settings, "transactions")
    assert (done.deliveries, done.days, done.failed) == ({}, (), {})
    assert shop.lake.version("transactions") == version
