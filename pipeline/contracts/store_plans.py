"""`store_plans`: one row a store and day ahead, and what is planned of it. The newest delivery is right."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from pipeline.contracts.contract import Contract
from pipeline.contracts.store_days import KEY, KNOWN_AHEAD


def _derive(rows: pa.Table, options: Mapping[str, str]) -> pa.Table:  # noqa: ARG001 (the form of a contract)
    return rows


STORE_PLANS = Contract(
    table="store_plans",
    columns=(*KEY, *KNOWN_AHEAD),
    derived=(),
    line_key=("store",),
    event_time="day",
    derive=_derive,
)
