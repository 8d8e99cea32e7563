"""The list of domains: every reference in it leads somewhere, and to what it should."""

from __future__ import annotations

import inspect

import pytest

from pipeline.contracts import CONTRACTS
from pipeline.domains import DOMAINS, domain_of, endpoints, find_domain, model_names, spec_of
from pipeline.endpoints import EndpointSpec
from pipeline.errors import UsageError
from pipeline.training.spec import Domain, ModelSpec, Steps


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
def test_a_domain_refers_to_what_it_says(domain: Domain) -> None:
    for entry in domain.models:
        spec = entry.spec()
        assert isinstance(spec, ModelSpec)
        assert spec.name == entry.name
        assert (spec.evaluate is None) != (spec.compare is None), "a model is measured one by one or together"
        assert bool(entry.candidates) == (spec.evaluate_candidate is not None)
        assert entry.raw_input in (None, spec.table)
    steps = domain.steps()
    for name in ("build_features", "score", "write_report"):
        expected = list(inspect.signature(getattr(Steps, name)).parameters)[1:]
        assert list(inspect.signature(getattr(steps, name)).parameters) == expected, name
    assert all(isinstance(endpoint(), EndpointSpec) for endpoint in domain.endpoints)
    assert {domain.input_table, *domain.other_inputs} <= set(CONTRACTS)


def test_names_are_unique_and_lead_back() -> None:
    assert len(set(model_names())) == len(model_names())
    assert len({endpoint.path for endpoint in endpoints()}) == len(endpoints())
    for name in model_names():
        assert spec_of(name).name == name
        assert name in find_domain(domain_of(name).name).model_names


def test_unknown_names_are_refused_with_what_there_is() -> None:
    with pytest.raises(UsageError, match=r"calls[^$]*customers, stores, shoppers, footfall"):
        find_domain("calls")
    with pytest.raises(UsageError, match=r"nothing[^$]*customer_segments"):
        domain_of("nothing")
    with pytest.raises(UsageError, match=r"store_sales[^$]*customer_segments"):
        find_domain("customers").entry("store_sales")
