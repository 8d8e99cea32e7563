"""The list of domains, from which the command line, the DAGs and the prediction service are made.

A new domain is a folder below `pipeline/` that exports a `Domain`, and an entry here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.customers.domain import DOMAIN as CUSTOMERS
from pipeline.errors import UsageError
from pipeline.footfall.domain import DOMAIN as FOOTFALL
from pipeline.shoppers.domain import DOMAIN as SHOPPERS
from pipeline.stores.domain import DOMAIN as STORES

if TYPE_CHECKING:
    from pipeline.endpoints import EndpointSpec
    from pipeline.training.spec import Domain, ModelSpec

DOMAINS: tuple[Domain, ...] = (CUSTOMERS, STORES, SHOPPERS, FOOTFALL)

for one in DOMAINS:
    if one.contracts:
        # Only here: contracts import Arrow, and DAG files import this module whenever Airflow reads them.
        from pipeline.contracts import CONTRACTS

        CONTRACTS.update({contract.table: contract for contract in one.contracts})


def find_domain(name: str) -> Domain:
    """The domain of that name.

    Raises:
        UsageError: if there is none.
    """
    for one in DOMAINS:
        if one.name == name:
            return one
    raise UsageError("There is no such domain", observed=name, allowed=", ".join(one.name for one in DOMAINS))


def domain_of(model: str) -> Domain:
    """The domain that a model belongs to.

    Raises:
        UsageError: if no domain has such a model.
    """
    for one in DOMAINS:
        if model in one.model_names:
            return one
    raise UsageError("There is no such model", observed=model, allowed=", ".join(model_names()))


def spec_of(model: str) -> ModelSpec[Any]:
    """The specification of a model.

    Raises:
        UsageError: if no domain has such a model.
    """
    return domain_of(model).entry(model).spec()


def model_names() -> tuple[str, ...]:
    """The names of all registered models, domain by domain."""
    return tuple(name for one in DOMAINS for name in one.model_names)


def endpoints() -> tuple[EndpointSpec, ...]:
    """What the prediction service answers, domain by domain."""
    return tuple(endpoint() for one in DOMAINS for endpoint in one.endpoints)
