"""The process that parses workbooks and Parquet files; `isolation.py` starts it and speaks with it over pipes.

A request is a line of JSON and the bytes of the file. An answer is a line of JSON, and an Arrow stream if the file
could be read. The module imports little, because it is started anew.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from pipeline.errors import AisleError
from pipeline.ingestion.parquet_reader import read_parquet
from pipeline.ingestion.xlsx_reader import read_xlsx

BASE_BYTES = 384 << 20
"""Memory for the libraries and a file of any size."""
LARGE_BYTES = 64 << 20
"""A process that was allowed more than this ends after its answer, because it keeps memory that it once had."""
CPU_SECONDS = 60
CPU_SECONDS_PER_BYTE = 2 / (1 << 20)


def serve() -> None:
    """Answer requests until standard input ends."""
    # Arrow's default pool reserves memory ahead, which would count.
    pa.set_memory_pool(pa.system_memory_pool())
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # A library that prints must not print into the answer.
    os.dup2(2, 1)
    last = False
    while not last and (line := requests.readline()):
        request = json.loads(line)
        allowed = [0]

        def allow_file(needed: int, allowed: list[int] = allowed) -> None:
            allowed.append(needed)
            allow(needed)

        allow(0)
        answer, table = _answer(request, requests.read(request["size"]), allow_file)
        last = max(allowed) > LARGE_BYTES
        answers.write(json.dumps(answer | {"last": last}).encode() + b"\n")
        if table is not None:
            with pa.ipc.new_stream(answers, table.schema) as stream:
                stream.write_table(table)
        answers.flush()


def allow(needed: int) -> None:
    """Set how much memory and processor time this process may use from now on.

    Args:
        needed: bytes that the file that is parsed may need.
    """
    # RLIMIT_AS would count reserved addresses too, of which libraries and threads have gigabytes.
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    memory = BASE_BYTES + needed
    resource.setrlimit(resource.RLIMIT_DATA, (memory if most < 0 else min(memory, most), most))
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime + CPU_SECONDS + CPU_SECONDS_PER_BYTE * needed)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds if most < 0 else min(seconds, most), most))


def _answer(
    request: dict[str, Any], data: bytes, allow: Callable[[int], None]
) -> tuple[dict[str, Any], pa.Table | None]:
    try:
        if request["kind"] == "xlsx":
            table = read_xlsx(data, request["name"], request["sheet"], request["max_bytes"], allow)
        else:
            table = read_parquet(data, request["name"], request["max_bytes"], allow)
    except AisleError as refusal:
        parts = {name: str(getattr(refusal, name)) for name in ("what", "where", "todo")}
        shown = {name: value and str(value) for name in ("observed", "allowed") if (value := getattr(refusal, name))}
        return {"outcome": "refused", "refusal": parts | shown}, None
    except BaseException as error:  # noqa: BLE001 (a panic in Rust is no Exception)
        return {"outcome": "failed", "error": f"{type(error).__name__}: {error}"}, None
    return {"outcome": "rows"}, table
