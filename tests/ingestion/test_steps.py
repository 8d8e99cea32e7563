"""A delivery's way in: every row accounted for, the same tables whatever came first, came twice or came at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from multiprocessing.context import BaseContext
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import RefusedError
from pipeline.ingestion import ledger
from pipeline.ingestion import steps as ingestion
from pipeline.ingestion.deliveries import Delivery
from pipeline.ingestion.ledger import Status
from pipeline.settings import Settings
from pipeline.simulate.defects import ROW_DEFECTS, Defect, plant
from pipeline.simulate.deliveries import csv_bytes
from pipeline.simulate.shop import Shop

HEADER = "InvoiceNo,StockCode,Description,Quantity,UnitPrice,InvoiceDate,CustomerID,Country\n"
DAY = date(2025, 3, 3)
DAYS = ["2025-03-03", "2025-03-04", "2025-03-05", "2025-03-06"]
SHOP_DAY = csv_bytes(Shop(customers=300).lines(DAY, date(2025, 3, 4)))

# What the reason for a planted defect must name; what spoils the splitting of a row names no column.
COLUMNS = {
    "InvoiceNo": "invoice",
    "StockCode": "stock_code",
    "Quantity": "quantity",
    "UnitPrice": "unit_price",
    "InvoiceDate": "invoiced_at",
    "Description": "description",
}
CHEAP_DEFECTS = [defect for defect in ROW_DEFECTS if defect is not Defect.HUGE_DESCRIPTION]


def a_day(till: Any, day: str) -> list[str]:
    return [till.line(f"{day[-2:]}{n}", 10000 + n, n, day=day) for n in range(1, 4)]


def test_rows_keep_their_values_and_say_where_they_came_from(till: Any) -> None:
    till.deliver(
        "2025-03-03.csv", [till.line(1, "10001", 2, 1.5), till.line("C2", "POST", -1, 3), till.line("A3", price=0)]
    )
    rows = till.lake.read("transactions").sort_by("row").to_pylist()
    assert [(r["invoice"], r["kind"], r["is_product"], r["row"], r["day"]) for r in rows] == [
        ("1", "sale", True, 1, DAY),
        ("C2", "return", False, 2, DAY),
        ("A3", "adjustment", True, 3, DAY),
    ]
    assert {r["delivery"] for r in rows} == {"till--2025-03-03.csv"}


def test_a_mapping_that_fits_hardly_any_line_is_warned_of_and_rejects_none(
    till: Any, caplog: pytest.LogCaptureFixture
) -> None:
    till.write("2025-03-03.csv", [till.line(n, f"TEC-{n}") for n in range(30)])
    delivery = till.found("2025-03-03.csv")
    with caplog.at_level("WARNING", logger="pipeline"):
        checked = ingestion.check(till.settings, ingestion.land(till.settings, delivery))
    assert ["only 0 of 30 lines are merchandise" in warning for warning in checked.warnings] == [True]
    assert "only 0 of 30 lines are merchandise" in caplog.text
    done = ingestion.commit(till.settings, ingestion.Checked.from_dict(checked.as_dict()))
    assert (done.warnings, done.entry.clean) == (checked.warnings, 30)
    assert ingestion.ingest(till.settings, delivery).warnings == ()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(CHEAP_DEFECTS), st.integers(1, 2), max_size=6), st.integers(0, 99))
def test_each_planted_row_is_in_quarantine_with_its_column_and_no_other(
    till: Any, defects: dict[Defect, int], seed: int
) -> None:
    data, planted = plant(SHOP_DAY, defects, seed)
    entry = till.deliver("2025-03-03.csv", data)
    held = till.lake.read("transactions.quarantine").to_pylist() if entry.quarantined else []
    reasons = {row["row"]: row["reasons"] for row in held if row["delivery"] == entry.delivery}
    assert sorted(reasons) == sorted(p.row for p in planted)
    for p in planted:
        if p.column:
            assert any(r.startswith(f"{COLUMNS[p.column]}: ") for r in reasons[p.row]), (p, reasons[p.row])
    assert entry.read == len(SHOP_DAY.splitlines()) - 1 == entry.clean + entry.quarantined + entry.repeats
    assert entry.clean == till.lake.row_counts("transactions.received", "delivery").get(entry.delivery, 0)


def test_a_field_of_ten_megabytes_costs_its_row_only(till: Any) -> None:
    data, planted = plant(SHOP_DAY, {Defect.HUGE_DESCRIPTION: 1})
    entry = till.deliver("2025-03-03.csv", data)
    (held,) = till.lake.read("transactions.quarantine").to_pylist()
    assert (held["row"], entry.quarantined, entry.clean) == (planted[0].row, 1, entry.read - 1)
    assert len(held["reasons"][0]) < 200
    assert len(json.loads(held["raw"])["Description"]) == len(planted[0].value or "")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.sampled_from(["1", "2", "0", "x", ""]), st.sampled_from(["1.5", "-1", "NaN"])),
        min_size=1,
        max_size=12,
    ),
    st.booleans(),
)
def test_rows_read_are_clean_or_quarantined_or_repeats(
    till: Any, cells: list[tuple[int, str, str]], drop: bool
) -> None:
    # A delivery without a good row would be refused as a whole.
    cells = [*cells, (4, "1", "1.5")]
    lines = [till.line(invoice, quantity=quantity, price=price) for invoice, quantity, price in cells]
    entry = till.deliver("files/a.csv" if drop else "2025-03-03.csv", lines)
    assert entry.read == len(lines)
    assert entry.repeats == (len(lines) - len(set(lines)) if drop else 0)
    good = [line for line, (_, q, p) in zip(lines, cells, strict=True) if q in "12" and q and p == "1.5"]
    assert entry.clean == (len(set(good)) if drop else len(good))
    assert entry.accounted_for


def test_the_same_bytes_again_change_nothing(till: Any) -> None:
    first = till.deliver("2025-03-03.csv", a_day(till, DAYS[0]))
    tables = ("transactions", "transactions.received", "ledger")
    versions = [till.lake.version(table) for table in tables]
    assert till.deliver("2025-03-03.csv", a_day(till, DAYS[0])) == first
    assert [till.lake.version(table) for table in tables] == versions


def test_other_rules_judge_the_same_bytes_anew(till: Any, tmp_path: Any) -> None:
    till.deliver("2025-03-03.csv", [till.line(quantity=1), till.line(quantity=500)])
    suite = json.loads((till.settings.expectations / "transactions.json").read_text())
    few = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "quantity", "max_value": 100}}
    (tmp_path / "transactions.json").write_text(json.dumps({**suite, "expectations": [*suite["expectations"], few]}))
    changed = till.settings.model_copy(update={"expectations": tmp_path})
    entry = ingestion.ingest(changed, till.found("2025-03-03.csv")).entry
    assert (entry.clean, entry.quarantined) == (1, 1)
    assert till.clean("quantity") == [(1,)]
    assert [e.status for e in ledger.entries(till.lake, "transactions")] == [Status.REPLACED, Status.COMMITTED]


def test_changed_bytes_replace_what_the_delivery_brought_also_on_days_it_no_longer_mentions(till: Any) -> None:
    till.deliver("2025-03-04.csv", a_day(till, DAYS[1]))
    till.deliver(
        "2025-03-03.csv", [*a_day(till, DAYS[0]), till.line("late", day=DAYS[1]), till.line("late", day=DAYS[2])]
    )
    assert till.clean("invoice", "day").count(("late", date(2025, 3, 4))) == 1
    entry = till.deliver("2025-03-03.csv", [till.line("new", day=DAYS[0])])
    assert (entry.read, entry.clean) == (1, 1)
    rows = till.clean("invoice", "day")
    assert ("new", DAY) in rows
    assert len(rows) == 4
    assert [day for day in till.lake.days("transactions") if day > date(2025, 3, 4)] == []


def test_bytes_that_come_back_are_taken_again(till: Any) -> None:
    first, second = [till.line("first")], [till.line("second")]
    for lines in (first, second, first):
        till.deliver("2025-03-03.csv", lines)
    assert till.clean("invoice") == [("first",)]
    assert [e.status for e in ledger.entries(till.lake, "transactions")] == [Status.REPLACED, Status.COMMITTED]


def limit_quarantine(till: Any, share: float | None) -> None:
    """Let the suite limit the share of rejected rows; None for the default."""
    file = till.settings.expectations / "transactions.json"
    meta = {} if share is None else {"max_quarantined_share": share}
    file.write_text(json.dumps(json.loads(file.read_text()) | {"meta": meta}))


def with_decimal_commas(lines: list[str]) -> bytes:
    """The delivery of a till that was set to another language: every price is quoted and has a comma."""
    return (HEADER + "".join(line.replace(",1.5,", ',"1,5",') for line in lines)).encode()


def with_swapped_columns(lines: list[str]) -> bytes:
    """The delivery of a till that writes quantity and price in each other's place."""
    cells = [line.split(",") for line in lines]
    return (HEADER + "".join(",".join([*c[:3], c[4], c[3], *c[5:]]) for c in cells)).encode()


