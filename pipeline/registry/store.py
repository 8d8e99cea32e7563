"""MLflow behind one adapter: runs, model files, versions, tags, aliases. `model_files` and `shown` import it too."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus, Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from pipeline.errors import RefusedError, UsageError
from pipeline.lake.files import make_private
from pipeline.registry.database import prepare
from pipeline.registry.explained import Explained
from pipeline.registry.model_files import checksum
from pipeline.registry.records import TAG, ModelVersion, Provenance
from pipeline.registry.shown import Shown
from pipeline.registry.signatures import is_signed, require_signature, sign

if TYPE_CHECKING:
    from pipeline.settings import Settings

_MENDING = "restore the files from a backup, or take the version out of use: aisle repair registry"


class ModelStore:
    """MLflow's registered models, as far as they were registered by Aisle.

    Args:
        settings: where MLflow's database or server and its artefacts are.
    """

    def __init__(self, settings: Settings) -> None:
        self._uri = settings.mlflow_uri
        self._artifacts = settings.artifacts_uri
        self._keys = settings.signing_keys
        self._client: Any = Explained(self._uri, lambda: _client(settings))

    def names(self) -> list[str]:
        """The names of all registered models."""
        return [model.name for model in self._client.search_registered_models()]

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Point an alias of a model to a version."""
        self._client.set_registered_model_alias(name, alias, str(version))

    def delete_alias(self, name: str, alias: str) -> None:
        """Remove an alias of a model."""
        self._client.delete_registered_model_alias(name, alias)

    def set_tag(self, name: str, tag: str, text: str) -> None:
        """Write a tag of a registered model."""
        self._client.set_registered_model_tag(name, tag, text)

    def delete_version(self, name: str, version: int) -> None:
        """Forget a version, whose files are damaged."""
        self._client.delete_model_version(name, str(version))

    def signature(self, name: str, sha256: str) -> dict[str, str]:
        """The tag that says who vouches for a version's checksum; none without a signing key."""
        return {f"{TAG}signature": sign(self._keys[0], name, sha256)} if self._keys else {}

    def is_signed(self, entry: Any) -> bool:
        """Whether a version's checksum is signed by a key in use; always so without a signing key."""
        tags = entry.tags
        return is_signed(self._keys, entry.name, tags.get(f"{TAG}sha256", ""), tags.get(f"{TAG}signature"))

    def delete_tag(self, name: str, tag: str) -> None:
        """Remove a tag of a registered model."""
        self._client.delete_registered_model_tag(name, tag)

    def set_version_tag(self, name: str, version: int, tag: str, text: str) -> None:
        """Write a tag of a version."""
        self._client.set_model_version_tag(name, str(version), tag, text)

    def aliases(self, name: str) -> dict[str, int]:
        """The versions that a model's aliases point to."""
        model = self.registered(name)
        return {} if model is None else {alias: int(version) for alias, version in model.aliases.items()}

    def registered(self, name: str) -> Any:
        """MLflow's record of a registered model; None if there is none."""
        try:
            return self._client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    def entry(self, name: str, which: int | str) -> Any:
        """MLflow's record of a version."""
        number = which if isinstance(which, int) else self.aliases(name).get(which)
        entries = self.entries(name)
        for entry in entries:
            if int(entry.version) == number:
                return entry
        raise RefusedError(
            f"The model {name!r} has no {f'version {which}' if isinstance(which, int) else which}",
            where="model registry",
            observed=f"versions {', '.join(str(e.version) for e in entries)}" if entries else "no versions at all",
            todo="see what there is: aisle models" if entries else f"train one: aisle train {name}",
        )

    def entries(self, name: str) -> list[Any]:
        """MLflow's records of the versions that were registered here, newest first."""
        if not re.fullmatch(r"\w+", name):
            raise UsageError(
                "This is not a valid model name", where="model registry", observed=name, allowed="a-z, 0-9 and _"
            )
        entries: list[Any] = []
        token = None
        while True:
            page = self._client.search_model_versions(f"name = '{name}'", page_token=token)
            entries += [entry for entry in page if f"{TAG}fingerprint" in entry.tags]
            token = page.token
            if not token:
                return sorted(entries, key=lambda entry: -int(entry.version))

    @contextmanager
    def files(self, entry: Any, *, signed: bool = True) -> Iterator[Path]:
        """A version's files, verified by the registry's checksum, and by its signature if there is a signing key.

        Args:
            entry: MLflow's record of the version.
            signed: whether the signature is verified.

        Raises:
            RefusedError: if the files are missing, not the ones that were registered, or not signed by a key in use.
        """
        with tempfile.TemporaryDirectory(prefix="aisle-model-") as temporary:
            location = self._client.get_model_version_download_uri(entry.name, entry.version)
            folder = self._downloaded(entry, location, temporary)
            observed, registered = checksum(folder), entry.tags.get(f"{TAG}sha256")
            if observed != registered:
                raise RefusedError(
                    "The model's files are not the ones that were registered",
                    where=f"{place(entry)}, {location}",
                    observed=observed,
                    allowed=registered or "a version with a checksum",
                    todo=_MENDING,
                )
            if signed:
                require_signature(self._keys, entry.name, observed, entry.tags.get(f"{TAG}signature"), place(entry))
            yield folder

    def _downloaded(self, entry: Any, location: str, folder: str) -> Path:
        """Fetch a version's files.

        Raises:
            RefusedError: if they are not there, or cannot be read.
        """
        try:
            fetched = mlflow.artifacts.download_artifacts(
                artifact_uri=location, dst_path=folder, tracking_uri=self._uri, registry_uri=self._uri
            )
        except (MlflowException, OSError) as error:
            raise RefusedError(
                "The model's files cannot be read",
                where=f"{place(entry)}, {location}",
                observed=(str(error).splitlines() or [type(error).__name__])[0],
                todo=_MENDING,
            ) from error
        return Path(fetched)

    def register(
        self,
        name: str,
        folder: Path,
        tags: Mapping[str, str],
        metrics: Mapping[str, float],
        params: Mapping[str, str],
        at: datetime,
        shown: Shown,
    ) -> int:
        """Store a model folder. Only the last step, which makes the version with all its tags, registers the model."""
        millis = int(at.timestamp() * 1000)
        described = {**tags, MLFLOW_RUN_NOTE: shown.description}
        run = self._client.create_run(self._experiment(name), run_name=shown.name, tags=described)
        self._client.log_batch(
            run.info.run_id,
            metrics=[*(Metric(key, float(value), millis, 0) for key, value in metrics.items()), *shown.metrics(millis)],
            params=[Param(key, value) for key, value in params.items()],
        )
        self._client.log_inputs(run.info.run_id, datasets=shown.datasets())
        self._write_files(run.info.run_id, shown.files)
        logged = self._client.create_logged_model(run.info.experiment_id, name, run.info.run_id, params=dict(params))
        self._client.log_model_artifacts(logged.model_id, str(folder))
        self._client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
        self._client.set_terminated(run.info.run_id)
        # The files' own address as source: a `models:/` address would be looked up through MLflow's global settings.
        entry = self._client.create_model_version(
            name,
            logged.artifact_location,
            run.info.run_id,
            tags=dict(tags),
            description=shown.description,
            model_id=logged.model_id,
        )
        return int(entry.version)

    def show(self, entry: Any, description: str, files: Mapping[str, str]) -> None:
        """Describe a version anew, and add files to its run."""
        self._write_files(entry.run_id, files)
        self._client.update_model_version(entry.name, entry.version, description)

    def _write_files(self, run_id: str, files: Mapping[str, str]) -> None:
        """Write artefacts of a run. They are not those of the model, whose checksum covers its own files only."""
        with tempfile.TemporaryDirectory(prefix="aisle-run-") as folder:
            for name, content in files.items():
                (Path(folder) / name).write_text(content, encoding="utf-8")
            self._client.log_artifacts(run_id, folder)

    def _experiment(self, name: str) -> str:
        """The model's experiment and registered model, made where they are missing."""
        if self._client.get_experiment_by_name(name) is None:
            # A server decides for itself where files go.
            location = None if self._uri.startswith("http") else f"{self._artifacts}/{name}"
            _unless_there(lambda: self._client.create_experiment(name, artifact_location=location))
        _unless_there(lambda: self._client.create_registered_model(name))
        experiment: Any = self._client.get_experiment_by_name(name)
        return str(experiment.experiment_id)


