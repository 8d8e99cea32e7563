"""What the nightly run does with store sales, a step a function: read the lake, call the pure parts, write back."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from pipeline.errors import RefusedError
from pipeline.lake import engine
from pipeline.lake.tables import Lake, TableRef
from pipeline.settings import Settings
from pipeline.stores.snapshot import PLANS_TABLE, STORE_DAYS_TABLE, STORES_TABLE
from pipeline.training.gate import BeatsBaseline, Better, Ceiling, Decision, Rule, Window, Within, decide
from pipeline.training.lifecycle import Trained, note_decision

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from ibis.backends.duckdb import Backend
    from numpy.typing import NDArray

    from pipeline.registry.records import ModelVersion
    from pipeline.stores.evaluation import CandidateEvaluation
    from pipeline.stores.snapshot import Snapshot
    from pipeline.stores.state import StoreState

MODEL = "store_sales"
INPUT_TABLE, FEATURES_TABLE, SCORES_TABLE, TRIALS_TABLE = (
    STORE_DAYS_TABLE,
    "store_features",
    "store_forecasts",
    "store_trials",
)
STATES = f"state/{MODEL}"
"""Where the state of each as-of day is, below home."""
INTERVALS_FILE, EVIDENCE_FILE = "intervals.json", "evidence.json"
DIFFERENCE_HIGH = "rmspe_difference_high"
"""The upper end of the 95 % interval of the challenger's RMSPE less the champion's."""

RULES = (
    BeatsBaseline("rmspe", 0.2, higher_is_better=False),
    Within("coverage_80", 0.74, 0.86),
    Within("coverage_95", 0.91, 0.98),
    Better("rmspe", higher_is_better=False),
)
AGAINST_CHAMPION = Ceiling(DIFFERENCE_HIGH, 0.0)


def build_features(settings: Settings, as_of: date) -> TableRef:
    """Write the features of the planned open days from a day on, and the state that they were made from.

    Without any planned day the table's part is empty: training needs no plan, and scoring says what is missing.

    Raises:
        RefusedError: if no store day came before that day, or nothing is known of the stores.
    """
    import pyarrow as pa

    from pipeline.stores.backtest import HORIZON
    from pipeline.stores.features import planned_features
    from pipeline.stores.state import store_state

    lake, con = Lake(settings), engine.connect(settings)
    known = _known(settings, con, as_of)
    state = store_state(con, known.store_days, known.stores, as_of, horizon=HORIZON)
    lake.write_blob(f"{STATES}/{as_of}", state.to_bytes())
    rows = planned_features(state)
    dated = rows.append_column("as_of", pa.array([as_of] * rows.num_rows, pa.date32()))
    return lake.replace(FEATURES_TABLE, {"as_of": [as_of]}, dated)


def newest_state(lake: Lake) -> str:
    """Where the newest state is, below home.

    Raises:
        RefusedError: if there is none.
    """
    folder = lake.path(STATES)
    # A bucket's listing is kept by the process that read it.
    folder.fs.invalidate_cache()
    days = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    # A file whose name begins with a dot is being written.
    if not (whole := [day for day in days if not day.startswith(".")]):
        raise RefusedError("No morning of the stores is kept", where=STATES, todo="run aisle score stores")
    return f"{STATES}/{whole[-1]}"


def read_state(lake: Lake, path: str) -> StoreState:
    """A state that was kept.

    Raises:
        RefusedError: if it was made by code whose features are others.
    """
    from pipeline.stores.state import StoreState

    with lake.open_blob(path) as file:
        return StoreState.from_bytes(file.read())


def try_candidate(settings: Settings, as_of: date, candidate: str) -> dict[str, float]:
    """Try a candidate on the newest six weeks before a day, keep what it forecast, and say how it fared.

    A trial of the same tables, seed and code is not made again.

    Raises:
        UsageError: if there is no such candidate.
        RefusedError: if history is too short.
    """
    return _trial(settings, as_of, candidate).metrics


def train(settings: Settings, model: str, as_of: date) -> Trained:
    """Fit the candidate that fared best on the newest six weeks before a day on all days before it; make it challenger.

    Only candidates that were tried for that day take part; if none was, the first of `CANDIDATES` is.

    Raises:
        RefusedError: if history is too short.
    """
    from pipeline.registry.client import Registry
    from pipeline.registry.records import Provenance
    from pipeline.stores.candidates import BASELINE, CANDIDATES, load_fit
    from pipeline.stores.features import FEATURE_COLUMNS as COLUMNS
    from pipeline.stores.features import store_features
    from pipeline.stores.intervals import calibrate
    from pipeline.stores.model import to_frame, training_rows

    tried = {name: _tried(settings, as_of, name) for name in CANDIDATES}
    trials = {name: trial for name, trial in tried.items() if trial} or {
        CANDIDATES[0]: _trial(settings, as_of, CANDIDATES[0])
    }
    best = min(trials, key=lambda name: trials[name].metrics["rmspe"])
    trial = trials[best]

    con = engine.connect(settings)
    known = _known(settings, con, as_of)
    rows = training_rows(to_frame(store_features(con, known.past, known.stores, as_of)))
    fitted = load_fit(best)(rows, settings.seed)
    made_from = trial.evidence["made_from"]
    lake = Lake(settings)
    evidence = trial.evidence | {"backtest": {k: v for t in trials.values() for k, v in t.evidence["backtest"].items()}}
    registered = Registry(settings).log_challenger(
        model,
        fitted,
        provenance=Provenance(
            as_of,
            made_from["tables"] | {FEATURES_TABLE: lake.version(FEATURES_TABLE)},
            COLUMNS,
            settings.seed,
            made_from["code"],
        ),
        example=_plain(rows[list(COLUMNS)].head()),
        metrics=trial.metrics,
        params={"candidate": best},
        artefacts={
            INTERVALS_FILE: calibrate(trial.forecasts).to_record(),
            EVIDENCE_FILE: evidence,
        },
    )
    naive = trial.evidence["backtest"][BASELINE]["folds"][-1]["metrics"]["rmspe"]
    others = ", ".join(f"{name} {trials[name].metrics['rmspe']:.4f}" for name in trials if name != best)
    reason = (
        f"{best.replace('_', ' ')} is off by {trial.metrics['rmspe']:.4f} (RMSPE) on the newest six weeks, "
        f"the seasonal median by {naive:.4f}{f'; {others}' if others else ''}"
    )
    return Trained(model, registered.version, reason, dict(registered.metrics))


def gate(settings: Settings, model: str, version: int) -> Decision:
    """Decide whether a challenger may become champion on the newest six weeks, and note it; a refusal goes on record.

    The challenger answers as its kind would have on the first of those days. So does the champion if it is from before
    them; one that has seen some of them already is represented by its kind, fitted like the challenger. Two of one
    kind then tie, and the champion stays: nothing unseen could tell them apart.
    """
    from pipeline.registry.client import Registry
    from pipeline.stores.backtest import error_metrics
    from pipeline.stores.evaluation import newest_fold
    from pipeline.stores.significance import rmspe_difference

    registry = Registry(settings)
    made_from = registry.get(model, version).provenance
    evidence = registry.artefacts(model, version)[EVIDENCE_FILE]
    trial = _trial(settings, made_from.as_of, evidence["candidate"], evidence["made_from"])
    rows = newest_fold(trial.forecasts)
    sales = rows["sales"].to_numpy(float)
    challenger, other = trial.metrics, None
    rules: tuple[Rule, ...] = RULES
    champion = registry.champion(model)
    if champion is not None and champion.version != version:
        said = _champion_on(settings, champion, made_from.as_of, rows)
        other = error_metrics(sales, said)
        _, high = rmspe_difference(rows, rows["mean"].to_numpy(float), said, seed=settings.seed)
        challenger |= {DIFFERENCE_HIGH: high}
        rules = (*RULES, AGAINST_CHAMPION)
    decision = decide(
        challenger,
        other,
        error_metrics(sales, rows["baseline"].to_numpy(float)),
        rules,
        window=Window(INPUT_TABLE, made_from.tables[INPUT_TABLE], made_from.as_of),
    )
    note_decision(settings, model, version, decision)
    return decision


def score(settings: Settings, as_of: date) -> TableRef | None:
    """Write the forecast of every planned day from a day on, with intervals; None while there is no champion.

    Forecasts that were made on other days stay, to be held against what comes. A planned closed day is 0.

    Raises:
        RefusedError: if no day is planned.
    """
    import pyarrow as pa

    from pipeline.registry.client import Registry
    from pipeline.stores.intervals import Intervals

    registry = Registry(settings)
    if registry.champion(MODEL) is None:
        return None
    champion = registry.load(MODEL)
    features = Lake(settings).read(FEATURES_TABLE, where={"as_of": [as_of]}).to_pandas()
    known = _known(settings, engine.connect(settings), as_of)
    plan = known.plan.select("store", "day", "open").to_pyarrow().to_pandas()
    if plan.empty:
        raise RefusedError(
            "Nothing is planned, so there are no days to forecast",
            where=f"{PLANS_TABLE}, from {as_of} on",
            todo=f"aisle ingest {PLANS_TABLE} with the days after {as_of - timedelta(days=1)}",
        )
    mean = champion.model.predict(features)
    ends = Intervals.from_record(champion.artefacts[INTERVALS_FILE]).around(features, mean)
    said = features[["store", "day"]].assign(mean=mean)
    for level, (low, high) in ends.items():
        said = said.assign(**{f"low_{level:.0%}".rstrip("%"): low, f"high_{level:.0%}".rstrip("%"): high})
    table = pa.Table.from_pandas(
        plan.merge(said, on=["store", "day"], how="left")
        .pipe(lambda rows: rows.fillna(dict.fromkeys(rows.columns.difference(["store", "day", "open"]), 0.0)))
        .sort_values(["store", "day"], ignore_index=True)
        .assign(made_on=as_of, model_version=champion.version.version),
        preserve_index=False,
    )
    return Lake(settings).replace(SCORES_TABLE, {"made_on": [as_of]}, table)


def write_report(settings: Settings, as_of: date) -> str:
    """Write the page of a day and return its path below home.

    Raises:
        RefusedError: if nothing was forecast on that day.
    """
    from pipeline.registry.client import Registry
    from pipeline.stores.explain import explain_first_days
    from pipeline.stores.gradient_boosting import GradientBoosting
    from pipeline.stores.report import StoresReport, write_stores_report

    lake, con, registry = Lake(settings), engine.connect(settings), Registry(settings)
    made = lake.days(SCORES_TABLE) if lake.exists(SCORES_TABLE) else []
    if as_of not in made:
        raise RefusedError(
            "Nothing was forecast on that day", where=SCORES_TABLE, todo=f"aisle score stores --day {as_of}"
        )
    forecasts = lake.read(SCORES_TABLE, where={"made_on": [as_of]}).to_pandas()
    version = int(forecasts["model_version"].iloc[0])
    known = _known(settings, con, as_of)
    champion = registry.load(MODEL, version)
    told = {}
    if isinstance(champion.model, GradientBoosting):
        features = lake.read(FEATURES_TABLE, where={"as_of": [as_of]}).to_pandas()
        told = {"explained": explain_first_days(champion.model, features)}
    return write_stores_report(
        lake,
        con,
        StoresReport(
            as_of=as_of,
            version=champion.version,
            store_days=known.past,
            stores=known.stores,
            plans=known.plan,
            forecasts=forecasts,
            earlier=_with_actuals(lake, known, [day for day in made if day <= as_of]),
            evidence=champion.artefacts[EVIDENCE_FILE],
            **told,
        ),
    )


def backtest(settings: Settings, model: str, *candidates: str) -> dict[str, Any]:
    """The errors over the newest three folds of six weeks, every model side by side.

    Args:
        candidates: those to run beside the baseline; empty: the first of `CANDIDATES`. The first is the model's result.

    Returns:
        `{"model", "folds": [{"from", "to", "metrics", "slices", "seconds", "peak_mb"}], "mean", "models": {name: …}}`.

    Raises:
        RefusedError: if there is too little history.
    """
    from pipeline.stores.backtest import backtest as run
    from pipeline.stores.candidates import BASELINE, CANDIDATES, load_fit

    days = Lake(settings).days(INPUT_TABLE) if Lake(settings).exists(INPUT_TABLE) else []
    if not days:
        raise RefusedError(
            "There are no store days to test on", where=INPUT_TABLE, todo=f"aisle ingest {INPUT_TABLE} --all"
        )
    con = engine.connect(settings)
    known = _known(settings, con, days[-1] + timedelta(days=1))
    names = dict.fromkeys([*(candidates or CANDIDATES[:1]), BASELINE])
    found = run(con, known.past, known.stores, {name: load_fit(name) for name in names}, seed=settings.seed)
    results = {name: found.as_dict(name) for name in names}
    return {**next(iter(results.values())), "model": model, "models": results}


def _known(settings: Settings, con: Backend, as_of: date) -> Snapshot:
    from pipeline.stores.backtest import HORIZON
    from pipeline.stores.snapshot import read_snapshot

    return read_snapshot(con, Lake(settings), as_of, HORIZON)


def _made_from(settings: Settings) -> dict[str, Any]:
    """What a trial and a training read: the same of it gives the same result."""
    from pipeline.code_version import code_version

    lake = Lake(settings)
    tables = {name: lake.version(name) for name in (STORE_DAYS_TABLE, STORES_TABLE)}
    return {"tables": tables, "seed": settings.seed, "code": code_version(settings)}


def _trial(
    settings: Settings, as_of: date, candidate: str, made_from: dict[str, Any] | None = None
) -> CandidateEvaluation:
    """The trial of a candidate, made now if there is none of these tables, seed and code (`made_from`: today's)."""
    import pyarrow as pa

    from pipeline.stores.evaluation import CandidateEvaluation, evaluate_candidate

    if found := _tried(settings, as_of, candidate, made_from):
        return found
    lake, con = Lake(settings), engine.connect(settings)
    made_from = _made_from(settings)
    trial = evaluate_candidate(con, _known(settings, con, as_of), candidate, settings.seed)
    trial = CandidateEvaluation(trial.evidence | {"made_from": made_from}, trial.forecasts)
    rows = pa.Table.from_pandas(trial.forecasts.assign(as_of=as_of, candidate=candidate), preserve_index=False)
    lake.replace(TRIALS_TABLE, {"as_of": [as_of], "candidate": [candidate]}, rows)
    lake.write_blob(_evidence(as_of, candidate), json.dumps(trial.evidence, allow_nan=False).encode())
    return trial


def _tried(
    settings: Settings, as_of: date, candidate: str, made_from: dict[str, Any] | None = None
) -> CandidateEvaluation | None:
    from pipeline.stores.evaluation import CandidateEvaluation

    lake = Lake(settings)
    if not lake.path(_evidence(as_of, candidate)).exists():
        return None
    with lake.open_blob(_evidence(as_of, candidate)) as file:
        evidence = json.load(file)
    if evidence["made_from"] != (made_from or _made_from(settings)):
        return None
    rows = lake.read(TRIALS_TABLE, where={"as_of": [as_of], "candidate": [candidate]})
    return CandidateEvaluation(evidence, rows.drop_columns(["as_of", "candidate"]).to_pandas())


def _evidence(as_of: date, candidate: str) -> str:
    return f"trials/{MODEL}/{as_of}/{candidate}.json"


def _champion_on(settings: Settings, champion: ModelVersion, as_of: date, rows: pd.DataFrame) -> NDArray[np.float64]:
    """What the champion says of the newest fold's rows, see `gate`."""
    from pipeline.registry.client import Registry
    from pipeline.stores.backtest import HORIZON
    from pipeline.stores.evaluation import newest_fold
    from pipeline.stores.features import store_features
    from pipeline.stores.model import to_frame

    registry, keys = Registry(settings), ["store", "day"]
    start = rows["made_on"].iloc[0]
    if champion.provenance.as_of <= start:
        con = engine.connect(settings)
        known = _known(settings, con, as_of)
        features = to_frame(store_features(con, known.past, known.stores, start, horizon=HORIZON, train=False))
        said = features.assign(mean=registry.load(MODEL, champion.version).model.predict(features))
    else:
        candidate = registry.artefacts(MODEL, champion.version)[EVIDENCE_FILE]["candidate"]
        said = newest_fold(_trial(settings, as_of, candidate).forecasts)
    matched: NDArray[np.float64] = rows[keys].merge(said[[*keys, "mean"]], on=keys, how="left")["mean"].to_numpy(float)
    return matched


def _with_actuals(lake: Lake, known: Snapshot, made_on: list[date]) -> pd.DataFrame:
    """The newest forecast all of whose days have come, or else the oldest there is, beside what came of its days."""
    from pipeline.stores.backtest import HORIZON

    last = known.past.day.max().to_pyarrow().as_py()
    over = [day for day in made_on if day + timedelta(days=HORIZON - 1) <= last]
    said: pd.DataFrame = lake.read(SCORES_TABLE, where={"made_on": [max(over, default=min(made_on))]}).to_pandas()
    came = known.past.select("store", "day", "sales").to_pyarrow().to_pandas()
    return said.merge(came, on=["store", "day"])


def _plain(features: pd.DataFrame) -> pd.DataFrame:
    """Numbers as float64, which a model's signature knows."""
    return features.astype({name: "float64" for name in features.columns if features[name].dtype.kind == "f"})