@pytest.mark.parametrize(("spoil", "rejected"), [(with_decimal_commas, "20 of 20"), (with_swapped_columns, "18 of 20")])
def test_a_bad_redelivery_is_refused_and_the_good_day_stays(till: Any, spoil: Any, rejected: str) -> None:
    limit_quarantine(till, None)
    # Two prices are whole numbers, which are also quantities.
    lines = [till.line(n, quantity=n + 1, price=1.5 if n < 18 else 2) for n in range(20)]
    till.deliver("2025-03-03.csv", lines)
    before, version = till.clean(), till.lake.version("transactions")
    data = spoil([line.replace(",2,2025", ",1.5,2025") for line in lines] if rejected == "20 of 20" else lines)
    with pytest.raises(RefusedError, match=f"too many rows break the contract .observed {rejected} rows"):
        till.deliver("2025-03-03.csv", data)
    assert (till.clean(), till.lake.version("transactions")) == (before, version)
    assert not till.lake.exists("transactions.quarantine")
    committed, refused = ledger.entries(till.lake, "transactions")
    assert (committed.status, refused.status) == (Status.COMMITTED, Status.REFUSED)
    assert f"{rejected} rows" in str(refused.reason)
    page = till.lake.path("reports", "validation", "transactions", "till--2025-03-03.csv.html").read_text()
    assert "too many rows break the contract" in page
    assert f"{rejected} rows" in page


