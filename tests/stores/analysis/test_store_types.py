"""Store types, assortments, customers and correlations."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.stores.analysis.correlations import correlations, correlations_section
from pipeline.stores.analysis.promotions import measure_uplift
from pipeline.stores.analysis.store_types import customers_section, store_means, store_types_section


def test_sales_per_customer_are_found_for_each_store(planted) -> None:
    found = store_means(planted.days, planted.stores)
    truth = planted.chain.truth().set_index("store")["a_customer"]
    np.testing.assert_allclose(found["a_customer"], truth.reindex(found.index), rtol=0.01)
    assert found["correlation"].min() > 0.99, "customers are sales over what one spends"
    text = " ".join(customers_section(found).sentences)
    assert f"to {found['a_customer'].max():,.2f} in store {found['a_customer'].idxmax()}" in text


def test_store_types_are_counted_and_compared(planted) -> None:
    stores = store_means(planted.days, planted.stores)
    section = store_types_section(stores, measure_uplift(planted.days))
    assert "There are 15 of type a, 15 of type b, 15 of type c and 15 of type d." in section.sentences[0]
    assert section.table is not None
    assert sum(int(row[2]) for row in section.table.rows) == 60


def test_without_customers_the_section_says_so(planted) -> None:
    days = planted.days.mutate(customers=planted.days.customers.nullif(planted.days.customers))
    section = customers_section(store_means(days, planted.stores))
    assert section.sentences == ["Customers were not counted."]


def test_correlations_equal_those_of_pandas_and_are_blank_for_constants(planted) -> None:
    found = correlations(planted.days, planted.stores)
    frame = planted.days.to_pandas()
    assert found["sales"]["customers"] == pytest.approx(frame["sales"].corr(frame["customers"]))
    assert found["sales"]["promotion"] == pytest.approx(frame["sales"].corr(frame["promo"].astype(float)))
    assert np.isnan(found["state holiday"]["sales"]), "no store is open on one"
    section = correlations_section(found)
    assert "These never vary, so they have no correlation: state holiday." in section.sentences
    assert "NaN" not in str(section.figure)
