"""The models of the domain as specifications: what is particular to each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.customers import segments
from pipeline.customers.domain import DOMAIN
from pipeline.customers.monitoring import MONITORED
from pipeline.customers.movements import changed_segments
from pipeline.customers.segment_map import SEGMENTS_FILE, SegmentMap
from pipeline.errors import RefusedError
from pipeline.lake.tables import Lake
from pipeline.training.gate import Metrics, segmentation_rules
from pipeline.training.spec import Fitted, ModelSpec, Run

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.registry.records import Loaded

CURVE_FILE = "choice_of_k.json"
CURVE_METRICS = ("silhouette", "stability", "smallest_share", "inertia")
"""What is shown of each number of segments."""


def load(run: Run) -> pd.DataFrame:
    """Read the features as of a day, one row a customer.

    Raises:
        RefusedError: if there are none.
    """
    table = DOMAIN.features_table
    frame: pd.DataFrame = Lake(run.settings).read(table, run.tables[table], {"as_of": [run.as_of]}).to_pandas()
    if frame.empty:
        raise RefusedError(
            "There are no features to train on",
            where=f"{table}, as of {run.as_of}",
            todo="build them first: aisle score customers --day …, or aisle train does both",
        )
    return frame


def fit(features: pd.DataFrame, run: Run, champion: Loaded | None) -> Fitted:
    """Choose the number of segments and fit; the champion's segments keep their names where they still exist."""
    known = (
        segments.SegmentModel(champion.model, SegmentMap.from_record(champion.artefacts[SEGMENTS_FILE]))
        if champion
        else None
    )
    training = segments.train(features, seed=run.settings.seed, champion=known)
    fitted = training.model
    return Fitted(
        model=fitted.pipeline,
        features=segments.SEGMENT_FEATURES,
        example=features[list(segments.SEGMENT_FEATURES)],
        metrics=segments.segment_quality(fitted.pipeline, features, run.settings.seed),
        reason=f"{training.choice.reason}; {changed_segments(known.map, fitted.map)}"
        if known
        else training.choice.reason,
        params={
            "k": training.choice.k,
            "window_days": run.settings.window_days,
            # The champion gives the segments their identity, so with another one it is another model.
            "identity_from": champion.version.version if champion else None,
        },
        artefacts={SEGMENTS_FILE: fitted.map.to_record(), CURVE_FILE: training.choice.to_record()},
        candidates={
            f"{point.k} segments": {name: getattr(point, name) for name in CURVE_METRICS}
            for point in training.choice.curve
        },
    )


def evaluate(contestant: Loaded, features: pd.DataFrame, run: Run) -> Metrics:
    """Silhouette, stability and smallest share on the features that the challenger was trained on."""
    return segments.segment_quality(contestant.model, features, run.settings.seed)


CUSTOMER_SEGMENTS: ModelSpec[pd.DataFrame] = ModelSpec(
    name="customer_segments",
    table=DOMAIN.features_table,
    other_tables=(DOMAIN.input_table,),
    load=load,
    content=lambda features: [features],
    fit=fit,
    evaluate=evaluate,
    rules=segmentation_rules(silhouette=0.15, stability=0.7),
    monitored=MONITORED,
    trusted_types=segments.TRUSTED_TYPES,
)
