"""Remove passwords from text that people, logs, pages or clients get to see.

Two means together: whatever stands in an address where a user and a password stand is replaced, also in addresses that
nobody has told this module of; and the passwords of the settings, which `Settings` gives to `remember`, are replaced
wherever they stand, because a library may show one without its address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import SplitResult, unquote, urlsplit

HIDDEN = "***"
MIN_LENGTH = 8
"""Characters of a remembered password; shorter ones are parts of ordinary words, and are hidden in addresses only."""
SECRET_NAME = re.compile(r"key|secret|token|passw|pwd|credential|signature|\bsig\b|sas_|account", re.IGNORECASE)
"""What the name of an option says whose value is a secret."""
CONTAINER_SCHEMES = frozenset({"abfs", "abfss", "wasb", "wasbs"})
"""Schemes of Azure, where a container and no user stands before the @."""

# Every repetition is bounded, so that the time grows with the length of a text and not with its square.
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]{0,30}:/{1,3}"
_ADDRESS = re.compile(rf"{_SCHEME}[^\s\"'<>]+")
# A password that holds a quote, a slash or the like, unescaped: everything up to the last @ of the word.
_LOOSE = re.compile(rf"({_SCHEME})[^\s/?#@:]{{0,200}}:(?!\d{{1,5}}(?:[/?#]|$))\S{{0,500}}@")
_PARAMETER = re.compile(
    r"(?P<name>(?:passw(?:or)?d|pwd|secret|token|signature|access_key|account_key|credential)[\w.-]{0,40}"
    r"(?:=|[\"']\s?[:=]\s?[\"']))(?P<value>[^\s\"'&;,]+)",
    re.IGNORECASE,
)
_remembered: frozenset[str] = frozenset()


def redact(value: object) -> str:
    """Return a text in which `***` stands for users and passwords of addresses and for other secrets.

    Args:
        value: any text or object, such as an exception or an address; an object is shown by `str`.
    """
    text = str(value)
    for secret in _remembered:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    if ":/" in text:
        text = _LOOSE.sub(rf"\1{HIDDEN}@", _ADDRESS.sub(lambda found: _redacted(found[0]), text))
    return _PARAMETER.sub(rf"\g<name>{HIDDEN}", text)


def remember(secrets: Iterable[str]) -> None:
    """Hide these texts wherever they stand, in every later call of `redact` in this process."""
    global _remembered
    _remembered |= {secret for secret in secrets if len(secret) >= MIN_LENGTH}


def remembered() -> frozenset[str]:
    """The texts that are hidden wherever they stand."""
    return _remembered


def secrets_of(address: str) -> set[str]:
    """The user, where it is a token, and the password of an address, as written and decoded."""
    parts = _split(address)
    if parts is None or "@" not in parts.netloc or parts.scheme in CONTAINER_SCHEMES:
        return set()
    user, colon, password = parts.netloc.rpartition("@")[0].partition(":")
    secret = password if colon else user
    return {secret, unquote(secret)}


def _redacted(address: str) -> str:
    """An address without its user and password."""
    parts = _split(address)
    if parts is None or "@" not in parts.netloc:
        return address
    user, _, host = parts.netloc.rpartition("@")
    if parts.scheme in CONTAINER_SCHEMES and ":" not in user:
        return address
    return address.replace(f"{user}@{host}", f"{HIDDEN}@{host}", 1)


def _split(address: str) -> SplitResult | None:
    """The parts of an address; None if it cannot be parsed. A path type may have taken a slash away."""
    try:
        return urlsplit(re.sub(r":/+", "://", address, count=1))
    except ValueError:
        return None
