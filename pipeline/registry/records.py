"""Records of a registered model: its provenance, its versions, and who put which of them in use."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from pipeline.dates import format_day, parse_as_of
from pipeline.errors import RefusedError

if TYPE_CHECKING:
    import pandas as pd

TAG = "aisle."
"""Prefix of the pipeline's own tags on a registered version."""

PROMOTIONS_SCHEMA = pa.schema(
    [
        pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("action", pa.string(), nullable=False),
        pa.field("version", pa.int64(), nullable=False),
        pa.field("previous", pa.int64()),
        pa.field("by", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("figures", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Provenance:
    """The data, code and seed that a model was trained with.

    Args:
        as_of: only data from before this day were used.
        tables: Delta version of each table that was read.
        features: the columns used, in order.
        seed: the random seed.
        code: version of the code, see `code_version`.
    """

    as_of: date
    tables: Mapping[str, int]
    features: tuple[str, ...]
    seed: int
    code: str

    def tags(self) -> dict[str, str]:
        """As tags of a registered version."""
        return {
            f"{TAG}as_of": format_day(self.as_of),
            f"{TAG}tables": json.dumps(dict(sorted(self.tables.items()))),
            f"{TAG}features": json.dumps(list(self.features)),
            f"{TAG}seed": str(self.seed),
            f"{TAG}code": self.code,
        }

    def identity(self, content: str | None) -> dict[str, str]:
        """What makes two trainings the same: the tags, with the content of the rows instead of tables' versions.

        A table that is written again with the same rows has another version, and the model is still the same.
        """
        tags = self.tags()
        return tags if content is None else {**tags, f"{TAG}tables": content}

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> Self:
        """The inverse of `tags`.

        Raises:
            RefusedError: if the tags are not there, as for a version that was not registered by Aisle.
        """
        try:
            return cls(
                parse_as_of(tags[f"{TAG}as_of"]),
                json.loads(tags[f"{TAG}tables"]),
                tuple(json.loads(tags[f"{TAG}features"])),
                int(tags[f"{TAG}seed"]),
                tags[f"{TAG}code"],
            )
        except KeyError as error:
            raise RefusedError(
                "The tags of this model version lack its provenance",
                observed=f"no tag {error}",
                todo="register it with `aisle train`",
            ) from error


def content_digest(frames: Sequence[pd.DataFrame]) -> str:
    """SHA-256 over the columns, types and rows of some frames; the order of rows does not matter."""
    import numpy as np
    import pandas as pd

    digest = hashlib.sha256()
    for frame in frames:
        digest.update(json.dumps([[str(name), str(kind)] for name, kind in frame.dtypes.items()]).encode())
        digest.update(np.sort(pd.util.hash_pandas_object(frame, index=False).to_numpy()).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Evidence:
    """Why a model was chosen, as MLflow's pages show it. It is no part of the model's identity.

    Args:
        reason: a sentence without full stop.
        folds: days or rows that were held out -> metrics on them, in the order of time.
        candidates: what the model was chosen among, itself included -> metrics on the same rows.
    """

    reason: str = ""
    folds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    candidates: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


NO_EVIDENCE = Evidence()


@dataclass(frozen=True)
class ModelVersion:
    """A registered version. `accepted` is the gate's decision, None before it has run; `decision` its details."""

    name: str
    version: int
    aliases: tuple[str, ...]
    registered_at: datetime
    provenance: Provenance
    metrics: Mapping[str, float | None]
    accepted: bool | None
    decision: Mapping[str, Any]


@dataclass(frozen=True)
class Promotion:
    """One row of `promotions`, with action `promote`, `rollback` or `refuse`. `previous` was champion at that time."""

    at: datetime
    model: str
    action: str
    version: int
    previous: int | None
    by: str
    reason: str
    figures: Mapping[str, Any]

    def as_row(self) -> dict[str, Any]:
        """As a row of the `promotions` table."""
        return asdict(self) | {"figures": json.dumps(self.figures, sort_keys=True)}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """The inverse of `as_row`."""
        return cls(**{**row, "figures": json.loads(row["figures"])})


@dataclass(frozen=True)
class ModelSummary:
    """A line of `aisle models`."""

    name: str
    champion: ModelVersion | None
    challenger: ModelVersion | None
    versions: int
    last: Promotion | None


@dataclass(frozen=True)
class Loaded:
    """A verified model in memory, with the JSON files and the input example that were logged with it."""

    version: ModelVersion
    model: Any
    artefacts: Mapping[str, Any]
    example: pd.DataFrame
