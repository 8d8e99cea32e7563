"""A request's body: what it may cost is bounded before it is made into rows.

Eight megabytes of JSON can hold millions of values, and a schema that lists every fault in them needs gigabytes. So
commas are counted first, then the structure is read once for repeated keys, and a large body is refused at its first
fault.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError, create_model

from pipeline.endpoints import MAX_ITEMS, EndpointSpec
from pipeline.serving.errors import ProblemError, body_problem, not_json

MAX_COMMAS = 1_000_000
"""Values of a body, so to speak: each but the first of an object or array has a comma before it."""
MAX_KEYS = 1_000
"""Keys of one object."""
SMALL_BYTES = 16_384
"""A body up to this size is read by the event loop, and all its faults are listed."""


class BodyReader:
    """Makes bodies into rows. Large ones wait for one thread, so that only one at a time needs memory.

    Args:
        specs: the endpoints, whose schemas are compiled here.
    """

    def __init__(self, specs: Sequence[EndpointSpec]) -> None:
        self._readers = {spec.name: _reader(spec) for spec in specs}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="body")

    async def request(self, endpoint: str, body: bytes) -> Any:
        """A body in the schema `EndpointSpec.request`.

        Raises:
            ProblemError: 400 if it is not JSON or has a key twice, 413 or 422 if it holds too much, 422 if it does not
                match the schema.
        """
        read = self._readers[endpoint]
        if len(body) <= SMALL_BYTES:
            return read(body)
        # A request that has timed out meanwhile is taken out of the queue.
        return await asyncio.get_running_loop().run_in_executor(self._thread, read, body)

    async def in_thread(self, work: Callable[[], bytes]) -> bytes:
        """Do other work on a large request in the same thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Drop what waits."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _reader(spec: EndpointSpec) -> Callable[[bytes], Any]:
    full, row = spec.request, spec.row
    bounds, default = full.model_fields["rows"].metadata, full.model_fields["rows"].default
    fields: Any = {"rows": (Annotated[list[row], *bounds, Field(fail_fast=True)], default)}  # type: ignore[valid-type]
    quick = create_model("QuickRequest", __base__=full, **fields)
    adapters: Mapping[bool, TypeAdapter[Any]] = {True: TypeAdapter(full), False: TypeAdapter(quick)}

    def read(body: bytes) -> Any:
        check_structure(body)
        try:
            request = adapters[len(body) <= SMALL_BYTES].validate_json(body)
        except ValidationError as error:
            raise body_problem(error, complete=len(body) <= SMALL_BYTES) from None
        if (items := sum(map(spec.items, request.rows))) > MAX_ITEMS:
            raise ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "The rows hold too much together",
                where="rows",
                observed=f"{items} {spec.item}",
                allowed=f"{MAX_ITEMS} {spec.item}",
                todo="send several requests",
            )
        return request

    return read


def check_structure(body: bytes) -> None:
    """Refuse a body that is not JSON, holds too many values, or has a key twice in an object.

    Raises:
        ProblemError: 400, or 422 for too many values.
    """
    if body.count(b",") > MAX_COMMAS:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "The body holds too many values",
            allowed=f"{MAX_COMMAS} values",
            todo="send several requests",
        )
    try:
        json.loads(body, object_pairs_hook=_check_keys)
    except RecursionError:
        raise not_json("it is nested too deeply") from None
    except ValueError as error:
        raise not_json(error) from None


def _check_keys(pairs: list[tuple[str, Any]]) -> None:
    """Refuse an object with a repeated key or too many keys. Nothing of it is kept, which saves memory."""
    if len(pairs) < 2:
        return
    if len(pairs) > MAX_KEYS:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "An object of the body has too many keys",
            observed=f"{len(pairs)} keys",
            allowed=f"{MAX_KEYS} keys",
            todo="send what /docs describes",
        )
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise ProblemError(
                HTTPStatus.BAD_REQUEST,
                "An object of the body has a key twice",
                where=key,
                todo="send each key once: readers differ in which of them they take",
            )
        seen.add(key)
