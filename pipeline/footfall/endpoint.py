"""`POST /footfall`: expected buyers for a number of visitors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import Field

from pipeline.endpoints import Amount, Answer, EndpointSpec, Predictions, Strict, columns_of, flatten
from pipeline.footfall.buyers import FIT_FILE, MODEL, Fit
from pipeline.footfall.features import FEATURE_COLUMNS

if TYPE_CHECKING:
    from pipeline.registry.records import Loaded
    from pipeline.settings import Settings


class FootfallRow(Strict):
    """A day, or another period as long as those that the model was trained on."""

    visitors: Amount = Field(description="People who came in.")


class FootfallAnswer(Answer):
    """The expected number of buyers, and the interval that holds 95 of 100 such days."""

    buyers: float
    low: float
    high: float
    model_version: int


class FootfallPredictor:
    """Predicts with the fitted line and the intervals that were registered with it."""

    about: Mapping[str, Any] = {}

    def __init__(self, loaded: Mapping[str, Loaded], settings: Settings) -> None:  # noqa: ARG002 (the protocol's)
        champion = loaded[MODEL]
        self._model, self._version = champion.model, champion.version.version
        self._fit = Fit.from_record(champion.artefacts[FIT_FILE])
        self.example = [FootfallRow(visitors=visitors) for visitors in champion.example["visitors"]]

    def predict(self, requests: Sequence[Sequence[FootfallRow]]) -> Predictions:
        """Answer each row with the mean and the 95 % interval."""
        rows: list[FootfallRow] = flatten(requests)
        features = pd.DataFrame({"visitors": [row.visitors for row in rows]}, dtype="float64")
        intervals = self._fit.interval(features["visitors"].to_numpy()).tolist()
        predicted = self._model.predict(features[list(FEATURE_COLUMNS)]).tolist()
        answers: list[Answer] = [
            FootfallAnswer(buyers=buyers, low=low, high=high, model_version=self._version)
            for buyers, (low, high) in zip(predicted, intervals, strict=True)
        ]
        return Predictions(answers, list(range(len(rows))), columns_of(features))


ENDPOINT = EndpointSpec(
    name="footfall",
    path="/footfall",
    models=(MODEL,),
    summary="Buyers for visitors",
    description="The expected number of buyers among a number of visitors, with the interval of 95 of 100 such days.",
    row=FootfallRow,
    answer=FootfallAnswer,
    build=FootfallPredictor,
)
