"""What a model's file offers to the service, and what the service offers to it.

A file in `models/` has a `SERVED`: the route, the registered models behind it, the schema of a row and of an answer,
and `build`, which makes a `Predictor` of loaded champions. All else (loading, swapping, queues, logs, metrics, shadow)
is the service's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import AisleError
from pipeline.serving.errors import Fault, fault_of

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.registry.records import Loaded
    from pipeline.settings import Settings

MAX_ROWS = 10_000

Amount = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
"""A number of things or of money that cannot be negative."""
Day = Annotated[dt.date, Field(ge=dt.date(1900, 1, 1), le=dt.date(2200, 1, 1))]


class Strict(BaseModel):
    """A part of a request: unknown fields, other types, NaN and infinity are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Answer(BaseModel):
    """What is answered to one row; a NaN or an infinity here is a fault of the model, which is then not used."""

    model_config = ConfigDict(allow_inf_nan=False)


class RowError(Answer):
    """A row that cannot be answered, while the others are."""

    error: Fault

    @classmethod
    def of(cls, error: AisleError) -> RowError:
        """The refusal that says what an error says."""
        return cls(error=fault_of(error))


def flat(requests: Sequence[Sequence[Any]]) -> list[Any]:
    """All rows of some requests, in their order."""
    return [row for rows in requests for row in rows]


RowT = TypeVar("RowT", bound=Strict)
AnswerT = TypeVar("AnswerT", bound=Answer)


class PredictRequest(Strict, Generic[RowT]):
    """The body of a request: rows, which are answered in their order."""

    rows: list[RowT] = Field(min_length=1, max_length=MAX_ROWS)


class PredictResponse(BaseModel, Generic[AnswerT]):
    """The body of an answer: one for each row, in their order."""

    answers: list[AnswerT | RowError]


@dataclass(frozen=True)
class Predictions:
    """What came of some rows.

    Args:
        answers: one a row.
        positions: of the rows that were answered, among all.
        inputs: what the model was asked of those, feature -> a value a row. It goes to the log, which `watch` compares
            with what the model was trained on. Columns and not a data frame: of one row, that costs more than the rest.
    """

    answers: list[Answer]
    positions: list[int]
    inputs: Mapping[str, Sequence[Any]]


def columns_of(features: pd.DataFrame) -> dict[str, list[Any]]:
    """A data frame as `Predictions` takes it."""
    return {str(name): column.tolist() for name, column in features.items()}


class Predictor(Protocol):
    """Champions, ready to answer. Used by one thread at a time.

    Attributes:
        example: rows that it can answer: the champion's input example, in the form of a request.
        about: what else there is to say of it in `GET /model/{name}`.
    """

    @property
    def example(self) -> Sequence[Any]: ...

    @property
    def about(self) -> Mapping[str, Any]: ...

    def predict(self, requests: Sequence[Sequence[Any]]) -> Predictions:
        """Answer the rows of some requests, one after the other; no request's answers depend on another's rows."""


@dataclass(frozen=True)
class EndpointSpec:
    """A route and the models behind it.

    Args:
        name: of the route in settings, logs and metrics.
        path: of the route.
        models: registered models; they are loaded and swapped together.
        summary, description: for people, in /docs.
        row, answer: schemas.
        build: from the loaded models, by name.
        source: names what else `build` reads; when the name changes, it is built again.
    """

    name: str
    path: str
    models: tuple[str, ...]
    summary: str
    description: str
    row: type[Strict]
    answer: type[Answer]
    build: Callable[[Mapping[str, Loaded], Settings], Predictor]
    source: Callable[[Settings], str] = field(default=lambda _: "")
