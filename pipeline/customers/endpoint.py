"""`POST /segments`: a customer's segment, from features or from the invoice lines they are computed from."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, Field, create_model, model_validator

from pipeline.contracts import CONTRACTS
from pipeline.customers.domain import DOMAIN, SEGMENTS
from pipeline.customers.features import FEATURE_COLUMNS, customer_features
from pipeline.customers.segment_map import SEGMENTS_FILE, SegmentMap, assign
from pipeline.customers.segments import SEGMENT_FEATURES, TRUSTED_TYPES
from pipeline.endpoints import Answer, Day, EndpointSpec, Predictions, RowError, Strict, columns_of, flatten
from pipeline.errors import RefusedError
from pipeline.ingestion.source_schema import SourceFile
from pipeline.ingestion.sources import load_sources
from pipeline.lake import engine
from pipeline.lake.query import CompiledQuery

if TYPE_CHECKING:
    from pipeline.registry.records import Loaded
    from pipeline.settings import Settings

MAX_LINES = 10_000
MONDAY = dt.date(2001, 1, 1)
"""Begins the week into which lines are moved, so that one compiled query a weekday serves every as-of day."""
WEEK = 7
DAY_MICROSECONDS = 86_400_000_000

Number = Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False)]

_fields: dict[str, Any] = {
    name: (Number, ...) if name in SEGMENT_FEATURES else (Number | None, None) for name in FEATURE_COLUMNS
}
CustomerFeatures: Any = create_model(
    "CustomerFeatures",
    __base__=Strict,
    __doc__="A row of the table `customer_features`; columns that the model does not use may be left out.",
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
    """A customer: either `features`, or invoice `lines` and `as_of`, the day as of which features are computed."""

    features: CustomerFeatures | None = None
    lines: list[InvoiceLine] | None = Field(default=None, min_length=1, max_length=MAX_LINES, fail_fast=True)
    as_of: Day | None = None

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Self:
        if (self.features is None) == (self.lines is None):
            raise ValueError("send either features or lines")
        if (self.lines is None) != (self.as_of is None):
            raise ValueError("as_of goes with lines: only those before midnight of that day count")
        return self


class SegmentAnswer(Answer):
    """The segment, with the distances to its own and to the nearest other centre in scaled feature space."""

    segment: int
    segment_name: str
    distance: float
    next_distance: float
    model_version: int


class SegmentPredictor:
    """Assigns customers with the same Ibis expressions as batch scoring."""

    def __init__(self, loaded: Mapping[str, Loaded], settings: Settings) -> None:
        champion = loaded[SEGMENTS]
        self._version = champion.version.version
        self._map = SegmentMap.from_record(champion.artefacts[SEGMENTS_FILE])
        self._window = settings.window_days
        spec = load_sources(settings).spec
        self._home, self._options = spec.home_country, _options(spec)
        self._con = engine.connect(settings)
        self._assign = CompiledQuery(self._con, _SCORED, lambda rows: assign(rows, self._map))
        self._features = lru_cache(WEEK)(self._features_as_of)
        self.about: Mapping[str, Any] = {
            "segments": [{"segment": s.segment_id, "name": s.name} for s in self._map.segments]
        }
        examples: list[dict[str, Any]] = champion.example.to_dict("records")  # type: ignore[assignment]
        self.example = [Customer(features=CustomerFeatures(**row)) for row in examples]

    def predict(self, requests: Sequence[Sequence[Customer]]) -> Predictions:
        """Answer each customer; one whose lines hold no valid purchase in the window gets a `RowError`."""
        rows: list[Customer] = flatten(requests)
        features: dict[int, Mapping[str, Any]] = {
            at: vars(row.features) for at, row in enumerate(rows) if row.features is not None
        }
        features |= self._from_lines(rows)
        inputs = pd.DataFrame.from_dict(features, "index", dtype="float64", columns=list(FEATURE_COLUMNS)).sort_index()
        inputs = inputs[list(self._map.features)]
        answers: dict[int, Answer] = dict(self._assigned(inputs))
        for at, row in enumerate(rows):
            if at not in features:
                answers[at] = RowError.of(
                    RefusedError(
                        "These lines hold no purchase in the window",
                        where="lines",
                        allowed=f"a sale of an article in the {self._window} days before {row.as_of}",
                        todo="send lines of that period, or another as_of",
                    )
                )
        return Predictions([answers[at] for at in range(len(rows))], inputs.index.tolist(), columns_of(inputs))

    def _from_lines(self, rows: Sequence[Customer]) -> dict[int, dict[str, float]]:
        """Compute the features of the rows that have lines: position -> features.

        Features depend on the days between a line and the as-of day, and on the weekday. So each customer's lines are
        moved by whole weeks into one same week, and there are at most seven queries, however many as-of days.
        Rows without a purchase in the window are missing from the result.
        """
        by_weekday: dict[int, list[int]] = defaultdict(list)
        for at, row in enumerate(rows):
            if row.as_of is not None:
                by_weekday[row.as_of.weekday()].append(at)
        features: dict[int, dict[str, float]] = {}
        for weekday, positions in by_weekday.items():
            as_of = MONDAY + dt.timedelta(days=weekday)
            found = self._features(as_of)(_lines({at: rows[at] for at in positions}, as_of, self._options)).to_pylist()
            features |= {int(row["customer_id"]): {name: row[name] for name in FEATURE_COLUMNS} for row in found}
        return features

    def _features_as_of(self, as_of: dt.date) -> CompiledQuery:
        return CompiledQuery(
            self._con,
            CONTRACTS[DOMAIN.input_table].schema,
            lambda lines: customer_features(lines, as_of, window_days=self._window, home_country=self._home),
        )

    def _assigned(self, inputs: pd.DataFrame) -> Iterator[tuple[int, SegmentAnswer]]:
        """Yield position and answer for each row of features."""
        if inputs.empty:
            return
        # The expression also needs an as-of day, which does not change the segment.
        table = inputs.assign(customer_id=inputs.index.astype("str"), as_of=dt.date(1970, 1, 1))
        rows = self._assign(pa.Table.from_pandas(table, _SCORED, preserve_index=False))
        for row in rows.drop_columns(["as_of"]).to_pylist():
            yield int(row.pop("customer_id")), SegmentAnswer(**row, model_version=self._version)


_SCORED = pa.schema(
    [("customer_id", pa.string()), ("as_of", pa.date32()), *((name, pa.float64()) for name in SEGMENT_FEATURES)]
)


def _options(spec: SourceFile) -> Mapping[str, str]:
    """The options by which the first source's lines are derived; a request's lines are derived alike."""
    sources = spec.tables.get(DOMAIN.input_table, {})
    first = next(iter(sources.values()), None)
    return {**CONTRACTS[DOMAIN.input_table].options, **(first.options if first else {})}


def _lines(customers: Mapping[int, Customer], as_of: dt.date, options: Mapping[str, str]) -> pa.Table:
    """Lines in the schema of the clean table, derived columns included; the customer id is the row's position.

    Args:
        customers: position -> a row with lines.
        as_of: the day that each row's own as-of day is moved to, with all its lines.
        options: how lines are derived.
    """
    contract = CONTRACTS[DOMAIN.input_table]
    lines = [line for row in customers.values() for line in row.lines or ()]
    counts = [len(row.lines or ()) for row in customers.values()]
    shifts = [(as_of - row.as_of).days if row.as_of else 0 for row in customers.values()]
    columns: dict[str, Any] = {name: [getattr(line, name) for line in lines] for name in InvoiceLine.model_fields}
    columns["customer_id"] = np.repeat([str(at) for at in customers], counts)
    plain = [column for column in contract.columns if column.name in columns]
    table = pa.table({column.name: pa.array(columns[column.name], column.arrow_type) for column in plain})
    for column in contract.columns:
        if column.name not in columns:
            table = table.append_column(column.name, pa.nulls(len(lines), column.arrow_type))
    table = contract.derive(table.select([column.name for column in contract.columns]), options)
    moved = pa.array(np.repeat(shifts, counts) * DAY_MICROSECONDS, pa.duration("us"))
    at = table.column_names.index("invoiced_at")
    table = table.set_column(at, table.schema.field(at), pc.add(table["invoiced_at"].cast(pa.timestamp("us")), moved))
    for field in contract.schema:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(lines), field.type))
    return table.select(contract.schema.names)


ENDPOINT = EndpointSpec(
    name="segments",
    path="/segments",
    models=(SEGMENTS,),
    trusted_types=TRUSTED_TYPES,
    summary="The segment of a customer",
    description=(
        "From a customer's features (a row of `customer_features`), or from the customer's invoice lines, from which "
        "the features are computed by the same code as in batch scoring."
    ),
    row=Customer,
    items=lambda row: len(row.lines or (1,)),
    item="invoice lines",
    answer=SegmentAnswer,
    build=SegmentPredictor,
)
