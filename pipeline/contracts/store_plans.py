"""`store_plans`: what is planned for a store on a coming day, one row a store and day; the newest delivery counts."""

from __future__ import annotations

from pipeline.contracts.contract import Contract
from pipeline.contracts.store_days import KEY, KNOWN_AHEAD

STORE_PLANS = Contract(
    table="store_plans",
    columns=(*KEY, *KNOWN_AHEAD),
    line_key=("store",),
    event_time="day",
)
