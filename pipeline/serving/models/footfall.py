"""`POST /footfall`: buyers for a number of visitors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import Field

from pipeline.footfall.buyers import Fit
from pipeline.footfall.features import FEATURE_COLUMNS
from pipeline.footfall.steps import FIT_FILE, MODEL
from pipeline.serving.interface import Amount, Answer, EndpointSpec, Predictions, Strict, columns_of, flat

if TYPE_CHECKING:
    from pipeline.registry.records import Loaded
    from pipeline.settings import Settings


class FootfallRow(Strict):
    """A day, or any stretch of time like the days that the model was trained on."""

    visitors: Amount = Field(description="People who came in.")


class FootfallAnswer(Answer):
    """How many of them buy: the mean, and what 95 of 100 such days lie between."""

    buyers: float
    low: float
    high: float
    model_version: int


class Predictor:
    """The line, and how far days are off it."""

    about: Mapping[str, Any] = {}

    def __init__(self, loaded: Mapping[str, Loaded], settings: Settings) -> None:  # noqa: ARG002 (as of its siblings)
        champion = loaded[MODEL]
        self._model, self._version = champion.model, champion.version.version
        self._fit = Fit.from_record(champion.artefacts[FIT_FILE])
        self.example = [FootfallRow(visitors=visitors) for visitors in champion.example["visitors"]]

    def predict(self, requests: Sequence[Sequence[FootfallRow]]) -> Predictions:
        """Answer days."""
        rows: list[FootfallRow] = flat(requests)
        days = pd.DataFrame({"visitors": [row.visitors for row in rows]}, dtype="float64")
        ends = self._fit.interval(days["visitors"].to_numpy())
        said = zip(self._model.predict(days[list(FEATURE_COLUMNS)]).tolist(), ends.tolist(), strict=True)
        answers: list[Answer] = [
            FootfallAnswer(buyers=buyers, low=low, high=high, model_version=self._version)
            for buyers, (low, high) in said
        ]
        return Predictions(answers, list(range(len(rows))), columns_of(days))


SERVED = EndpointSpec(
    name="footfall",
    path="/footfall",
    models=(MODEL,),
    summary="Buyers for visitors",
    description="How many buyers a number of visitors means, with the interval of 95 of 100 such days.",
    row=FootfallRow,
    answer=FootfallAnswer,
    build=Predictor,
)
