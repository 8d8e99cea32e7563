"""The models of the domain as specifications: what is particular to each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import RefusedError
from pipeline.lake import engine
from pipeline.lake.tables import Lake
from pipeline.reports.labels import exact
from pipeline.reports.phrasing import readable
from pipeline.stores import evaluation_store
from pipeline.stores.backtest import backtest as run_backtest
from pipeline.stores.backtest import error_metrics
from pipeline.stores.backtest_report import write_backtest_page
from pipeline.stores.candidates import BASELINE, BASELINES, CANDIDATES, TRUSTED_TYPES, load_fit
from pipeline.stores.domain import DOMAIN, MODEL
from pipeline.stores.evaluation import CandidateEvaluation, newest_fold
from pipeline.stores.features import COLUMNS, store_features
from pipeline.stores.folds import FOLD_COUNT, HORIZON
from pipeline.stores.intervals import INTERVALS_FILE, calibrate
from pipeline.stores.model import to_frame, training_rows
from pipeline.stores.monitoring import MONITORED
from pipeline.stores.significance import rmspe_difference
from pipeline.stores.snapshot import STORES_TABLE, Snapshot, read_snapshot
from pipeline.stores.sums import SUMS_FILE, calibrate_sums
from pipeline.training.fold_rule import OnFold
from pipeline.training.gate import BeatsBaseline, Better, Ceiling, NotWorse, Scores, Within
from pipeline.training.spec import Contest, Fitted, ModelSpec, Run

if TYPE_CHECKING:
    import pandas as pd
    from ibis.backends.duckdb import Backend
    from numpy.typing import NDArray

    from pipeline.registry.records import Loaded
    from pipeline.settings import Settings

EVIDENCE_FILE = "evidence.json"
NEWEST, SEASON = "the newest six weeks", "last year's six weeks of the coming season"
SEASON_MAPE, SEASON_TOLERANCE = "season_mape", 0.005
"""The MAPE on the season fold, and by how much a challenger's may exceed the champion's: what another seed changes."""
DIFFERENCE_HIGH = "rmspe_difference_high"
"""The upper end of the 95 % interval of the challenger's RMSPE less the champion's."""


@dataclass(frozen=True)
class Chain:
    """What is known of all stores, and the engine that holds it."""

    con: Backend
    snapshot: Snapshot


def load(run: Run) -> Chain:
    """Read what is known as of a day.

    Raises:
        RefusedError: if no store day came before that day, or nothing is known of the stores.
    """
    con = engine.connect(run.settings)
    return Chain(con, read_snapshot(con, Lake(run.settings), run.as_of, HORIZON, run.tables))


def content(chain: Chain) -> list[pd.DataFrame]:
    """The store days before the as-of day, and the stores."""
    return [chain.con.to_pandas(chain.snapshot.past), chain.con.to_pandas(chain.snapshot.stores)]


def evaluate_candidate(run: Run, candidate: str) -> dict[str, float]:
    """Evaluate a candidate on the newest six weeks before a day, and keep its forecasts."""
    return evaluation_store.find_or_make(run, candidate).metrics


def fit(chain: Chain, run: Run, champion: Loaded | None) -> Fitted:  # noqa: ARG001 (the shape of every fit)
    """Fit the candidate with the least error on the newest six weeks on all days before the as-of day.

    Only candidates that were evaluated for that day take part; if none was, the first of `CANDIDATES` is.
    """
    found = {name: evaluation_store.find(run, name) for name in CANDIDATES}
    evaluated = {name: evaluation for name, evaluation in found.items() if evaluation} or {
        CANDIDATES[0]: evaluation_store.find_or_make(run, CANDIDATES[0])
    }
    best = min(evaluated, key=lambda name: evaluated[name].metrics["rmspe"])
    chosen = evaluated[best]
    rows = training_rows(to_frame(store_features(chain.con, chain.snapshot.past, chain.snapshot.stores, run.as_of)))
    tested = {kind: result for one in evaluated.values() for kind, result in one.evidence["backtest"].items()}
    naive = tested[BASELINE]["folds"][-1]["metrics"]["rmspe"]
    errors = {name: exact("rmspe", evaluation.metrics["rmspe"]) for name, evaluation in evaluated.items()}
    others = ", ".join(f"{readable(name)} {error}" for name, error in errors.items() if name != best)
    return Fitted(
        model=load_fit(best)(rows, run.settings.seed),
        features=COLUMNS,
        example=_plain(rows[list(COLUMNS)].head()),
        metrics=chosen.metrics,
        reason=(
            f"{readable(best)} has an error of {errors[best]} (RMSPE) on the newest six weeks, "
            f"the seasonal median one of {exact('rmspe', naive)}{f'; {others}' if others else ''}"
        ),
        params={"candidate": best},
        artefacts={
            INTERVALS_FILE: calibrate(chosen.forecasts).to_record(),
            SUMS_FILE: calibrate_sums(chosen.forecasts).to_record(),
            EVIDENCE_FILE: chosen.evidence | {"backtest": tested},
        },
        folds={f"{fold['from']} to {fold['to']}": fold["metrics"] for fold in tested[best]["folds"]},
        candidates={kind: result["folds"][-1]["metrics"] for kind, result in tested.items()},
    )


def compare(contest: Contest[Chain]) -> Scores:
    """Measure challenger, champion and the seasonal median on the newest six weeks, and on the coming season's last.

    On the season fold (`evaluation.py`) the kinds of both models are measured, fitted on what was known then, against
    the better of the baselines. It has no metric where history is too short for it.

    The challenger was trained on those six weeks, so its candidate is measured instead, fitted on the days before them.
    The same holds for a champion that was trained on some of them; an older champion is measured itself. Two models of
    the same candidate then tie and the champion stays, because no unseen data are left to compare them on.
    """
    evidence = contest.challenger.artefacts[EVIDENCE_FILE]
    evaluation = evaluation_store.find_or_make(contest.run, evidence["candidate"], evidence["made_from"])
    rows = newest_fold(evaluation.forecasts)
    sales = rows["sales"].to_numpy(float)
    challenger, other = evaluation.metrics | _season_metric(evaluation), None
    baseline = error_metrics(sales, rows["baseline"].to_numpy(float))
    if season := evaluation.evidence.get("season"):
        baseline |= {SEASON_MAPE: min(season["metrics"][name]["mape"] for name in BASELINES)}
    if contest.champion is not None:
        predicted = _champion_on(contest.champion, contest.data, contest.run, rows)
        kind = contest.champion.artefacts[EVIDENCE_FILE]["candidate"]
        of_kind = evaluation if kind == evidence["candidate"] else evaluation_store.find_or_make(contest.run, kind)
        other = error_metrics(sales, predicted) | _season_metric(of_kind)
        seed = contest.run.settings.seed
        _, high = rmspe_difference(rows, rows["mean"].to_numpy(float), predicted, seed=seed)
        challenger |= {DIFFERENCE_HIGH: high}
    return Scores(challenger, other, baseline)


def _season_metric(evaluation: CandidateEvaluation) -> dict[str, float]:
    """Return the MAPE of an evaluation's candidate on the season fold, as a fraction; nothing if there is none."""
    season = evaluation.evidence.get("season")
    return {SEASON_MAPE: season["metrics"][evaluation.evidence["candidate"]]["mape"]} if season else {}


