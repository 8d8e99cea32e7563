"""How models become files and come back, without running code out of a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import pandas as pd
from mlflow.models import Model, ModelSignature, infer_signature
from mlflow.types import ColSpec, DataType, Schema

from pipeline.errors import RefusedError, UsageError

# Types beyond scikit-learn's plain ones that a model file may contain. Each has been looked at: building it runs no
# code of the file's choosing. The list is here and not in the model file, which would then vouch for itself.
TRUSTED_TYPES: tuple[str, ...] = (
    "collections.OrderedDict",  # of LightGBM's Booster
    "lightgbm.basic.Booster",  # built from its text form, which holds numbers and names
    "numpy.dtype",  # of scikit-learn's SimpleImputer
    "pipeline.customers.segments.LogSkewed",
    "pipeline.shoppers.splines.LinearSplines",
    "pipeline.shoppers.brand_choice.BrandChoice",
    "pipeline.shoppers.estimation.ConditionalLogit",
    "pipeline.shoppers.estimation.Glm",
    "pipeline.shoppers.purchase_quantity.PurchaseQuantity",
    "pipeline.stores.gradient_boosting.GradientBoosting",
    "pipeline.stores.linear_store.LinearStore",
    "pipeline.stores.random_forest.RandomForest",
    "sklearn.tree._tree.Tree",  # arrays of nodes; a file that was tampered with fails the registry's checksum first
)

FIELD_TYPES = {"float64": DataType.double, "str": DataType.string}
ARTEFACTS = "artefacts"
MODEL_FILE = "model.skops"
# Written into the folder by MLflow when it downloads a model.
_NOT_OURS = "registered_model_meta"


class Flavour(Protocol):
    """How one library's models become files and come back, without running code out of a file."""

    @property
    def packages(self) -> tuple[str, ...]:
        """What must be installed to load the model; pinned to what is installed when it is saved."""

    def predict(self, model: Any, example: pd.DataFrame) -> Any:
        """The model's answer, from which the output half of the signature is taken."""

    def save(
        self, model: Any, folder: Path, *, signature: ModelSignature, example: pd.DataFrame, requirements: list[str]
    ) -> None:
        """Write an MLflow model folder.

        Raises:
            RefusedError: if the model holds a type that is not on the allow-list.
        """

    def load(self, folder: Path) -> Any:
        """Read what `save` wrote.

        Raises:
            RefusedError: if the file holds a type that is not on the allow-list.
        """


@dataclass(frozen=True)
class Skops:
    """scikit-learn estimators and Pipelines in the skops format, which names every type before it builds any."""

    trusted: tuple[str, ...] = TRUSTED_TYPES
    packages: tuple[str, ...] = ("scikit-learn", "skops", "numpy", "pandas")

    def predict(self, model: Any, example: pd.DataFrame) -> Any:
        """What the estimator predicts."""
        return model.predict(example)

    def save(
        self, model: Any, folder: Path, *, signature: ModelSignature, example: pd.DataFrame, requirements: list[str]
    ) -> None:
        """Write the folder through MLflow's scikit-learn flavour, after a look at the types."""
        import mlflow.sklearn
        from skops import io

        self._refuse_untrusted(io.get_untrusted_types(data=io.dumps(model)), where=type(model).__name__)
        mlflow.sklearn.save_model(
            model,
            path=str(folder),
            serialization_format="skops",
            skops_trusted_types=list(self.trusted),
            signature=signature,
            input_example=example,
            pip_requirements=requirements,
        )

    def load(self, folder: Path) -> Any:
        """Read the file with our allow-list. MLflow's own loader would take the list from the folder it checks."""
        from skops import io

        file = folder / MODEL_FILE
        self._refuse_untrusted(io.get_untrusted_types(file=file), where=file.name)
        return io.load(file, trusted=list(self.trusted))

    def _refuse_untrusted(self, types: Sequence[str], where: str) -> None:
        strangers = sorted(set(types) - set(self.trusted))
        if strangers:
            raise RefusedError(
                "The model contains types that are not on the allow-list",
                where=where,
                observed=", ".join(strangers),
                allowed=", ".join(self.trusted),
                todo="if the type is harmless to build, add it to TRUSTED_TYPES in pipeline/model_files.py",
            )


FLAVOURS: Mapping[str, Flavour] = {"sklearn": Skops()}


def flavour_of(flavour: str, where: str) -> Flavour:
    """The flavour of that name.

    Raises:
        UsageError: if there is none.
    """
    try:
        return FLAVOURS[flavour]
    except KeyError:
        raise UsageError(
            "This kind of model can be neither saved nor loaded",
            where=where,
            observed=flavour or "none",
            allowed=", ".join(FLAVOURS),
            todo="add its library to FLAVOURS in pipeline/model_files.py",
        ) from None


def write_model(
    folder: Path,
    how: Flavour,
    model: Any,
    example: pd.DataFrame,
    artefacts: Mapping[str, Any],
    requirements: list[str],
) -> None:
    """A model folder as it will be stored: MLflow's files and ours beside them."""
    signature = _signature(example, how.predict(model, example))
    how.save(model, folder, signature=signature, example=example, requirements=requirements)
    (folder / ARTEFACTS).mkdir()
    for name, content in artefacts.items():
        text = json.dumps(content, indent=1, allow_nan=False)
        (folder / ARTEFACTS / name).write_text(text, encoding="utf-8")


def _signature(example: pd.DataFrame, prediction: Any) -> ModelSignature:
    """Named inputs of two types only: MLflow silently gives no signature for integers with gaps and the like."""
    types = {str(name): str(column.dtype) for name, column in example.items()}
    wrong = {name: dtype for name, dtype in types.items() if dtype not in FIELD_TYPES}
    if wrong or example.empty:
        raise UsageError(
            "A model's input example needs rows, and columns of float64 or str only",
            where="columns" if wrong else "example",
            observed=wrong or f"{len(example)} rows, {len(types)} columns",
            allowed=", ".join(FIELD_TYPES),
            todo="convert the columns before training and scoring alike",
        )
    inputs = Schema([ColSpec(FIELD_TYPES[dtype], name) for name, dtype in types.items()])
    return ModelSignature(inputs=inputs, outputs=infer_signature(model_output=prediction).outputs)


def checksum(folder: Path) -> str:
    """SHA-256 over the names and bytes of a model's files."""
    digest = hashlib.sha256()
    for file in sorted(file for file in folder.rglob("*") if file.is_file() and file.name != _NOT_OURS):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def read_artefacts(folder: Path) -> dict[str, Any]:
    """The JSON files beside a model."""
    files = sorted((folder / ARTEFACTS).glob("*.json"))
    return {file.name: json.loads(file.read_text(encoding="utf-8")) for file in files}


def read_example(folder: Path) -> pd.DataFrame:
    """The rows of raw input that were logged with a model."""
    # MLflow says that it returns text.
    return cast(pd.DataFrame, Model.load(str(folder)).load_input_example(str(folder)))
