"""Authentication, scopes and rate limits of the service.

Programs send a key as a bearer token; browsers send it as the password of HTTP Basic, with any user name.

Without configured keys, the service answers only requests to a loopback address under a loopback host name, so a web
page whose own host name resolves to this machine is refused (DNS rebinding). Browsers send what they know of a user
also for pages of other sites, so a request that changes something, and comes from another site's page, is refused with
and without keys.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.serving.errors import ProblemError
from pipeline.serving.keys import hash_key, is_loopback
from pipeline.settings import ApiKey
from pipeline.settings import Scope as KeyScope

LOOPBACK = "loopback"
"""The name in the log of clients that need no key."""
CHALLENGE = 'Bearer realm="Aisle", Basic realm="Aisle", charset="UTF-8"'


class AuthMiddleware:
    """Passes a request on to the application, or answers 401, 403 or 429.

    It runs before routing, so every address is denied by default: also unknown ones and static files.

    Args:
        scope_of: the scope that a path requires; None for a path that is open to all.
        rate: requests that each key may make, such as "6000/minute".
    """

    def __init__(
        self, app: ASGIApp, *, keys: Mapping[str, ApiKey], scope_of: Callable[[str], KeyScope | None], rate: str
    ) -> None:
        self._app, self._keys, self._scope_of = app, keys, scope_of
        self._rate, self._rate_text = parse(rate), rate
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (required := self._scope_of(scope["path"])) is not None:
            try:
                _check_site(scope, Headers(scope=scope))
                scope["state"]["key"] = self._authorize(scope, required)
            except ProblemError as problem:
                await problem.response(scope)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _authorize(self, scope: Scope, required: KeyScope) -> str:
        """The name of the client's key.

        Raises:
            ProblemError: 401, 403 or 429.
        """
        headers = Headers(scope=scope)
        if not self._keys:
            _check_loopback(scope, headers)
            return LOOPBACK
        name = self._authenticate(headers)
        if not self._keys[name].scopes & {required, "admin"}:
            raise ProblemError(
                HTTPStatus.FORBIDDEN,
                "This key lacks the required scope",
                where=scope["path"],
                observed=f"scopes of {name}: {', '.join(sorted(self._keys[name].scopes))}",
                allowed=f"keys with the scope {required}",
                todo="use another key, or ask the operator of the service for the scope",
            )
        if not self._limiter.hit(self._rate, name):
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "This key has made too many requests",
                allowed=self._rate_text,
                todo="wait, and send more rows in fewer requests",
                headers={"Retry-After": "1"},
            )
        return name

    def _authenticate(self, headers: Headers) -> str:
        """The name of the key that was sent. It is compared with all of them, so that timing reveals nothing."""
        digest = hash_key(_sent_key(headers))
        matching = [name for name, key in self._keys.items() if hmac.compare_digest(digest, key.sha256)]
        if not matching:
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "This address requires a valid key",
                where="Authorization",
                observed="an unknown key" if "authorization" in headers else "no key",
                allowed="Authorization: Bearer KEY; in a browser the key is the password, with any user name",
                todo="ask the operator of the service for a key",
                headers={"WWW-Authenticate": CHALLENGE},
            )
        return matching[0]


def _sent_key(headers: Headers) -> str:
    """The key in the Authorization header; "" if there is none or it is malformed."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return value.strip() if scheme.lower() == "bearer" else ""
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _check_site(scope: Scope, headers: Headers) -> None:
    """Refuse what a page of another site makes a browser send; programs send neither of the two headers."""
    if scope["method"] in ("GET", "HEAD", "OPTIONS"):
        return
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
    own = origin is None or urlsplit(origin).netloc == headers.get("host", "")
    if not own or site not in ("same-origin", "none"):
        raise ProblemError(
            HTTPStatus.FORBIDDEN,
            "A page of another site may not send this request",
            where="Origin, Sec-Fetch-Site",
            observed=f"{origin or 'no origin'}, {site}",
            todo="send it by a program, or from a page of the service itself",
        )


def _check_loopback(scope: Scope, headers: Headers) -> None:
    """Refuse a request that did not come to a loopback address under a loopback host name."""
    host = headers.get("host", "")
    name = host.rpartition(":")[0] if ":" in host else host
    if not is_loopback((scope.get("server") or ("",))[0] or "") or not is_loopback(name.strip("[]")):
        raise ProblemError(
            HTTPStatus.UNAUTHORIZED,
            "Without keys the service answers on loopback only",
            where="AISLE_API_KEYS",
            todo="make a key: aisle key NAME --scope predict --scope read",
            headers={"WWW-Authenticate": CHALLENGE},
        )
