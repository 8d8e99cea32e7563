"""What a domain offers to the prediction service.

`pipeline/<domain>/endpoint.py` exports `ENDPOINT`, an `EndpointSpec`: the path, the registered models behind it, the
schemas of a row and of its answer, and `build`, which makes a `Predictor` from loaded champions. Loading and replacing
champions, queues, keys, logs, metrics and challengers belong to `pipeline.serving`, which domains never import.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Generic, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from pipeline.errors import AisleError, RefusedError
from pipeline.redaction import redact

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.registry.records import Loaded
    from pipeline.settings import Settings

MAX_ROWS = 10_000
"""Rows of one request."""
MAX_ITEMS = 50_000
"""Items of all rows of one request, such as invoice lines; see `EndpointSpec.items`."""
MAX_SHOWN_CHARACTERS = 100
"""Characters of a value that an answer repeats."""

Amount = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
"""A count or an amount of money that cannot be negative."""
Day = Annotated[dt.date, Field(ge=dt.date(1900, 1, 1), le=dt.date(2200, 1, 1))]


class Strict(BaseModel):
    """Base of everything in a request: unknown fields, other types, NaN and infinity are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Answer(BaseModel):
    """Base of the answer to one row. NaN and infinity raise: a model that returns them is not used."""

    model_config = ConfigDict(allow_inf_nan=False)


class Fault(BaseModel):
    """One thing that is wrong with a request or a row, and where."""

    model_config = ConfigDict(frozen=True)

    what: str
    where: str = Field("", examples=["rows.0.visitors"])
    observed: str = ""
    allowed: str = ""
    todo: str = ""

    @classmethod
    def of(cls, error: AisleError) -> Fault:
        """The fields of one of our errors, with long values cut."""
        return cls(
            what=error.what,
            where=error.where,
            observed=shown(error.observed),
            allowed=shown(error.allowed),
            todo=error.todo,
        )


class RowError(Answer):
    """The answer to a row that cannot be predicted; the other rows of the request still are."""

    error: Fault

    @classmethod
    def of(cls, error: AisleError) -> RowError:
        """The answer that carries one of our errors."""
        return cls(error=Fault.of(error))


RowT = TypeVar("RowT", bound=Strict)
OverT = TypeVar("OverT", bound=str)
AnswerT = TypeVar("AnswerT", bound=Answer)
SumT = TypeVar("SumT", bound=Answer)


class PredictRequest(Strict, Generic[RowT]):
    """The body of a request: rows, which are answered in their order."""

    rows: list[RowT] = Field(min_length=1, max_length=MAX_ROWS)


class PredictResponse(BaseModel, Generic[AnswerT]):
    """The body of a response: one answer per row, in their order."""

    answers: list[AnswerT | RowError]


class SumRequest(Strict, Generic[RowT, OverT]):
    """The body of a request that may ask for sums: of its rows, or, without rows, of everything that is planned."""

    rows: list[RowT] = Field([], max_length=MAX_ROWS)
    sum_over: OverT | None = None

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if not self.rows and self.sum_over is None:
            raise PydanticCustomError("nothing_asked", "Send at least one row, or sum_over")
        return self


class SumResponse(BaseModel, Generic[AnswerT, SumT]):
    """The body of a response: one answer per row, in their order, and the sums, if the request asked for them."""

    answers: list[AnswerT | RowError]
    sums: list[SumT | RowError] | None = None


@dataclass(frozen=True)
class Predictions:
    """The result of predicting a batch of rows.

    Args:
        answers: one per row.
        positions: the positions in `answers` of the rows that were predicted; the others are `RowError`s.
        inputs: the model's inputs for those rows: feature -> one value per position. They are written to the prediction
            log, which drift detection compares with the training data. Lists and not a data frame, because making a
            frame of one row takes longer than the prediction.
    """

    answers: list[Answer]
    positions: list[int]
    inputs: Mapping[str, Sequence[Any]]


