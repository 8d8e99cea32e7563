"""The contract of each table: its columns and their types, its key, and the columns derived from them."""

from pipeline.contracts.contract import Column, Contract
from pipeline.contracts.footfall import FOOTFALL
from pipeline.contracts.people import PEOPLE
from pipeline.contracts.store_days import STORE_DAYS
from pipeline.contracts.store_plans import STORE_PLANS
from pipeline.contracts.stores import STORES
from pipeline.contracts.transactions import TRANSACTIONS
from pipeline.contracts.visits import VISITS

CONTRACTS: dict[str, Contract] = {
    contract.table: contract for contract in (TRANSACTIONS, VISITS, PEOPLE, FOOTFALL, STORE_DAYS, STORES, STORE_PLANS)
}
"""Table -> contract. `pipeline.domains` adds those that a domain brings with it."""

__all__ = ["CONTRACTS", "Column", "Contract"]