def place(entry: Any) -> str:
    """A version as messages name it."""
    return f"{entry.name} version {entry.version}"


FORMAT, PERCENT_BEFORE = "2", {"footfall_buyers": ("mape",)}
"""The format of a version's tags, and by model the metrics that versions without a format tag hold in per cent."""


def describe(entry: Any, aliases: Mapping[str, int]) -> ModelVersion:
    """Convert MLflow's record of a version to a `ModelVersion`."""
    tags = entry.tags
    return ModelVersion(
        name=entry.name,
        version=int(entry.version),
        aliases=tuple(sorted(alias for alias, number in aliases.items() if number == int(entry.version))),
        registered_at=datetime.fromtimestamp(entry.creation_timestamp / 1000, UTC),
        provenance=Provenance.from_tags(tags),
        metrics=_metrics(entry.name, tags),
        accepted=json.loads(tags.get(f"{TAG}accepted", "null")),
        decision=json.loads(tags.get(f"{TAG}gate", "{}")),
    )


def _metrics(name: str, tags: Mapping[str, str]) -> dict[str, float | None]:
    metrics: dict[str, float | None] = json.loads(tags[f"{TAG}metrics"])
    if f"{TAG}format" not in tags:
        for metric in PERCENT_BEFORE.get(name, ()):
            if (value := metrics.get(metric)) is not None:
                metrics[metric] = value / 100
    return metrics


def _client(settings: Settings) -> MlflowClient:
    """A client of the registry, whose SQLite file is made and put in order before."""
    uri = settings.mlflow_uri
    # Files in a place that was chosen by hand stay there.
    own = not settings.artifacts and not settings.tracking_uri
    prepare(uri, settings.artifacts_uri if own else "")
    if "://" not in settings.home:
        make_private(Path(settings.home))
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _unless_there(make: Callable[[], object]) -> None:
    """Create something, unless another process has created it meanwhile."""
    try:
        make()
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