@pytest.mark.parametrize(
    ("share", "bad", "accepted"), [(None, 2, True), (None, 3, False), (0.5, 5, True), (0, 1, False)]
)
def test_the_suite_limits_the_share_of_rejected_rows(till: Any, share: float | None, bad: int, accepted: bool) -> None:
    limit_quarantine(till, share)
    lines = [till.line(n, quantity=0 if n < bad else 1) for n in range(10)]
    if accepted:
        assert till.deliver("2025-03-03.csv", lines).quarantined == bad
    else:
        with pytest.raises(RefusedError, match="too many rows"):
            till.deliver("2025-03-03.csv", lines)


def test_exact_repeats_do_not_count_as_rows_that_were_checked(till: Any) -> None:
    limit_quarantine(till, 0.2)
    with pytest.raises(RefusedError, match=r"1 of 2 rows, 50\.0%"):
        till.deliver("files/a.csv", [till.line(1, quantity=0), *[till.line(2)] * 9])


def test_a_delivery_without_an_accepted_row_is_refused_whatever_the_suite_says(till: Any) -> None:
    limit_quarantine(till, 1)
    with pytest.raises(RefusedError, match="allowed at least one accepted row"):
        till.deliver("2025-03-03.csv", [till.line(quantity=0)])
    assert not till.lake.exists("transactions")


def test_a_refused_correction_leaves_what_stood(till: Any) -> None:
    till.deliver("2025-03-03.csv", a_day(till, DAYS[0]))
    stood, version = till.clean(), till.lake.version("transactions")
    for refused in (b"", b"Other,Columns\n1,2\n", [till.line(day="2025-03-01")]):
        with pytest.raises(RefusedError):
            till.deliver("2025-03-03.csv", refused)
    assert (till.clean(), till.lake.version("transactions")) == (stood, version)
    statuses = [e.status for e in ledger.entries(till.lake, "transactions")]
    assert statuses == [Status.COMMITTED, Status.REFUSED, Status.REFUSED, Status.REFUSED]
    assert till.deliver("2025-03-03.csv", a_day(till, DAYS[0])).status is Status.COMMITTED
    assert till.lake.version("transactions") == version


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(DAYS), st.lists(st.sampled_from(DAYS), max_size=2))
def test_days_in_any_order_and_any_day_twice_give_the_same_table(
    new_till: Callable[[], Any], order: list[str], again: list[str]
) -> None:
    till = new_till()
    for day in [*order, *again]:
        # Each day's file also has a late row of the day before.
        till.deliver(f"{day}.csv", [*a_day(till, day), till.line(f"late{day}", day=f"2025-03-0{int(day[-1]) - 1}")])
    expected = [(f"{day[-2:]}{n}", n, date.fromisoformat(day)) for day in DAYS for n in range(1, 4)]
    expected += [(f"late{day}", 1, date(2025, 3, int(day[-1]) - 1)) for day in DAYS]
    assert till.clean("invoice", "quantity", "day") == sorted(expected, key=str)


