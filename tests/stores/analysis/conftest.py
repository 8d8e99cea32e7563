"""Fixtures of the analyses: the simulated chain whose planted effects they must find."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
import pytest

from pipeline.simulate.store_days import Chain
from pipeline.stores.analysis.base import daily_means, open_days

if TYPE_CHECKING:
    pass

from tests.stores.analysis.helpers import AS_OF, FIRST, Planted, plain, rows


@pytest.fixture(scope="session")
def planted() -> Planted:
    chain, con = Chain(seed=7, count=60), ibis.duckdb.connect(threads=2)
    store_days = con.create_table("store_days", chain.days(FIRST, AS_OF))
    stores = con.create_table("stores", chain.stores())
    days = open_days(con, store_days)
    return Planted(chain, con, store_days, stores, days, daily_means(days))


@pytest.fixture
def by_hand():
    con = ibis.duckdb.connect(threads=1)
    return con, lambda records: rows(con, records)


@pytest.fixture
def plain_days():
    return plain
