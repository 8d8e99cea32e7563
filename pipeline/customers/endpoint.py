"""`POST /segments`: a customer's segment, from features or from the invoice lines they are computed from."""

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
MAX_COMPILED = 64
"""As-of days whose compiled query is kept."""

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
    lines: list[InvoiceLine] | None = Field(default=None, min_length=1, max_length=MAX_LINES)
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
        self._features = lru_cache(MAX_COMPILED)(self._features_as_of)
        self.about: Mapping[str, Any] = {
            "segments": [{"segment": s.segment_id, "name": s.name} for s in self._map.segments]
        }
        examples: list[dict[str, Any]] = champion.example.to_dict("records")  # type: ignore[assignment]
        self.example = [Customer(features=CustomerFeatures(**row)) for row in examples]

    def predict(self, requests: Sequence[Sequence[Customer]]) -> Predictions:
        """Answer each customer; one whose lines hold no valid purchase in the window gets a `RowError`."""
        rows: list[Customer] = flatten(requests)
        features = {at: row.features.model_dump() for at, row in enumerate(rows) if row.features is not None}
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
        """Compute the features of the rows that have lines, with one query per as-of day: position -> features.

        Rows without a purchase in the window are missing from the result.
        """
        by_day: dict[dt.date, list[tuple[int, InvoiceLine]]] = defaultdict(list)
        for at, row in enumerate(rows):
            if row.lines is not None and row.as_of is not None:
                by_day[row.as_of] += [(at, line) for line in row.lines]
        features: dict[int, dict[str, float]] = {}
        for as_of, lines in by_day.items():
            found = self._features(as_of)(_lines(lines, self._options)).to_pylist()
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


def _lines(lines: Sequence[tuple[int, InvoiceLine]], options: Mapping[str, str]) -> pa.Table:
    """Lines in the schema of the clean table, derived columns included; the customer id is the row's position."""
    contract = CONTRACTS[DOMAIN.input_table]
    rows = [line.model_dump() | {"customer_id": str(position)} for position, line in lines]
    plain = pa.schema([(column.name, column.arrow_type) for column in contract.columns])
    table = contract.derive(pa.Table.from_pylist(rows, schema=plain), options)
    for field in contract.schema:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(rows), field.type))
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
    answer=SegmentAnswer,
    build=SegmentPredictor,
)
