"""Who may ask for what: keys, their scopes, and how often each may ask.

Browsers send a key as the password of HTTP Basic (any user name), programs as a bearer token.

Without keys the service answers only those who reach it through a loopback address under a loopback name: a page
of the web that points its own name at this machine is refused.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from http import HTTPStatus

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.serving.errors import ProblemError
from pipeline.serving.keys import hash_key, is_loopback
from pipeline.settings import ApiKey
from pipeline.settings import Scope as KeyScope

NOBODY = "loopback"
"""Who asks where no keys are needed."""
CHALLENGE = 'Bearer realm="Aisle", Basic realm="Aisle", charset="UTF-8"'


class AuthMiddleware:
    """Lets a request through to the application, or answers 401, 403 or 429.

    Args:
        scope_of: what a path needs; None for what everybody may have.
        rate: requests a key may make, as "6000/minute".
    """

    def __init__(
        self, app: ASGIApp, *, keys: Mapping[str, ApiKey], scope_of: Callable[[str], KeyScope | None], rate: str
    ) -> None:
        self._app, self._keys, self._scope_of = app, keys, scope_of
        self._rate, self._rate_text = parse(rate), rate
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (needed := self._scope_of(scope["path"])) is not None:
            try:
                scope["state"]["key"] = self._let_in(scope, needed)
            except ProblemError as problem:
                await problem.response(scope["state"]["request_id"])(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _let_in(self, scope: Scope, needed: KeyScope) -> str:
        headers = Headers(scope=scope)
        name = self._who(headers) if self._keys else _nobody(scope, headers)
        if self._keys and not self._keys[name].scopes & {needed, "admin"}:
            raise ProblemError(
                HTTPStatus.FORBIDDEN,
                "This key may not do that",
                where=scope["path"],
                observed=f"scopes of {name}: {', '.join(sorted(self._keys[name].scopes))}",
                allowed=f"keys with the scope {needed}",
                todo="use another key, or ask whoever runs the service for the scope",
            )
        if self._keys and not self._limiter.hit(self._rate, name):
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "This key has made too many requests",
                allowed=self._rate_text,
                todo="wait, and ask for more rows in fewer requests",
                headers={"Retry-After": "1"},
            )
        return name

    def _who(self, headers: Headers) -> str:
        """The name of the key that is sent. All are compared, so that time tells nothing of which one it is like."""
        sent = hash_key(_sent(headers))
        found = [name for name, key in self._keys.items() if hmac.compare_digest(sent, key.sha256)]
        if not found:
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "This needs a key that the service knows",
                where="Authorization",
                observed="a key that it does not know" if "authorization" in headers else "no key",
                allowed="Authorization: Bearer KEY; in a browser the key is the password, with any user name",
                todo="ask whoever runs the service for a key",
                headers={"WWW-Authenticate": CHALLENGE},
            )
        return found[0]


def _sent(headers: Headers) -> str:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return value.strip() if scheme.lower() == "bearer" else ""
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _nobody(scope: Scope, headers: Headers) -> str:
    host = headers.get("host", "").rpartition(":")[0] if ":" in headers.get("host", "") else headers.get("host", "")
    if not is_loopback((scope.get("server") or ("",))[0] or "") or not is_loopback(host.strip("[]")):
        raise ProblemError(
            HTTPStatus.UNAUTHORIZED,
            "The service has no keys, so it answers on loopback only",
            where="AISLE_API_KEYS",
            todo="make a key: aisle key NAME --scope predict --scope read",
            headers={"WWW-Authenticate": CHALLENGE},
        )
    return NOBODY
