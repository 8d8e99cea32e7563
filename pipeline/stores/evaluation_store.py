"""Evaluations of candidates in the lake: each is made once for the same tables, seed and code, and kept.

The forecasts of an evaluation are rows of the table `store_trials`; what else was found is a JSON file beside it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.code_version import code_version
from pipeline.lake import engine
from pipeline.lake.tables import Lake
from pipeline.stores.domain import MODEL
from pipeline.stores.evaluation import CandidateEvaluation, evaluate_candidate
from pipeline.stores.folds import HORIZON
from pipeline.stores.snapshot import STORE_DAYS_TABLE, STORES_TABLE, read_snapshot

if TYPE_CHECKING:
    from datetime import date

    from pipeline.training.spec import Run

TRIALS_TABLE = "store_trials"
_TRIALS_FOLDER = f"trials/{MODEL}"


def inputs_of(run: Run) -> dict[str, Any]:
    """The inputs of an evaluation or a training: table versions, seed and code. Equal inputs give equal results."""
    tables = {name: run.tables[name] for name in (STORE_DAYS_TABLE, STORES_TABLE)}
    return {"tables": tables, "seed": run.settings.seed, "code": code_version(run.settings)}


def find_or_make(run: Run, candidate: str, inputs: dict[str, Any] | None = None) -> CandidateEvaluation:
    """The evaluation of a candidate on the newest six weeks before a day, computed if none is kept for these inputs.

    Args:
        run: the as-of day, and the tables to read.
        candidate: its kind.
        inputs: `inputs_of` an earlier run; None: those of `run`.

    Raises:
        UsageError: if there is no such candidate.
        RefusedError: if history is too short.
    """
    if found := find(run, candidate, inputs):
        return found
    lake, con, as_of = Lake(run.settings), engine.connect(run.settings), run.as_of
    made = evaluate_candidate(con, read_snapshot(con, lake, as_of, HORIZON, run.tables), candidate, run.settings.seed)
    made = CandidateEvaluation(made.evidence | {"made_from": inputs_of(run)}, made.forecasts)
    rows = pa.Table.from_pandas(made.forecasts.assign(as_of=as_of, candidate=candidate), preserve_index=False)
    lake.replace(TRIALS_TABLE, {"as_of": [as_of], "candidate": [candidate]}, rows)
    lake.write_blob(_evidence_path(as_of, candidate), json.dumps(made.evidence, allow_nan=False).encode())
    return made


def find(run: Run, candidate: str, inputs: dict[str, Any] | None = None) -> CandidateEvaluation | None:
    """The kept evaluation of a candidate; None if there is none for these inputs."""
    lake, path = Lake(run.settings), _evidence_path(run.as_of, candidate)
    if not lake.path(path).exists():
        return None
    with lake.open_blob(path) as file:
        evidence = json.load(file)
    if evidence["made_from"] != (inputs or inputs_of(run)):
        return None
    rows = lake.read(TRIALS_TABLE, where={"as_of": [run.as_of], "candidate": [candidate]})
    return CandidateEvaluation(evidence, rows.drop_columns(["as_of", "candidate"]).to_pandas())


def kept_evaluations(lake: Lake, *, forget: tuple[str, str] | None = None) -> dict[tuple[str, str], bool]:
    """The kept evaluations by as-of day and candidate: whether what was found can be read.

    Args:
        lake: the lake.
        forget: the as-of day and candidate of one that is to be made again, whose evidence is removed.
    """
    root = lake.path(_TRIALS_FOLDER)
    found = {}
    for path in (path for day in (root.iterdir() if root.exists() else ()) for path in day.glob("*.json")):
        key = (path.parent.name, path.stem)
        if key == forget:
            path.unlink()
            continue
        try:
            found[key] = "made_from" in json.loads(path.read_bytes())
        except ValueError:
            found[key] = False
    return found


def _evidence_path(as_of: date, candidate: str) -> str:
    return f"{_TRIALS_FOLDER}/{as_of}/{candidate}.json"
