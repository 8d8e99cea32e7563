"""Addresses: globs, days, and whether they exist."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from pipeline.ingestion.addresses import fixed_part, is_simulated, matches, missing, resolve


@pytest.fixture
def drops(tmp_path: Path) -> Path:
    for name in (
        "2025-01-01.csv",
        "2025-01-02.csv",
        "north/2025-01-01.csv",
        "north/2025-01-01-north.csv",
        ".2025-01-03.csv",
        "other.txt",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "2025-01-04.csv").mkdir()
    return tmp_path


def found(address: str, day: date | None = None) -> list[tuple[str, date | None]]:
    return [(name, of) for _, name, of in matches(address, day)]


def test_relative_addresses_are_below_data() -> None:
    assert resolve("drops/*.csv", "/data/") == "/data/drops/*.csv"
    assert resolve("drops/*.csv", "gs://shop") == "gs://shop/drops/*.csv"
    assert resolve("/abs/x.csv", "/data") == "/abs/x.csv"
    assert resolve("s3://b/x.csv", "/data") == "s3://b/x.csv"
    assert is_simulated(resolve("simulate://shop", "/data"))


@pytest.mark.parametrize(
    ("address", "fixed"),
    [("/a/b/x.csv", "/a/b/x.csv"), ("/a/{day}/x.csv", "/a"), ("/a/b*/c/x.csv", "/a"), ("/a/[0-9].csv", "/a")],
)
def test_the_fixed_part_ends_before_the_first_pattern(address: str, fixed: str) -> None:
    assert str(fixed_part(address)) == fixed


def test_a_file_by_its_name(drops: Path) -> None:
    assert found(f"{drops}/other.txt") == [("other.txt", None)]
    assert found(f"{drops}/absent.txt") == []


def test_days_in_names(drops: Path) -> None:
    one, two = ("2025-01-01.csv", date(2025, 1, 1)), ("2025-01-02.csv", date(2025, 1, 2))
    assert found(f"{drops}/{{day}}.csv") == [one, two]
    assert found(f"{drops}/{{day}}.csv", date(2025, 1, 2)) == [two]
    assert found(f"{drops}/{{day}}.csv", date(2025, 1, 9)) == []


def test_days_in_names_below_globs(drops: Path) -> None:
    first = date(2025, 1, 1)
    assert found(f"{drops}/*/{{day}}*.csv") == [
        ("north/2025-01-01-north.csv", first),
        ("north/2025-01-01.csv", first),
    ]


def test_a_day_may_occur_twice_in_an_address(tmp_path: Path) -> None:
    for name in ("2025-01-01/lines-2025-01-01.csv", "2025-01-02/lines-2025-01-01.csv"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("x")
    address = f"{tmp_path}/{{day}}/lines-{{day}}.csv"
    assert found(address)[0] == ("2025-01-01/lines-2025-01-01.csv", date(2025, 1, 1))
    assert found(address, date(2025, 1, 2)) == []


def test_files_without_days_have_none_even_if_a_day_is_wanted(drops: Path) -> None:
    assert found(f"{drops}/*.txt", date(2025, 1, 1)) == [("other.txt", None)]


def test_folders_and_temporary_files_are_no_deliveries(drops: Path) -> None:
    names = [name for name, _ in found(f"{drops}/*")]
    assert names == ["2025-01-01.csv", "2025-01-02.csv", "other.txt"]


def test_a_date_that_does_not_exist_is_no_day(tmp_path: Path) -> None:
    (tmp_path / "2025-02-30.csv").write_text("x")
    assert found(f"{tmp_path}/{{day}}.csv") == [("2025-02-30.csv", None)]
    assert found(f"{tmp_path}/{{day}}.csv", date(2025, 2, 28)) == []


def test_an_address_whose_fixed_part_does_not_exist_is_missing(drops: Path) -> None:
    assert missing(f"{drops}/{{day}}.csv") is None
    assert missing(f"{drops}/absent/{{day}}.csv") == f"{drops}/absent does not exist"
    assert missing("simulate://shop") is None
