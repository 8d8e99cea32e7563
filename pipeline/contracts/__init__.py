"""What each table is: its columns, their types, its key, and what the reader derives."""

from pipeline.contracts.contract import Column, Contract
from pipeline.contracts.transactions import TRANSACTIONS

CONTRACTS: dict[str, Contract] = {contract.table: contract for contract in (TRANSACTIONS,)}

__all__ = ["CONTRACTS", "Column", "Contract"]
