"""Keys of the service, and where it may listen without any.

A key is 256 random bits, so one round of SHA-256 is hash enough: there is nothing to guess.
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
    """A key, to be given to whoever will use it and kept nowhere."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_key(key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def entry(key: str, scopes: Sequence[str]) -> dict[str, Any]:
    """A key's entry in AISLE_API_KEYS."""
    return {"sha256": hash_key(key), "scopes": sorted(set(scopes))}


@lru_cache
def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def may_listen(host: str, keys: Mapping[str, ApiKey]) -> None:
    """Refuse to be open to a network without keys.

    Raises:
        UsageError: if there are none and the address is not a loopback one.
    """
    if not keys and not is_loopback(host):
        raise UsageError(
            "Without keys the service listens on loopback only",
            where="AISLE_API_KEYS",
            observed=f"no keys, --host {host}",
            allowed="--host 127.0.0.1, or keys",
            todo="make a key: aisle key NAME --scope predict --scope read",
        )