def backtest(settings: Settings, candidates: Sequence[str] = (), folds: int = FOLD_COUNT) -> dict[str, Any]:
    """The errors over the newest folds of six weeks, every model side by side, and a page of them.

    Args:
        settings: where the lake is, and the seed.
        candidates: those to run in addition to the baselines; empty: all of `CANDIDATES`.
            The result gives the errors of the first one as the model's.
        folds: how many folds to report.

    Returns:
        `{"model", "folds": [{"from", "to", "metrics", "slices", "seconds", "peak_mb"}], "mean", "models": {name: …},
        "page"}`.

    Raises:
        RefusedError: if there is too little history.
    """
    lake, table = Lake(settings), DOMAIN.input_table
    days = lake.days(table)
    if not days:
        raise RefusedError("There are no store days to test on", where=table, todo=f"aisle ingest {table} --all")
    con = engine.connect(settings)
    snapshot = read_snapshot(con, lake, days[-1] + timedelta(days=1), HORIZON)
    names = list(dict.fromkeys([*(candidates or CANDIDATES), *BASELINES]))
    fits = {name: load_fit(name) for name in names}
    found = run_backtest(con, snapshot.past, snapshot.stores, fits, seed=settings.seed, count=folds)
    results = {name: found.as_dict(name) for name in names}
    page = write_backtest_page(lake, results, names[0])
    return {**results[names[0]], "model": MODEL, "models": results, "page": page}


def _champion_on(champion: Loaded, chain: Chain, run: Run, rows: pd.DataFrame) -> NDArray[np.float64]:
    """The champion's forecasts of the newest fold's rows, see `compare`."""
    keys, start = ["store", "day"], rows["made_on"].iloc[0]
    if champion.version.provenance.as_of <= start:
        past, stores = chain.snapshot.past, chain.snapshot.stores
        features = to_frame(store_features(chain.con, past, stores, start, horizon=HORIZON, train=False))
        forecasts = features.assign(mean=champion.model.predict(features))
    else:
        candidate = champion.artefacts[EVIDENCE_FILE]["candidate"]
        forecasts = newest_fold(evaluation_store.find_or_make(run, candidate).forecasts)
    matched = rows[keys].merge(forecasts[[*keys, "mean"]], on=keys, how="left")["mean"].to_numpy(float)
    return np.asarray(matched)


def _plain(features: pd.DataFrame) -> pd.DataFrame:
    """Numbers as float64, which a model's signature requires."""
    return features.astype({name: "float64" for name in features.columns if features[name].dtype.kind == "f"})


STORE_SALES: ModelSpec[Chain] = ModelSpec(
    name=MODEL,
    table=DOMAIN.input_table,
    other_tables=(STORES_TABLE, DOMAIN.features_table),
    load=load,
    content=content,
    fit=fit,
    compare=compare,
    rules=(
        *(
            OnFold(rule, NEWEST)
            for rule in (
                BeatsBaseline("rmspe", 0.2, higher_is_better=False),
                Within("coverage_80", 0.74, 0.86),
                Within("coverage_95", 0.91, 0.98),
                Better("rmspe", higher_is_better=False),
                Ceiling(DIFFERENCE_HIGH, 0.0, against_champion=True),
            )
        ),
        OnFold(BeatsBaseline(SEASON_MAPE, 0.0, higher_is_better=False), SEASON, optional=True),
        OnFold(NotWorse(SEASON_MAPE, SEASON_TOLERANCE, higher_is_better=False), SEASON, optional=True),
    ),
    monitored=MONITORED,
    trusted_types=TRUSTED_TYPES,
    evaluate_candidate=evaluate_candidate,
    backtest=backtest,
    backtest_folds=True,
)
