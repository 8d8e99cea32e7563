"""`POST /segments`: the segment of a customer, from features or from the invoice lines that they are made of."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Self

import pandas as pd
import pyarrow as pa
from pydantic import AfterValidator, Field, create_model, model_validator

from pipeline.contracts import CONTRACTS
from pipeline.customers.features import FEATURE_COLUMNS, customer_features
from pipeline.customers.segment_map import SegmentMap, assign
from pipeline.customers.segments import SEGMENT_FEATURES
from pipeline.customers.steps import INPUT_TABLE, MODEL, SEGMENTS_FILE
from pipeline.errors import RefusedError
from pipeline.ingestion.sources import load_sources
from pipeline.lake import engine
from pipeline.serving.interface import Answer, Day, EndpointSpec, Predictions, RowError, Strict, columns_of, flat
from pipeline.serving.query import Query

if TYPE_CHECKING:
    from pipeline.registry.records import Loaded
    from pipeline.settings import Settings

MAX_LINES = 10_000
COMPILED_DAYS = 64
"""As-of days whose query is kept."""

Number = Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False)]

_fields: dict[str, Any] = {
    name: (Number, ...) if name in SEGMENT_FEATURES else (Number | None, None) for name in FEATURE_COLUMNS
}
CustomerFeatures: Any = create_model(
    "CustomerFeatures",
    __base__=Strict,
    __doc__="A row of the table `customer_features`; what the model does not look at may be left out.",
    **_fields,
)


def _wall_clock(at: dt.datetime) -> dt.datetime:
    if at.tzinfo is not None:
        raise ValueError("give the wall clock of the shop, without a time zone")
    return at


class InvoiceLine(Strict):
    """A line of the table `transactions`."""

    invoice: str = Field(min_length=1, max_length=64)
    stock_code: str = Field(min_length=1, max_length=64)
    quantity: int = Field(ge=-1_000_000, le=1_000_000, description="Negative where goods come back.")
    unit_price: float = Field(ge=-1e6, le=1e6)
    invoiced_at: Annotated[dt.datetime, AfterValidator(_wall_clock)] = Field(
        description="Wall clock of the shop, as 2025-06-30T14:05:00."
    )
    country: str | None = Field(None, max_length=64)


class Customer(Strict):
    """A customer: `features`, or `lines` and the day as of which they are looked at."""

    features: CustomerFeatures | None = None
    lines: list[InvoiceLine] | None = Field(default=None, min_length=1, max_length=MAX_LINES)
    as_of: Day | None = None

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Self:
        if (self.features is None) == (self.lines is None):
            raise ValueError("send either features or lines")
        if (self.lines is None) != (self.as_of is None):
            raise ValueError("as_of goes with lines: only what came before midnight of that day counts")
        return self


class SegmentAnswer(Answer):
    """Distances are in the scaled space of the model: to the own segment's centre, and to the nearest other one."""

    segment: int
    segment_name: str
    distance: float
    next_distance: float
    model_version: int


class Predictor:
    """The engine's own expressions, those that score everybody at night."""

    def __init__(self, loaded: Mapping[str, Loaded], settings: Settings) -> None:
        champion = loaded[MODEL]
        self._version = champion.version.version
        self._map = SegmentMap.from_record(champion.artefacts[SEGMENTS_FILE])
        self._window = settings.window_days
        self._home = load_sources(settings).spec.home_country
        self._con = engine.connect(settings)
        self._assign = Query(self._con, _SCORED, lambda rows: assign(rows, self._map))
        self._features = lru_cache(COMPILED_DAYS)(self._features_as_of)
        self.about: Mapping[str, Any] = {
            "segments": [{"segment": s.segment_id, "name": s.name} for s in self._map.segments]
        }
        asked: list[dict[str, Any]] = champion.example.to_dict("records")  # type: ignore[assignment]
        self.example = [Customer(features=CustomerFeatures(**row)) for row in asked]

    def predict(self, requests: Sequence[Sequence[Customer]]) -> Predictions:
        """Answer customers; lines without a purchase that counts are refused."""
        rows: list[Customer] = flat(requests)
        features = {at: row.features.model_dump() for at, row in enumerate(rows) if row.features is not None}
        features |= self._from_lines(rows)
        inputs = pd.DataFrame.from_dict(features, "index", dtype="float64", columns=list(FEATURE_COLUMNS)).sort_index()
        inputs = inputs[list(self._map.features)]
        answers: dict[int, Answer] = dict(self._assigned(inputs))
        for at, row in enumerate(rows):
            if at not in features:
                answers[at] = RowError.of(
                    RefusedError(
                        "These lines hold no purchase that counts",
                        where="lines",
                        allowed=f"a sale of an article in the {self._window} days before {row.as_of}",
                        todo="send lines of that time, or another as_of",
                    )
                )
        return Predictions([answers[at] for at in range(len(rows))], inputs.index.tolist(), columns_of(inputs))

    def _from_lines(self, rows: Sequence[Customer]) -> dict[int, dict[str, float]]:
        """The features of those who sent lines, one query an as-of day; those without a purchase are left out."""
        by_day: dict[dt.date, list[tuple[int, InvoiceLine]]] = defaultdict(list)
        for at, row in enumerate(rows):
            if row.lines is not None and row.as_of is not None:
                by_day[row.as_of] += [(at, line) for line in row.lines]
        made: dict[int, dict[str, float]] = {}
        for as_of, lines in by_day.items():
            found = self._features(as_of)(_lines(lines)).to_pylist()
            made |= {int(row["customer_id"]): {name: row[name] for name in FEATURE_COLUMNS} for row in found}
        return made

    def _features_as_of(self, as_of: dt.date) -> Query:
        return Query(
            self._con,
            CONTRACTS[INPUT_TABLE].schema,
            lambda lines: customer_features(lines, as_of, window_days=self._window, home_country=self._home),
        )

    def _assigned(self, inputs: pd.DataFrame) -> Iterator[tuple[int, SegmentAnswer]]:
        if inputs.empty:
            return
        asked = inputs.assign(customer_id=inputs.index.astype("str"), as_of=dt.date(1970, 1, 1))
        rows = self._assign(pa.Table.from_pandas(asked, _SCORED, preserve_index=False))
        for row in rows.drop_columns(["as_of"]).to_pylist():
            yield int(row.pop("customer_id")), SegmentAnswer(**row, model_version=self._version)


_SCORED = pa.schema(
    [("customer_id", pa.string()), ("as_of", pa.date32()), *((name, pa.float64()) for name in SEGMENT_FEATURES)]
)


def _lines(lines: Sequence[tuple[int, InvoiceLine]]) -> pa.Table:
    """Lines as ingestion would have them in the clean table; a customer is the position of the row."""
    contract = CONTRACTS[INPUT_TABLE]
    rows = [line.model_dump() | {"customer_id": str(position)} for position, line in lines]
    plain = pa.schema([(column.name, column.type) for column in contract.columns])
    table = contract.derive(pa.Table.from_pylist(rows, schema=plain), contract.options)
    for field in contract.schema:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(rows), field.type))
    return table.select(contract.schema.names)


SERVED = EndpointSpec(
    name="segments",
    path="/segments",
    models=(MODEL,),
    summary="The segment of a customer",
    description=(
        "From the features of a customer (a row of `customer_features`), or from the lines of their invoices, of which "
        "the same code makes the features that it makes at night."
    ),
    row=Customer,
    answer=SegmentAnswer,
    build=Predictor,
)