class Predictor(Protocol):
    """Loaded champions that answer requests. Used by one thread at a time.

    Attributes:
        example: rows of a valid request, made from the champion's input example.
        about: further facts for `GET /model/{name}`; values are JSON.
    """

    @property
    def example(self) -> Sequence[Any]: ...

    @property
    def about(self) -> Mapping[str, Any]: ...

    def predict(self, requests: Sequence[Sequence[Any]]) -> Predictions:
        """Answer the rows of several requests, in order. The answers of a request do not depend on other requests."""


class SummingPredictor(Predictor, Protocol):
    """A predictor whose endpoint offers sums, see `Sums`."""

    def sums(self, over: str, rows: Sequence[Any], answers: Sequence[Answer]) -> Sequence[Answer]:
        """Sum the answers to the rows of one request; without rows, the forecasts of everything that is planned.

        Args:
            over: what one sum is of.
            rows: of the request.
            answers: to these rows, by this predictor.
        """


@dataclass(frozen=True)
class Sums:
    """The sums that an endpoint offers; its predictor is a `SummingPredictor`.

    Args:
        over: a `Literal` of what one sum may be of, the values of `sum_over`.
        answer: schema of a sum.
    """

    over: Any
    answer: type[Answer]


@dataclass(frozen=True)
class EndpointSpec:
    """A path of the service and the models behind it.

    Args:
        name: of the endpoint in settings, logs and metrics.
        path: of its URL.
        models: names of registered models; they are loaded and replaced together.
        summary, description: for people, in /docs.
        row, answer: schemas of a row and of its answer.
        build: makes the predictor of the loaded models, by name.
        trusted_types: this project's types that the models' files may hold.
        items: how many things of variable number a row holds. What a request costs grows with them, so their number
            is bounded in a request and in what is predicted at once.
        item: what these things are called, for people.
        personal: inputs about a person that the prediction log leaves out.
        source: returns a name of any further data that `build` reads; if it changes, the predictor is rebuilt.
        lookup: the only field of `row`, if `GET <path>/<value>` is to answer a single row as well.
        sums: the sums that a request may ask for with `sum_over`.
    """

    name: str
    path: str
    models: tuple[str, ...]
    summary: str
    description: str
    row: type[Strict]
    answer: type[Answer]
    build: Callable[[Mapping[str, Loaded], Settings], Predictor]
    trusted_types: tuple[str, ...] = ()
    items: Callable[[Any], int] = field(default=lambda _: 1)
    item: str = "rows"
    personal: frozenset[str] = frozenset()
    source: Callable[[Settings], str] = field(default=lambda _: "")
    lookup: str | None = None
    sums: Sums | None = None

    @property
    def request(self) -> Any:
        """The schema of a request's body."""
        if self.sums:
            return SumRequest[self.row, self.sums.over]  # type: ignore[name-defined]
        return PredictRequest[self.row]  # type: ignore[name-defined]

    @property
    def response(self) -> Any:
        """The schema of a response's body."""
        if self.sums:
            return SumResponse[self.answer, self.sums.answer]  # type: ignore[name-defined]
        return PredictResponse[self.answer]  # type: ignore[name-defined]


_NO_NUMBER = RefusedError(
    "The model predicts no number for these values",
    todo="look for a value that is far too large or small, or contradicts another; /docs has an example",
)


def finite(make: Callable[[], Answer]) -> Answer:
    """An answer, or the `RowError` of a row whose values are so far from the model's that it predicts no number.

    Args:
        make: makes the answer; its schema, or itself, raises ValueError for NaN and infinity.
    """
    try:
        return make()
    except ValueError:
        return RowError.of(_NO_NUMBER)


def flatten(requests: Sequence[Sequence[Any]]) -> list[Any]:
    """All rows of several requests, in order."""
    return [row for rows in requests for row in rows]


def columns_of(features: pd.DataFrame) -> dict[str, list[Any]]:
    """Convert a data frame to `Predictions.inputs`: column name -> values."""
    return {str(name): column.tolist() for name, column in features.items()}


def shown(value: object) -> str:
    """A value as an answer may repeat it: text or JSON, at most `MAX_SHOWN_CHARACTERS` long; "" for None."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    text = redact(text[: 10 * MAX_SHOWN_CHARACTERS])
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[: MAX_SHOWN_CHARACTERS - 1]}…"
