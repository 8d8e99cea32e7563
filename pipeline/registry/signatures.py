"""Signatures of models by a key that neither the registry nor the folder of model files holds.

The registry keeps the checksum of a version's files. Whoever may write both the registry and the files could change
both. A signature, HMAC-SHA256 of the model's name and the checksum, can only be made by who has AISLE_SIGNING_KEY.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from pipeline.errors import RefusedError


def sign(key: str, name: str, sha256: str) -> str:
    """Return the signature of a version's checksum, in hexadecimal."""
    return hmac.new(key.encode(), f"aisle model\n{name}\n{sha256}".encode(), hashlib.sha256).hexdigest()


def is_signed(keys: Sequence[str], name: str, sha256: str, signature: str | None) -> bool:
    """Tell whether a signature was made by one of the keys; always so without keys."""
    return not keys or any(hmac.compare_digest(sign(key, name, sha256), signature or "") for key in keys)


def require_signature(keys: Sequence[str], name: str, sha256: str, signature: str | None, where: str) -> None:
    """Refuse a version that is not signed by one of the keys.

    Args:
        keys: the keys in use; none: nothing is required.
        name: of the registered model.
        sha256: the checksum of its files.
        signature: what the registry holds.
        where: the version, for the message.

    Raises:
        RefusedError: if the signature is missing or not by one of the keys.
    """
    if not is_signed(keys, name, sha256, signature):
        version = where.rpartition(" ")[2]
        raise RefusedError(
            "The model is not signed by AISLE_SIGNING_KEY",
            where=where,
            observed="no signature" if not signature else "a signature by another key, or of other files",
            todo=f"find out who changed it; if it is right, vouch for it: aisle sign {name} {version}",
        )
