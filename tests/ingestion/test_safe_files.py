"""Files that are no files and names that are none: refused by name, recorded, and never opened."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from pipeline.errors import RefusedError
from pipeline.ingestion import ledger
from pipeline.ingestion import steps as ingestion
from pipeline.ingestion.deliveries import Delivery
from pipeline.ingestion.ledger import Status
from pipeline.ingestion.safe_files import fault_of, open_safely
from tests.ingestion.broken_files import ODD_FILES

LONGEST = "n" * 180 + ".csv"


def folder_of(till: Any) -> Path:
    return Path(till.settings.data) / "files"


@pytest.mark.parametrize("name", ODD_FILES, ids=lambda name: name[:20].encode("ascii", "backslashreplace").decode())
def test_it_is_refused_by_its_name_and_the_others_go_in(till: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ODD_FILES[name](folder_of(till) / name)
    till.write("files/zz.csv", [till.line(1)])
    opened: list[str] = []
    really = os.open
    monkeypatch.setattr(
        os, "open", lambda path, *rest, **more: (opened.append(str(path)), really(path, *rest, **more))[1]
    )
    odd, good = ingestion.pending(till.settings, "transactions", "files")
    assert odd.fault
    landed = ingestion.Landed.from_dict(ingestion.land(till.settings, odd).as_dict())
    with pytest.raises(RefusedError, match="refused by its name, and was not opened"):
        ingestion.check(till.settings, landed)
    assert ingestion.ingest(till.settings, good).entry.clean == 1
    (entry,) = ledger.entries(till.lake, "transactions", odd.id)
    assert (entry.status, entry.blob, entry.size) == (Status.REFUSED, "", 0)
    assert odd.fault in str(entry.reason)
    assert [path for path in opened if path.startswith(till.settings.data)] == [str(folder_of(till) / "zz.csv")]


def test_a_link_within_the_folder_and_a_long_name_are_read(till: Any) -> None:
    till.write("files/zz.csv", [till.line(1)])
    (folder_of(till) / "a.csv").symlink_to("zz.csv")
    till.write(f"files/{LONGEST}", [till.line(2)])
    found = ingestion.pending(till.settings, "transactions", "files")
    assert [delivery.fault for delivery in found] == [None] * 3
    assert [ingestion.ingest(till.settings, delivery).entry.clean for delivery in found] == [1, 1, 1]


def test_a_file_that_became_a_link_or_a_pipe_since_it_was_found_is_not_opened(till: Any) -> None:
    for make in (lambda path: path.symlink_to("/etc/passwd"), os.mkfifo):
        path = till.write("files/a.csv", [till.line(1)])
        (delivery,) = ingestion.pending(till.settings, "transactions", "files")
        path.unlink()
        make(path)
        landed = ingestion.land(till.settings, delivery)
        assert landed.entry.status is Status.REFUSED
        assert not till.lake.path("raw/transactions", delivery.id).exists()
        path.unlink()


def test_a_pipe_that_takes_the_place_of_a_file_between_look_and_open_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "a.csv")
    monkeypatch.setattr("pipeline.ingestion.safe_files.fault_of", lambda *_: None)
    with pytest.raises(RefusedError, match="it is no file"):
        open_safely(UPath(tmp_path / "a.csv"), UPath(tmp_path))


def test_a_folder_that_is_a_link_out_does_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.csv").write_text("x")
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "link").symlink_to(tmp_path / "outside")
    fault = fault_of(UPath(tmp_path / "inside" / "link" / "a.csv"), UPath(tmp_path / "inside"))
    assert "leads out" in str(fault)


def test_a_folder_that_the_source_names_may_itself_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.csv").write_text("x")
    (tmp_path / "named").symlink_to("outside")
    assert fault_of(UPath(tmp_path / "named" / "a.csv"), UPath(tmp_path / "named")) is None


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/etc/passwd")], ids=["pipe", "link"])
def test_a_source_of_one_file_is_no_exception(till: Any, make: Callable[[Path], None]) -> None:
    text = till.settings.sources.read_text().replace("from: files/*", "from: files/only.csv")
    till.settings.sources.write_text(text)
    make(folder_of(till) / "only.csv")
    (delivery,) = ingestion.pending(till.settings, "transactions", "files")
    with pytest.raises(RefusedError, match="refused by its name"):
        ingestion.ingest(till.settings, delivery)


def test_a_file_that_may_not_be_read_is_refused(till: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    till.write("files/a.csv", [till.line(1)])
    (delivery,) = ingestion.pending(till.settings, "transactions", "files")

    def denied(*_: Any, **__: Any) -> int:
        raise PermissionError("denied")

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(RefusedError, match="may not read it"):
        ingestion.ingest(till.settings, delivery)


def test_a_day_that_does_not_exist_is_refused_and_stops_no_other(till: Any) -> None:
    till.write("2025-02-30.csv", [till.line(1)])
    till.write("2025-03-03.csv", [till.line(1)])
    impossible, good = ingestion.pending(till.settings, "transactions")
    assert "a date that does not exist" in str(impossible.fault)
    assert good.fault is None


def test_a_fault_survives_json() -> None:
    delivery = Delivery("transactions", "till", "till--a", "a", "/a", fault="it is a pipe")
    assert Delivery.from_dict(delivery.as_dict()) == delivery


def test_a_simulated_delivery_is_in_no_folder(till: Any) -> None:
    text = till.settings.sources.read_text().replace(
        "from: transactions/{day}.csv", "from: simulate://shop?customers=50"
    )
    till.settings.sources.write_text(text)
    day = date(2025, 3, 3)
    (delivery,) = ingestion.pending(till.settings, "transactions", since=day, until=day + timedelta(days=1))
    assert ingestion.land(till.settings, delivery).entry.status is Status.LANDED
