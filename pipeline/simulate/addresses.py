"""The options of a simulated source's address: `simulate://visits?seed=7&people=400`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pipeline.errors import UsageError


def kind_of(address: str) -> str:
    """What an address simulates: `shop`, `visits`, `people`, `footfall`, `store_days`, …"""
    return urlsplit(address).netloc


def options_of(address: str, known: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """Parse the options of an address.

    Args:
        known: a parser for each option that is allowed.

    Raises:
        UsageError: naming every option that is unknown, unreadable or given twice.
    """
    values: dict[str, Any] = {}
    faults = []
    for name, text in parse_qsl(urlsplit(address).query, keep_blank_values=True):
        if name not in known:
            faults.append(f"{name}: unknown option")
        elif name in values:
            faults.append(f"{name}: given twice")
        else:
            try:
                values[name] = known[name](text)
            except ValueError:
                faults.append(f"{name}: cannot read {text!r}")
    if faults:
        raise UsageError(
            "The simulated source's address is wrong",
            where=address,
            observed="; ".join(faults),
            allowed=", ".join(sorted(known)),
        )
    return values
