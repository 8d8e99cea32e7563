"""An endpoint with a trivial model over a registry in memory, so that tests of the service itself need no training."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pandas as pd

from pipeline.endpoints import Amount, Answer, EndpointSpec, Predictions, RowError, Strict, flatten
from pipeline.errors import RefusedError
from pipeline.registry.client import CHAMPION, Registry
from pipeline.registry.records import Loaded, ModelVersion, Provenance
from pipeline.serving.connections import Limits
from pipeline.settings import Settings
from tests.serving.helpers import HANG_SECONDS, ready, running

MODEL, PATH = "numbers", "/numbers"
AS_OF = date(2025, 5, 1)
WAITS, FAILS, REFUSED = 1.0, 2.0, 3.0
"""Numbers with which the predictor waits for `go`, raises, and refuses the row."""


class NumberRow(Strict):
    """A number."""

    number: Amount


class NumberAnswer(Answer):
    """The number plus the model's constant."""

    number: float
    model_version: int


class NumberPredictor:
    """Adds a constant; see `WAITS`, `FAILS` and `REFUSED`."""

    about: Mapping[str, Any] = {}
    example = (NumberRow(number=10),)
    go = threading.Event()

    def __init__(self, loaded: Mapping[str, Loaded], settings: Settings) -> None:
        self._constant, self._version = loaded[MODEL].model, loaded[MODEL].version.version

    def predict(self, requests: Sequence[Sequence[NumberRow]]) -> Predictions:
        numbers = [row.number for row in flatten(requests)]
        if WAITS in numbers:
            self.go.wait(HANG_SECONDS)
        if FAILS in numbers:
            raise ValueError("it holds a secret")
        refused = RowError.of(RefusedError("This number is refused", where="number", todo="send another"))
        answers = [
            refused if number == REFUSED else NumberAnswer(number=number + self._constant, model_version=self._version)
            for number in numbers
        ]
        positions = [n for n, number in enumerate(numbers) if number != REFUSED]
        return Predictions(list(answers), positions, {"number": [numbers[n] for n in positions]})


ENDPOINT = EndpointSpec(
    name="numbers",
    path=PATH,
    models=(MODEL,),
    summary="A number plus a constant",
    description="For tests.",
    row=NumberRow,
    answer=NumberAnswer,
    build=NumberPredictor,
)


class StubRegistry(Registry):
    """Versions of the model `numbers` in memory; the constant of version n is 100 n.

    Attributes:
        loads: the versions that were loaded.
        more: aliases of further models, which are like it.
    """

    def __init__(self, **aliases: int) -> None:
        self.versions_by_alias: dict[str, int] = aliases or {CHAMPION: 1}
        self.loads: list[int] = []
        self.more: dict[str, dict[str, int]] = {}

    def aliases(self, name: str) -> dict[str, int]:
        return dict(self.versions_by_alias) if name == MODEL else self.more.get(name, {})

    def load(self, name: str, which: int | str = CHAMPION, trusted_types: Sequence[str] = ()) -> Loaded:
        version = int(which)
        self.loads.append(version)
        provenance = Provenance(AS_OF, {"table": 3}, ("number",), 7, "abc123")
        described = ModelVersion(name, version, (), datetime(2025, 5, 2, tzinfo=UTC), provenance, {}, True, {})
        return Loaded(described, 100.0 * version, {}, pd.DataFrame({"number": [10.0]}))


@contextmanager
def stub_service(
    settings: Settings, registry: Registry | None = None, limits: Limits | None = None, **changes: Any
) -> Iterator[httpx.Client]:
    """Run the service over the stub, with changed settings; yield a client when it is ready."""
    registry, settings = registry or StubRegistry(), settings.model_copy(update=changes)
    NumberPredictor.go.clear()
    with running(settings, limits, endpoints=(ENDPOINT,), registry=lambda: registry) as client:
        yield ready(client)
