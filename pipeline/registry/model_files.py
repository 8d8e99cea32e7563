"""Save models to files and load them, without executing code from a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol, cast
from zipfile import ZipFile

import pandas as pd
from mlflow.models import Model, ModelSignature, infer_signature
from mlflow.types import ColSpec, DataType, Schema

from pipeline.errors import RefusedError, UsageError

# Types of libraries, beyond scikit-learn's plain ones, that any model file may contain. Each was reviewed: building
# it runs no code of the file's choosing. Types of our own are named by each model's specification. Neither list is in
# the model file, which would then vouch for itself.
LIBRARY_TYPES: tuple[str, ...] = (
    "collections.OrderedDict",  # of LightGBM's Booster
    "lightgbm.basic.Booster",  # built from its text form, which holds numbers and names
    "numpy.dtype",  # of scikit-learn's SimpleImputer
    "sklearn.tree._tree.Tree",  # arrays of nodes; a file that was tampered with fails the registry's checksum first
)

# Where types of ours are now that files of earlier releases name otherwise: (module, class) -> (module, class).
MOVED_TYPES: Mapping[tuple[str, str], tuple[str, str]] = {
    ("pipeline.shoppers.bends", "Bends"): ("pipeline.shoppers.splines", "LinearSplines"),
}

FIELD_TYPES = {"float64": DataType.double, "str": DataType.string}
ARTEFACTS = "artefacts"
MODEL_FILE = "model.skops"
SCHEMA_FILE = "schema.json"
"""The file inside a skops file (a zip archive) that describes its types."""
# Written into the folder by MLflow when it downloads a model.
_NOT_OURS = "registered_model_meta"


class Flavour(Protocol):
    """Saves and loads the models of one library, without executing code from a file."""

    @property
    def packages(self) -> tuple[str, ...]:
        """What must be installed to load the model; pinned to what is installed when it is saved."""

    def predict(self, model: Any, example: pd.DataFrame) -> Any:
        """The model's answer, from which the output half of the signature is taken."""

    def save(
        self,
        model: Any,
        folder: Path,
        trusted_types: Sequence[str],
        *,
        signature: ModelSignature,
        example: pd.DataFrame,
        requirements: list[str],
    ) -> None:
        """Write an MLflow model folder.

        Raises:
            RefusedError: if the model holds a type that is not trusted.
        """

    def load(self, folder: Path, trusted_types: Sequence[str]) -> Any:
        """Read what `save` wrote.

        Raises:
            RefusedError: if the file holds a type that is not trusted.
        """


@dataclass(frozen=True)
class Skops:
    """scikit-learn estimators and Pipelines in the skops format, which names every type before it builds any.

    Args:
        library_types: types of libraries that every file may hold.
        packages: see `Flavour`.
    """

    library_types: tuple[str, ...] = LIBRARY_TYPES
    packages: tuple[str, ...] = ("scikit-learn", "skops", "numpy", "pandas")

    def predict(self, model: Any, example: pd.DataFrame) -> Any:
        """What the estimator predicts."""
        return model.predict(example)

    def save(
        self,
        model: Any,
        folder: Path,
        trusted_types: Sequence[str],
        *,
        signature: ModelSignature,
        example: pd.DataFrame,
        requirements: list[str],
    ) -> None:
        """Write the folder through MLflow's scikit-learn flavour, after checking the types."""
        import mlflow.sklearn
        from skops import io

        trusted = [*self.library_types, *trusted_types]
        _refuse_untrusted(io.get_untrusted_types(data=io.dumps(model)), trusted, where=type(model).__name__)
        mlflow.sklearn.save_model(
            model,
            path=str(folder),
            serialization_format="skops",
            skops_trusted_types=trusted,
            signature=signature,
            input_example=example,
            pip_requirements=requirements,
        )

    def load(self, folder: Path, trusted_types: Sequence[str]) -> Any:
        """Read the file with our own list. MLflow's own loader would take the list from the folder it checks."""
        from skops import io

        trusted = [*self.library_types, *trusted_types]
        data = _with_moved_types((folder / MODEL_FILE).read_bytes())
        _refuse_untrusted(io.get_untrusted_types(data=data), trusted, where=MODEL_FILE)
        return io.loads(data, trusted=trusted)


def _refuse_untrusted(types: Sequence[str], trusted: Sequence[str], where: str) -> None:
    if untrusted := sorted(set(types) - set(trusted)):
        raise RefusedError(
            "The model contains types that are not trusted",
            where=where,
            observed=", ".join(untrusted),
            allowed=", ".join(trusted),
            todo="if the type is harmless to build, add it to trusted_types of the model's specification",
        )


def _with_moved_types(data: bytes) -> bytes:
    """A skops file in which types that have moved since are named as they are now; the same bytes if there are none."""
    with ZipFile(BytesIO(data)) as archive:
        schema = json.loads(archive.read(SCHEMA_FILE))
        if not _rename_types(schema):
            return data
        renamed = BytesIO()
        with ZipFile(renamed, "w") as target:
            for entry in archive.infolist():
                content = json.dumps(schema).encode() if entry.filename == SCHEMA_FILE else archive.read(entry)
                target.writestr(entry, content)
    return renamed.getvalue()


def _rename_types(node: Any) -> bool:
    """Rename moved types within a part of a skops schema, in place; whether there were any."""
    if isinstance(node, list):
        return max([_rename_types(part) for part in node], default=False)
    if not isinstance(node, dict):
        return False
    found = max([_rename_types(part) for part in node.values()], default=False)
    moved = MOVED_TYPES.get((str(node.get("__module__")), str(node.get("__class__"))))
    if moved:
        node["__module__"], node["__class__"] = moved
    return found or moved is not None


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
            todo="add its library to FLAVOURS in pipeline/registry/model_files.py",
        ) from None


def write_model(
    folder: Path,
    how: Flavour,
    model: Any,
    example: pd.DataFrame,
    artefacts: Mapping[str, Any],
    requirements: list[str],
    trusted_types: Sequence[str] = (),
) -> None:
    """Write a model folder as it will be stored: MLflow's files, the artefacts and the input example."""
    signature = _signature(example, how.predict(model, example))
    how.save(model, folder, trusted_types, signature=signature, example=example, requirements=requirements)
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
    """The JSON files stored with a model."""
    files = sorted((folder / ARTEFACTS).glob("*.json"))
    return {file.name: json.loads(file.read_text(encoding="utf-8")) for file in files}


def read_example(folder: Path) -> pd.DataFrame:
    """The rows of raw input that were logged with a model."""
    # MLflow says that it returns text.
    return cast(pd.DataFrame, Model.load(str(folder)).load_input_example(str(folder)))
