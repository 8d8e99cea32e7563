"""What the nightly run does with footfall, a step a function: read from the lake, call the pure parts, write back."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from pipeline.errors import RefusedError
from pipeline.lake import engine
from pipeline.lake.tables import Lake, TableRef
from pipeline.settings import Settings
from pipeline.training.gate import BeatsBaseline, Better, Decision, Window, decide
from pipeline.training.lifecycle import Trained, note_decision

if TYPE_CHECKING:
    import pandas as pd

MODEL = "footfall_buyers"
INPUT_TABLE, FEATURES_TABLE, SCORES_TABLE = "footfall", "footfall_features", "footfall_predictions"
FIT_FILE = "fit.json"

RULES = (BeatsBaseline("rmse", 0.0, higher_is_better=False), Better("rmse", higher_is_better=False))
"""The baseline says the mean buyers of the other days, whatever the visitors."""


def build_features(settings: Settings, as_of: date) -> TableRef:
    """Write the days known as of a day; that day of the table is replaced.

    Raises:
        RefusedError: if none is known.
    """
    import pyarrow as pa

    from pipeline.footfall.features import footfall_features

    lake, con = Lake(settings), engine.connect(settings)
    rows = con.to_pyarrow(footfall_features(engine.table(con, lake, INPUT_TABLE, until=as_of), as_of))
    if rows.num_rows == 0:
        raise RefusedError("No day is known", where=f"{INPUT_TABLE}, as of {as_of}", todo="ingest footfall first")
    known = rows.append_column("number", pa.array(range(1, rows.num_rows + 1), pa.int64()))
    return lake.replace(
        FEATURES_TABLE, {"as_of": [as_of]}, known.append_column("as_of", pa.array([as_of] * rows.num_rows, pa.date32()))
    )


def train(settings: Settings, model: str, as_of: date) -> Trained:
    """Fit on the days known as of a day and register the model as challenger.

    Raises:
        RefusedError: with too few days, or visitors that never vary.
    """
    from pipeline.code_version import code_version
    from pipeline.footfall import buyers
    from pipeline.footfall.features import FEATURE_COLUMNS as COLUMNS
    from pipeline.registry.client import Registry
    from pipeline.registry.records import Provenance

    lake = Lake(settings)
    version = lake.version(FEATURES_TABLE)
    days = _days(settings, as_of, version)
    fitted, fit = buyers.train(days)
    metrics = buyers.measure(days["buyers"].to_numpy(), buyers.leave_one_out(days))
    registered = Registry(settings).log_challenger(
        model,
        fitted,
        provenance=Provenance(
            as_of,
            {INPUT_TABLE: lake.version(INPUT_TABLE), FEATURES_TABLE: version},
            COLUMNS,
            settings.seed,
            code_version(settings),
        ),
        example=days[list(COLUMNS)],
        metrics=metrics,
        artefacts={FIT_FILE: fit.to_record()},
    )
    reason = (
        f"buyers = {fit.intercept.value:.2f} + {fit.slope.value:.3f} x visitors on {len(days)} days; "
        f"leaving one out at a time it is wrong by {metrics['rmse']:.3f} (RMSE)"
    )
    return Trained(model, registered.version, reason, dict(registered.metrics))


def gate(settings: Settings, model: str, version: int) -> Decision:
    """Decide whether a challenger may become champion, and note it on the version; a refusal goes on record as well.

    The challenger answers for each day as fitted without it. The champion is asked about the days after those it was
    made from, where there are enough of them; about all days, its own included, where there are not.
    """
    import numpy as np
    import pandas as pd

    from pipeline.footfall import buyers
    from pipeline.footfall.features import FEATURE_COLUMNS as COLUMNS
    from pipeline.registry.client import Registry

    registry = Registry(settings)
    made_from = registry.get(model, version).provenance
    champion = registry.champion(model)
    days = _days(settings, made_from.as_of, made_from.tables[FEATURES_TABLE])
    said, counted = buyers.leave_one_out(days), days["buyers"].to_numpy()
    asked = np.ones(len(days), dtype=bool)
    other = None
    if champion is not None and champion.version != version:
        since = (pd.to_datetime(days["day"]) >= pd.Timestamp(champion.provenance.as_of)).to_numpy()
        asked = since if since.sum() >= buyers.MIN_DAYS else asked
        told = registry.load(model).model.predict(days[list(COLUMNS)])
        other = buyers.measure(counted[asked], told[asked])
    mean = (counted.sum() - counted) / (len(counted) - 1)
    decision = decide(
        buyers.measure(counted[asked], said[asked]),
        other,
        buyers.measure(counted[asked], mean[asked]),
        RULES,
        window=Window(FEATURES_TABLE, made_from.tables[FEATURES_TABLE], made_from.as_of),
    )
    note_decision(settings, model, version, decision)
    return decision


def score(settings: Settings, as_of: date) -> TableRef | None:
    """Write what the champion says of each day, with the interval; None while there is no champion.

    Raises:
        RefusedError: if the day's features are missing.
    """
    import pyarrow as pa

    from pipeline.footfall.buyers import Fit
    from pipeline.footfall.features import FEATURE_COLUMNS as COLUMNS
    from pipeline.registry.client import Registry

    registry = Registry(settings)
    if registry.champion(MODEL) is None:
        return None
    champion = registry.load(MODEL)
    lake = Lake(settings)
    days = _days(settings, as_of, lake.version(FEATURES_TABLE))
    ends = Fit.from_record(champion.artefacts[FIT_FILE]).interval(days["visitors"].to_numpy())
    table = pa.Table.from_pandas(
        days.assign(
            as_of=as_of,
            predicted=champion.model.predict(days[list(COLUMNS)]),
            low=ends[:, 0],
            high=ends[:, 1],
            model_version=champion.version.version,
        ),
        preserve_index=False,
    )
    at = table.schema.get_field_index("day")
    return lake.replace(SCORES_TABLE, {"as_of": [as_of]}, table.set_column(at, "day", table["day"].cast(pa.date32())))


def write_report(settings: Settings, as_of: date) -> str:
    """Write the footfall page of a day and return its path below home.

    Raises:
        RefusedError: if the day is not scored.
    """
    from pipeline.footfall.buyers import Fit
    from pipeline.footfall.report import FootfallReport, write_footfall_report
    from pipeline.registry.client import Registry

    lake, registry = Lake(settings), Registry(settings)
    rows = lake.read(SCORES_TABLE, where={"as_of": [as_of]}).to_pandas() if lake.exists(SCORES_TABLE) else None
    if rows is None or rows.empty:
        raise RefusedError("No day is scored as of that day", where=SCORES_TABLE, todo="run aisle score footfall")
    version = int(rows["model_version"].iloc[0])
    fit = Fit.from_record(registry.artefacts(MODEL, version)[FIT_FILE])
    days = rows.sort_values("number", ignore_index=True)
    return write_footfall_report(lake, FootfallReport(as_of, registry.get(MODEL, version), fit, days))


def backtest(settings: Settings, model: str) -> dict[str, Any]:
    """The errors of each day as predicted from all others, and what a third of the days to train on comes to.

    Returns:
        `{"model": …, "folds": [{"from": …, "to": …, "metrics": {…}}], "mean": {…}}`; days without a date give null.

    Raises:
        RefusedError: with too few days.
    """
    from pipeline.footfall import buyers
    from pipeline.footfall.features import footfall_features

    lake, con = Lake(settings), engine.connect(settings)
    known = lake.days(INPUT_TABLE)
    if not known:
        raise RefusedError("There is no footfall to test on", where=INPUT_TABLE, todo="aisle ingest footfall --all")
    as_of = max(known) + timedelta(days=1)
    days = con.to_pandas(footfall_features(engine.table(con, lake, INPUT_TABLE, until=as_of), as_of))
    metrics = buyers.measure(days["buyers"].to_numpy(), buyers.leave_one_out(days))
    _, fit = buyers.train(days)
    metrics |= {
        "one_third_rmse": buyers.one_third(days),
        "intercept": fit.intercept.value,
        "slope": fit.slope.value,
    }
    dated = days["day"].dropna()
    first, last = (None, None) if dated.empty else (str(dated.min())[:10], str(dated.max())[:10])
    return {"model": model, "folds": [{"from": first, "to": last, "metrics": metrics}], "mean": dict(metrics)}


def _days(settings: Settings, as_of: date, version: int) -> pd.DataFrame:
    rows = Lake(settings).read(FEATURES_TABLE, version, {"as_of": [as_of]})
    if rows.num_rows == 0:
        raise RefusedError("There are no features", where=f"{FEATURES_TABLE}, as of {as_of}", todo="build them first")
    days: pd.DataFrame = rows.drop_columns(["as_of"]).to_pandas()
    return days.sort_values("number", ignore_index=True)
