"""What MLflow's pages show of a training's run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT


@dataclass(frozen=True)
class Shown:
    """What MLflow's pages show of a training.

    Args:
        name: of its run.
        description: in Markdown.
        tables: Delta table -> its version and address.
        folds: metrics of each fold, in the order of time; the fold's number is the step.
        files: name -> content of further artefacts of the run.
    """

    name: str
    description: str
    tables: Mapping[str, tuple[int, str]]
    folds: Sequence[Mapping[str, float]]
    files: Mapping[str, str]

    def metrics(self, millis: int) -> list[Metric]:
        """The metrics of the folds, with the time at which they are logged in milliseconds."""
        return [
            Metric(f"folds/{name}", float(value), millis, step)
            for step, fold in enumerate(self.folds, 1)
            for name, value in fold.items()
        ]

    def datasets(self) -> list[DatasetInput]:
        """The tables as datasets of MLflow, which tells those of one name apart by their digest."""
        tag = InputTag(MLFLOW_DATASET_CONTEXT, "training")
        return [
            DatasetInput(
                Dataset(
                    name=table,
                    digest=f"version {version}",
                    source_type="delta_table",
                    source=json.dumps({"path": address, "delta_table_version": version}),
                ),
                [tag],
            )
            for table, (version, address) in self.tables.items()
        ]
