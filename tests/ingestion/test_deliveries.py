"""Deliveries: found by day, with stable ids and unchanged bytes; none is expected on closed days."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import RefusedError, UsageError
from pipeline.ingestion.deliveries import Delivery, find_deliveries, is_closed, open_delivery
from pipeline.ingestion.source_schema import Source
from pipeline.ingestion.sources import NamedSource
from pipeline.settings import Settings

COLUMNS = {"invoice": "A", "stock_code": "B", "quantity": "C", "unit_price": "D", "invoiced_at": "E"}


def source(address: str, name: str = "till", **spec: Any) -> NamedSource:
    checked = Source.model_validate({"from": address, "columns": COLUMNS, **spec})
    return NamedSource("transactions", name, checked, "UTC", "sources.yaml, line 1", {})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for n in range(1, 6):
        (tmp_path / f"2025-01-0{n}.csv").write_text(str(n))
    return Settings(data=str(tmp_path))


def test_deliveries_of_a_range_of_days(settings: Settings) -> None:
    days = lambda **of: [d.first for d in find_deliveries(settings, source("{day}.csv"), **of)]  # noqa: E731
    assert days() == [date(2025, 1, n) for n in range(1, 6)]
    assert days(since=date(2025, 1, 2), until=date(2025, 1, 4)) == [date(2025, 1, 2), date(2025, 1, 3)]
    assert days(since=date(2025, 1, 4)) == [date(2025, 1, 4), date(2025, 1, 5)]
    assert days(since=date(2025, 1, 3), until=date(2025, 1, 4)) == [date(2025, 1, 3)]
    assert days(since=date(2026, 1, 3), until=date(2026, 1, 4)) == []


def test_files_without_days_are_deliveries_of_any_day(settings: Settings) -> None:
    (only,) = find_deliveries(settings, source("2025-01-01.csv"), since=date(2030, 1, 1), until=date(2030, 1, 2))
    assert (only.first, only.until) == (None, None)
    found = find_deliveries(settings, source("*.csv"), since=date(2030, 1, 1), until=date(2030, 1, 2))
    assert [(d.first, d.until) for d in found] == [(None, None)] * 5


def test_ids_are_unique_stable_and_safe(settings: Settings, tmp_path: Path) -> None:
    for name in ("north/a.csv", "north_a.csv", "north a.csv", "ñ.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    ids = [d.id for address in ("*.csv", "*/*.csv") for d in find_deliveries(settings, source(address))]
    assert len(set(ids)) == len(ids) == 9
    assert all(part.isascii() and (part.isalnum() or part in "._-") for identity in ids for part in identity)
    assert "till--2025-01-01.csv" in ids
    assert ids == [d.id for address in ("*.csv", "*/*.csv") for d in find_deliveries(settings, source(address))]


def test_the_same_file_of_two_sources_is_two_deliveries(settings: Settings) -> None:
    first, second = (find_deliveries(settings, source("2025-01-01.csv", name))[0].id for name in ("till", "till-2"))
    assert first != second


def test_bytes_are_unchanged(settings: Settings, tmp_path: Path) -> None:
    delivery = find_deliveries(settings, source("2025-01-03.csv"))[0]
    with open_delivery(delivery) as stream:
        assert stream.read() == b"3"
    (tmp_path / "2025-01-03.csv").unlink()
    with pytest.raises(RefusedError, match="no longer there"):
        open_delivery(delivery)


def test_a_delivery_survives_json(settings: Settings) -> None:
    for delivery in (*find_deliveries(settings, source("{day}.csv")), *find_deliveries(settings, source("*.csv"))):
        assert Delivery.from_dict(delivery.as_dict()) == delivery


# The simulated shop


def test_a_simulated_day_is_the_same_each_time_it_is_opened() -> None:
    shop = source("simulate://shop?seed=7&customers=50")
    (delivery,) = find_deliveries(Settings(), shop, since=date(2025, 3, 3), until=date(2025, 3, 4))
    assert delivery.id == "till--2025-03-03.csv"
    first = open_delivery(delivery).read()
    assert first == open_delivery(delivery).read()
    assert first.startswith(b'"InvoiceNo"')


def test_a_simulated_shop_needs_days() -> None:
    with pytest.raises(UsageError, match="days must be given"):
        find_deliveries(Settings(), source("simulate://shop"))


def test_a_simulated_shop_delivers_nothing_while_it_is_closed() -> None:
    shop = source("simulate://shop?seed=7&customers=50")
    closed = [n for n in range(365) if is_closed(shop, date(2025, 1, 1) + timedelta(days=n))]
    assert closed
    day = date(2025, 1, 1) + timedelta(days=closed[0])
    assert find_deliveries(Settings(), shop, since=day, until=day + timedelta(days=1)) == []


def test_closed_on_weekdays_and_dates() -> None:
    shop = source("{day}.csv", closed_on=["saturday", date(2025, 12, 25)])
    assert is_closed(shop, date(2025, 1, 4))
    assert is_closed(shop, date(2025, 12, 25))
    assert not is_closed(shop, date(2025, 1, 5))
    assert not is_closed(source("{day}.csv"), date(2025, 1, 4))
