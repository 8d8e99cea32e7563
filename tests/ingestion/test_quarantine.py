"""Rows that did not keep their contract: listed, mended, brought again, and nothing lost by it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import RefusedError, UsageError
from pipeline.ingestion import ledger, quarantine
from pipeline.ingestion import steps as ingestion
from pipeline.ingestion.ledger import Status
from pipeline.ingestion.readers import read_rows
from pipeline.ingestion.replay import corrected_rows, replay
from pipeline.ingestion.source_schema import Format
from pipeline.reports.csv_text import join_cells

HEADER = "InvoiceNo,StockCode,Description,Quantity,UnitPrice,InvoiceDate,CustomerID,Country\n"
NAME = "2025-03-03.csv"
ID = f"till--{NAME}"


@pytest.fixture
def spoilt(till: Any) -> Any:
    """Two good rows, and three that are not: zero units, text for a number, too few fields."""
    lines = [
        till.line(1, 10001, 0),
        till.line(1, 10001, 2),
        till.line(2, 10002, "x"),
        "just,two\n",
        till.line(3, 10003),
    ]
    till.deliver(NAME, lines)
    return till


def mended(till: Any, **cells: str) -> str:
    text = quarantine.export(till.settings, "transactions", ID)
    for before, after in cells.values():  # type: ignore[misc]
        text = text.replace(before, after)
    return text


ZERO = ("1,10001,a thing,0", "1,10001,a thing,5")
TEXT = ("2,10002,a thing,x", "2,10002,a thing,7")


def test_what_waits_is_listed_by_delivery_and_kind_of_reason(spoilt: Any) -> None:
    spoilt.deliver("2025-03-04.csv", [spoilt.line(day="2025-03-04"), spoilt.line(1, 1, "y"), spoilt.line(1, 2, "z")])
    first, second = quarantine.summarize(spoilt.settings, "transactions")
    assert (first.delivery, first.rows) == (ID, 3)
    assert first.reasons == {
        "quantity: the quantity is zero": 1,
        "quantity: is not a whole number": 1,
        "2 fields instead of 8": 1,
    }
    assert second.reasons == {"quantity: is not a whole number": 2}


def test_nothing_waits_in_an_empty_lake(till: Any) -> None:
    assert quarantine.summarize(till.settings, "transactions") == []
    with pytest.raises(RefusedError, match="has no rows in quarantine"):
        quarantine.export(till.settings, "transactions", ID)


def test_the_export_has_the_sources_columns_and_the_rows_as_they_came(spoilt: Any) -> None:
    header, *rows = quarantine.export(spoilt.settings, "transactions", ID).splitlines()
    assert header.split(",")[:4] == ["_row", "_reasons", "InvoiceNo", "StockCode"]
    assert rows[0] == "1,quantity: the quantity is zero (0),1,10001,a thing,0,1.5,2025-03-03 10:00:00,77,France"
    assert rows[2].startswith("4,")
    assert '"just,two",' in rows[2]


def test_the_reasons_in_a_corrected_file_are_ignored(spoilt: Any) -> None:
    text = quarantine.export(spoilt.settings, "transactions", ID)
    without = "\n".join(",".join(line.split(",")[:1] + line.split(",")[2:]) for line in text.splitlines()[:2]) + "\n"
    changed = (
        "\n".join(text.splitlines()[:2]).replace("quantity: the quantity is zero (0)", "whatever people write") + "\n"
    )
    first = replay(spoilt.settings, "transactions", ID, changed.replace(",0,1.5", ",2,1.5"))
    assert (first.read, first.clean) == (1, 1)
    with pytest.raises(UsageError, match="not in quarantine"):
        replay(spoilt.settings, "transactions", ID, without.replace(",0,1.5", ",2,1.5"))


def test_mended_rows_stand_others_stay_and_no_good_row_of_the_same_invoice_is_lost(spoilt: Any) -> None:
    entry = replay(spoilt.settings, "transactions", ID, mended(spoilt, zero=ZERO))
    assert (entry.read, entry.clean, entry.quarantined, entry.corrects) == (3, 1, 2, ID)
    assert spoilt.clean("invoice", "quantity") == [("1", 2), ("1", 5), ("3", 1)]
    (held,) = quarantine.summarize(spoilt.settings, "transactions")
    assert (held.delivery, held.rows) == (entry.delivery, 2)
    marks = {
        r["row"]: r["replayed_in"]
        for r in spoilt.lake.read("transactions.quarantine", where={"delivery": [ID]}).to_pylist()
    }
    assert marks == dict.fromkeys((1, 3, 4), entry.delivery)


def test_rows_that_the_mended_file_leaves_out_stay_as_they_are(spoilt: Any) -> None:
    lines = mended(spoilt, zero=ZERO).splitlines(keepends=True)
    entry = replay(spoilt.settings, "transactions", ID, "".join(lines[:2]))
    assert (entry.read, entry.clean) == (1, 1)
    (held,) = quarantine.summarize(spoilt.settings, "transactions")
    assert (held.delivery, held.rows) == (ID, 2)
    again = replay(spoilt.settings, "transactions", ID, "".join([lines[0], lines[2]]).replace(*TEXT))
    assert again.clean == 1
    assert spoilt.clean("invoice", "quantity") == [("1", 2), ("1", 5), ("2", 7), ("3", 1)]


def test_what_is_mended_for_the_second_time_stands_in_the_place_of_the_first_delivery(spoilt: Any) -> None:
    first = replay(spoilt.settings, "transactions", ID, mended(spoilt, zero=ZERO))
    text = quarantine.export(spoilt.settings, "transactions", first.delivery).replace(
        "2,10002,a thing,x", "1,10001,a thing,9"
    )
    second = replay(spoilt.settings, "transactions", first.delivery, text)
    assert second.corrects == ID
    assert spoilt.clean("invoice", "quantity") == [("1", 2), ("1", 5), ("1", 9), ("3", 1)]
    spoilt.deliver(NAME, [spoilt.line(4)])
    assert spoilt.clean("invoice") == [("4",)]


def test_replaying_what_is_still_bad_again_and_again_keeps_it_waiting(spoilt: Any) -> None:
    at = ID
    for _ in range(3):
        at = replay(spoilt.settings, "transactions", at).delivery
        (held,) = quarantine.summarize(spoilt.settings, "transactions")
        assert (held.delivery, held.rows) == (at, 3)
    assert spoilt.clean("invoice") == [("1",), ("3",)]


def test_a_second_replay_is_refused_and_an_interrupted_one_is_finished(
    spoilt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = mended(spoilt, zero=ZERO)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(spoilt.lake), "update", interrupted)
        with pytest.raises(KeyboardInterrupt):
            replay(spoilt.settings, "transactions", ID, text)
    replay(spoilt.settings, "transactions", ID, text)
    stood = spoilt.clean()
    with pytest.raises(RefusedError, match="has no rows in quarantine"):
        replay(spoilt.settings, "transactions", ID, text)
    assert spoilt.clean() == stood


def test_a_corrected_delivery_voids_its_mendings_and_doubles_nothing(spoilt: Any) -> None:
    mending = replay(spoilt.settings, "transactions", ID, mended(spoilt, zero=ZERO))
    spoilt.deliver(NAME, [spoilt.line(1, 10001, 5), spoilt.line(1, 10001, 2), spoilt.line(3, 10003)])
    assert spoilt.clean("invoice", "quantity") == [("1", 2), ("1", 5), ("3", 1)]
    assert quarantine.summarize(spoilt.settings, "transactions") == []
    (of_mending,) = ledger.entries(spoilt.lake, "transactions", mending.delivery)
    assert of_mending.status is Status.REPLACED


def test_a_mending_does_not_overrule_what_a_newer_delivery_says(spoilt: Any) -> None:
    spoilt.deliver("files/month.csv", [spoilt.line(1, 10001, 8), spoilt.line(1, 10001, 9)])
    replay(spoilt.settings, "transactions", ID, mended(spoilt, zero=ZERO))
    assert spoilt.clean("invoice", "quantity") == [("1", 8), ("1", 9), ("3", 1)]


def test_beside_an_overlap_a_mending_loses_no_good_row_of_the_same_invoice(spoilt: Any) -> None:
    spoilt.deliver("files/month.csv", [spoilt.line(3, 10003)])
    replay(spoilt.settings, "transactions", ID, mended(spoilt, zero=ZERO))
    assert spoilt.clean("invoice", "quantity") == [("1", 2), ("1", 5), ("3", 1)]


def test_rows_as_they_came_are_taken_when_the_mapping_was_mended(spoilt: Any) -> None:
    spoilt.settings.sources.write_text(
        spoilt.settings.sources.read_text().replace("from: transactions/{day}.csv", "from: moved/{day}.csv")
    )
    entry = replay(spoilt.settings, "transactions", ID)
    assert (entry.read, entry.quarantined) == (3, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("_row", "row"), "no column with the row numbers"),
        (lambda text: text.replace("\n1,", "\n2,"), "not in quarantine"),
        (lambda text: text.replace("\n3,", "\n1,"), "one row twice"),
        (lambda text: text.replace("\n3,", "\nthree,"), "not in quarantine"),
    ],
)
def test_a_mended_file_that_says_other_rows_is_refused(spoilt: Any, change: Callable[[str], str], message: str) -> None:
    text = quarantine.export(spoilt.settings, "transactions", ID)
    with pytest.raises(UsageError, match=message):
        replay(spoilt.settings, "transactions", ID, change(text))
    assert quarantine.summarize(spoilt.settings, "transactions")[0].rows == 3


def test_a_delivery_that_is_not_done_cannot_be_replayed(spoilt: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    spoilt.write(NAME, [spoilt.line(1), spoilt.line(2, quantity=0)])
    landed = ingestion.land(spoilt.settings, spoilt.found(NAME))
    ingestion.check(spoilt.settings, landed)
    (stood,) = (e for e in ledger.entries(spoilt.lake, "transactions", ID) if e.status is Status.COMMITTED)
    ledger.record(spoilt.lake, replace(stood, status=Status.LANDED))
    with pytest.raises(RefusedError, match="not committed"):
        replay(spoilt.settings, "transactions", ID)


# Attacks: files that a spreadsheet, a script or a stranger wrote


FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-1+1", "@SUM(A1)", "\t=1", " =1", "'=1", "＝1"]


def test_no_cell_of_the_export_starts_a_formula_and_replay_takes_the_prefix_off(till: Any) -> None:
    rows = [
        [str(n), "10001", text, "0", "1.5", "2025-03-03 10:00:00", "77", text] for n, text in enumerate(FORMULAS, 1)
    ]
    till.deliver(NAME, (HEADER + join_cells(rows) + till.line(99)).encode())
    text = quarantine.export(till.settings, "transactions", ID)
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    assert not [cell for cell in cells if cell.strip()[:1] in "=+-@＝" and cell.strip()]
    entry = replay(till.settings, "transactions", ID, text.replace(",0,1.5,", ",5,1.5,"))
    assert (entry.clean, entry.quarantined) == (len(FORMULAS), 0)
    expected = [(text.strip(), text.strip()) for text in FORMULAS]
    assert [row for row in till.clean("description", "country") if row != ("a thing", "France")] == sorted(expected)


def test_a_column_that_begins_a_formula_is_mapped_when_it_is_replayed(till: Any) -> None:
    sources = till.settings.sources
    sources.write_text(sources.read_text().replace("stock_code: StockCode", "stock_code: '=Stock'"))
    till.deliver(NAME, (HEADER.replace("StockCode", "=Stock") + till.line(1, quantity=0) + till.line(2)).encode())
    text = quarantine.export(till.settings, "transactions", ID)
    assert "'=Stock" in text.splitlines()[0].split(",")
    assert replay(till.settings, "transactions", ID, text.replace("a thing,0", "a thing,2")).clean == 1


@pytest.mark.parametrize("name", ["_row", "_reasons", "_row_", ""], ids=["row", "reasons", "row_", "without a name"])
def test_a_source_column_of_any_name_does_not_vanish(till: Any, name: str) -> None:
    sources = till.settings.sources
    sources.write_text(sources.read_text().replace("description: Description", f"description: '{name}'"))
    if not name:
        sources.write_text(
            sources.read_text()
            .replace("description: '', ", "")
            .replace("till: &till\n", "till: &till\n      ignore: '*'\n")
        )
    till.deliver(NAME, (HEADER.replace("Description", name) + till.line(1, quantity=0) + till.line(2)).encode())
    (held,) = till.lake.read("transactions.quarantine").to_pylist()
    assert json.loads(held["raw"])[name] == "a thing"
    text = quarantine.export(till.settings, "transactions", ID)
    assert text.count("a thing") == 1
    entry = replay(till.settings, "transactions", ID, text.replace("a thing,0", "a thing,2"))
    assert (entry.clean, entry.quarantined) == (1, 0)
    assert till.clean("invoice", "description") == [
        ("1", "a thing" if name else None),
        ("2", "a thing" if name else None),
    ]
    assert ingestion.ingest(till.settings, till.found(NAME)).unchanged


@pytest.mark.parametrize(
    "cell",
    ["", "²", "٣", "-1", "1e0", "1.5", "9" * 5000, "x" * 1_000_000, "\x00", "=1", "1,3", "True", "①"],
    ids=lambda cell: ascii(cell[:8]),
)
def test_a_row_number_of_any_form_is_refused_with_a_short_sentence(spoilt: Any, cell: str) -> None:
    header, line, *_ = quarantine.export(spoilt.settings, "transactions", ID).splitlines()
    with pytest.raises(UsageError, match="not in quarantine") as refusal:
        replay(spoilt.settings, "transactions", ID, join_cells([header.split(","), [cell, *line.split(",")[1:]]]))
    assert len(str(refusal.value)) < 1000
    assert quarantine.summarize(spoilt.settings, "transactions")[0].rows == 3


@pytest.mark.parametrize("number", ["1.0", " 1 ", "01"])
def test_a_row_number_as_spreadsheets_write_it_is_read(spoilt: Any, number: str) -> None:
    text = mended(spoilt, zero=ZERO).replace("\n1,quantity", f"\n{number},quantity")
    assert replay(spoilt.settings, "transactions", ID, text).clean == 1


def test_rows_without_their_last_empty_cells_are_read_and_longer_ones_refused(spoilt: Any) -> None:
    header, first, *rest = mended(spoilt, zero=ZERO).splitlines()
    with pytest.raises(UsageError, match="more cells than its header"):
        replay(spoilt.settings, "transactions", ID, "\n".join([header, first + ",more", *rest]))
    short = first.rsplit(",", 2)[0]
    entry = replay(
        spoilt.settings, "transactions", ID, "\r\n".join([header, short, "", first[:0], *(r + ",," for r in rest)])
    )
    assert (entry.read, entry.clean) == (3, 1)
    assert ("1", None, None) in spoilt.clean("invoice", "customer_id", "country")


def test_a_cell_of_megabytes_goes_the_whole_way(till: Any) -> None:
    huge = 'say "x"\n' * 300_000
    row = ["1", "10001", huge, "0", "1.5", "2025-03-03 10:00:00", "77", "France"]
    till.deliver(NAME, (HEADER + join_cells([row]) + till.line(2)).encode())
    text = quarantine.export(till.settings, "transactions", ID)
    entry = replay(till.settings, "transactions", ID, text.replace('",0,1.5', '",4,1.5'))
    assert (entry.read, entry.quarantined) == (1, 1), "the suite allows no description of megabytes"
    (held,) = till.lake.read("transactions.quarantine", where={"delivery": [entry.delivery]}).to_pylist()
    assert (json.loads(held["raw"])["Description"], json.loads(held["raw"])["Quantity"]) == (huge, "4")


@pytest.mark.parametrize(
    "text", ["", "\n\n", "\x00", '"', "_row", "_row\n", "_row,_row\n1,1\n", "a,b\n1,2\n"], ids=ascii
)
def test_a_file_that_is_no_corrected_file_is_refused(spoilt: Any, text: str) -> None:
    with pytest.raises(UsageError):
        replay(spoilt.settings, "transactions", ID, text)
    assert quarantine.summarize(spoilt.settings, "transactions")[0].rows == 3


@given(st.text(alphabet=st.sampled_from("_row,easons\n\r\"'123=\x00é "), max_size=60))
@settings(deadline=None, max_examples=150)
def test_any_text_is_corrected_rows_or_refused(text: str) -> None:
    try:
        corrected, numbers = corrected_rows(text, {1, 2, 3}, "x")
    except UsageError:
        return
    assert numbers <= {1, 2, 3}
    rows = read_rows(corrected.encode(), "x.csv", Format(final_newline="optional"))
    assert (rows.total_rows, rows.malformed) == (len(numbers), ())
