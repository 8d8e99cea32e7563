"""API keys, and the check that the service listens without keys on loopback addresses only.

A key holds 256 random bits, so it cannot be guessed, and one round of SHA-256 is a sufficient hash.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from pipeline.errors import UsageError
from pipeline.settings import ApiKey

PREFIX = "aisle_"


def new_key() -> str:
    """Generate a key. It is given to its user and stored nowhere."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_key(key: str) -> str:
    """The SHA-256 of a key in hexadecimal, which is all that the service stores."""
    return hashlib.sha256(key.encode()).hexdigest()


def setting_entry(key: str, scopes: Sequence[str]) -> dict[str, Any]:
    """A key's entry in the setting AISLE_API_KEYS."""
    return {"sha256": hash_key(key), "scopes": sorted(set(scopes))}


@lru_cache
def is_loopback(host: str) -> bool:
    """Whether an address or host name is reachable from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_host(host: str, keys: Mapping[str, ApiKey]) -> None:
    """Refuse to listen on a network without keys.

    Raises:
        UsageError: if there are no keys and the address is not a loopback one.
    """
    if not keys and not is_loopback(host):
        raise UsageError(
            "Without keys the service listens on loopback only",
            where="AISLE_API_KEYS",
            observed=f"no keys, --host {host}",
            allowed="--host 127.0.0.1, or keys",
            todo="make a key: aisle key NAME --scope predict --scope read",
        )