def bring(work: list[tuple[Settings, list[Delivery]]], together: Any) -> None:
    """What a process of its own does: deliveries of several shops, each shop begun when the other process begins it."""
    for at, deliveries in work:
        together.wait(60)
        for delivery in deliveries:
            ingestion.ingest(at, delivery)


def test_two_processes_at_once_give_the_same_table(new_till: Callable[[], Any], processes: BaseContext) -> None:
    def written() -> tuple[Any, list[Delivery]]:
        till = new_till()
        for day in DAYS:
            # The late row makes both write to the first day.
            till.write(f"{day}.csv", [*a_day(till, day), till.line(f"late{day}", day=DAYS[0])])
        return till, [till.found(f"{day}.csv") for day in DAYS]

    (alone, deliveries), (apart, of_apart), (same, of_same) = written(), written(), written()
    for delivery in deliveries:
        ingestion.ingest(alone.settings, delivery)
    together = processes.Barrier(2)
    work = [[(apart.settings, of_apart[n::2]), (same.settings, of_same)] for n in range(2)]
    workers = [processes.Process(target=bring, args=(part, together)) for part in work]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert len(alone.clean()) == 16
    for till in (apart, same):
        assert till.clean() == alone.clean()
        assert {e.status for e in ledger.entries(till.lake)} == {Status.COMMITTED}


def test_stages_can_travel_between_tasks_as_json(till: Any) -> None:
    till.write("2025-03-03.csv", a_day(till, DAYS[0]))
    landed = ingestion.land(
        till.settings, Delivery.from_dict(json.loads(json.dumps(till.found("2025-03-03.csv").as_dict())))
    )
    checked = ingestion.check(till.settings, ingestion.Landed.from_dict(json.loads(json.dumps(landed.as_dict()))))
    done = ingestion.commit(till.settings, ingestion.Checked.from_dict(json.loads(json.dumps(checked.as_dict()))))
    assert (done.entry.clean, done.days, done.ref.table) == (3, (DAY,), "transactions")


def test_the_log_has_each_step_and_each_decision_and_no_rows(till: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "pipeline.ingestion")
    till.deliver("2025-03-03.csv", [*a_day(till, DAYS[0]), till.line("secret", quantity=0)])
    till.deliver("2025-03-03.csv", [*a_day(till, DAYS[0]), till.line("secret", quantity=0)])
    with pytest.raises(RefusedError):
        till.deliver("2025-03-04.csv", [till.line("secret", quantity="hidden", day=DAYS[1])])
    found = [(record.event, record.fields) for record in caplog.records if hasattr(record, "event")]  # type: ignore[attr-defined]
    events = [event for event, _ in found]
    for event in ("land started", "land finished", "check finished", "commit finished", "already committed"):
        assert event in events
    by_event = dict(found)
    assert by_event["commit finished"].items() >= {"table": "transactions", "rows": 3, "version": 0}.items()
    assert by_event["expectation failed"]["reason"] == "too many rows break the contract"
    assert by_event["delivery refused"]["delivery"] == "till--2025-03-04.csv"
    assert not any("secret" in record.getMessage() or "hidden" in record.getMessage() for record in caplog.records)


def test_raw_bytes_are_kept_as_they_came(till: Any) -> None:
    first = till.deliver("2025-03-03.csv", a_day(till, DAYS[0]))
    second = till.deliver("2025-03-03.csv", a_day(till, DAYS[0])[:1])
    sizes = [len(till.lake.open_blob(entry.blob).read()) for entry in (first, second)]
    assert sizes == [first.size, second.size]
    assert first.blob != second.blob


def test_a_line_dated_long_after_its_arrival_is_quarantined(till: Any) -> None:
    lines = [till.line(n) for n in range(1, 11)]
    entry = till.deliver("files/a.csv", [*lines, till.line(11, day="2150-01-01")])
    assert (entry.clean, entry.quarantined) == (10, 1)


def test_a_cell_that_cannot_be_read_has_one_reason(till: Any) -> None:
    till.deliver("files/a.csv", [*(till.line(n) for n in range(1, 11)), till.line(11, quantity="x")])
    (reasons,) = till.lake.read("transactions.quarantine")["reasons"].to_pylist()
    assert len(reasons) == 1
    assert reasons[0].startswith("quantity: ")
