"""The model registry: log, compare, promote, roll back, load. With `model_files`, the only module that knows MLflow.

MLflow holds runs, model files, versions and the aliases `champion` and `challenger`. The lake's table `promotions`
holds what MLflow forgets: who put which version in use, when and why, and what a gate refused.

The alias is what serves, so it is the moment at which a switch happens. A switch first notes its intent on the
registered model, moves the alias, appends the record, and takes the note away. Whatever is killed in between is
settled by the next step that writes: the record is completed if the alias has moved, and dropped if it has not.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pyarrow as pa
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus, Metric, Param
from mlflow.exceptions import MlflowException

from pipeline.errors import RefusedError, UsageError
from pipeline.lake.tables import Lake
from pipeline.registry.model_files import MODEL_FILE, checksum, flavour_of, read_artefacts, read_example, write_model
from pipeline.registry.records import PROMOTIONS_SCHEMA, TAG, Loaded, ModelSummary, ModelVersion, Promotion, Provenance
from pipeline.settings import Settings

CHAMPION = "champion"
CHALLENGER = "challenger"
PROMOTIONS = "promotions"
EXAMPLE_ROWS = 5
_PENDING = f"{TAG}pending"


class Registry:
    """The verbs on registered models. Cheap to make once its database exists.

    Args:
        settings: where MLflow and the lake are.
        now: the clock of the record.
    """

    def __init__(self, settings: Settings, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._uri = settings.mlflow_uri
        if self._uri.startswith("sqlite:///"):
            Path(self._uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        self._artifacts = settings.artifacts_uri
        self._client = _client(self._uri)
        self._lake = Lake(settings)
        self._now = now

    # Read

    def versions(self, name: str) -> list[ModelVersion]:
        """Every registered version, newest first; none if the model is unknown."""
        aliases = self._aliases(name)
        return [_describe(entry, aliases) for entry in self._entries(name)]

    def get(self, name: str, which: int | str = CHAMPION) -> ModelVersion:
        """One version, by number or alias.

        Raises:
            RefusedError: if there is none.
        """
        return _describe(self._entry(name, which), self._aliases(name))

    def aliases(self, name: str) -> dict[str, int]:
        """The versions that the model's aliases point to: one short question, for whoever asks again and again."""
        return self._aliases(name)

    def champion(self, name: str) -> ModelVersion | None:
        """The version in use, if any."""
        return self.get(name, CHAMPION) if CHAMPION in self._aliases(name) else None

    def challenger(self, name: str) -> ModelVersion | None:
        """The version that asks to replace the champion, if any."""
        return self.get(name, CHALLENGER) if CHALLENGER in self._aliases(name) else None

    def history(self, name: str) -> list[Promotion]:
        """The model's promotions, rollbacks and refusals, oldest first."""
        if not self._lake.exists(PROMOTIONS):
            return []
        rows = self._lake.read(PROMOTIONS).to_pylist()
        return sorted((Promotion.from_row(r) for r in rows if r["model"] == name), key=lambda entry: entry.at)

    def models(self) -> list[ModelSummary]:
        """Every registered model, by name."""
        summaries = []
        for model in self._client.search_registered_models():
            versions = self.versions(model.name)
            by_alias = {alias: version for version in versions for alias in version.aliases}
            history = self.history(model.name)
            summaries.append(
                ModelSummary(
                    model.name,
                    by_alias.get(CHAMPION),
                    by_alias.get(CHALLENGER),
                    len(versions),
                    history[-1] if history else None,
                )
            )
        return sorted(summaries, key=lambda summary: summary.name)

    def load(self, name: str, which: int | str = CHAMPION) -> Loaded:
        """Fetch a version, hold its files against the registry's checksum and build it from allowed types only.

        Raises:
            RefusedError: if there is no such version, its files are not what was registered, or they hold other types.
        """
        entry = self._entry(name, which)
        flavour = flavour_of(entry.tags.get(f"{TAG}flavour", ""), _place(entry))
        with self._files(entry) as folder:
            described = _describe(entry, self._aliases(name))
            return Loaded(described, flavour.load(folder), read_artefacts(folder), read_example(folder))

    def artefacts(self, name: str, which: int | str = CHAMPION) -> Mapping[str, Any]:
        """The JSON files that were logged beside a model, checked like the model, which is not built.

        Raises:
            RefusedError: if there is no such version, or its files are not what was registered.
        """
        with self._files(self._entry(name, which)) as folder:
            return read_artefacts(folder)

    def model_file(self, name: str, which: int | str = CHAMPION) -> tuple[ModelVersion, bytes]:
        """The file of a model itself, checked, for use elsewhere.

        Raises:
            RefusedError: if there is no such version, or its files are not what was registered.
        """
        entry = self._entry(name, which)
        with self._files(entry) as folder:
            return _describe(entry, self._aliases(name)), (folder / MODEL_FILE).read_bytes()

    # Write

    def log_challenger(
        self,
        name: str,
        model: Any,
        *,
        provenance: Provenance,
        example: pd.DataFrame,
        metrics: Mapping[str, float],
        params: Mapping[str, object] | None = None,
        artefacts: Mapping[str, Any] | None = None,
        flavour: str = "sklearn",
    ) -> ModelVersion:
        """Register a trained model and let it ask to become champion.

        The same code on the same tables with the same seed, parameters and libraries is the same model: if it is
        registered already, that version is returned and nothing is stored, so a training that was killed after this
        step can run again.

        Args:
            example: a few rows of raw input, float64 and str columns only: the signature.
            metrics: what was measured, kept with the run and the version.
            params: what was chosen or given, part of what makes two trainings the same.
            artefacts: JSON files to travel with the model: file name -> content.

        Raises:
            UsageError: if the example has other column types, or the flavour is not known.
            RefusedError: if the model holds types that are not on the allow-list.
        """
        how = flavour_of(flavour, name)
        requirements = [f"{package}=={metadata.version(package)}" for package in how.packages]
        given = {key: str(value) for key, value in sorted((params or {}).items())}
        identity = [provenance.tags(), given, requirements, flavour]
        fingerprint = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        self._settle(name)
        known = [v for v in self._entries(name) if v.tags[f"{TAG}fingerprint"] == fingerprint]
        if known:
            number = int(known[0].version)
        else:
            with tempfile.TemporaryDirectory(prefix="aisle-model-") as temporary:
                folder = Path(temporary) / "model"
                write_model(folder, how, model, example.head(EXAMPLE_ROWS), artefacts or {}, requirements)
                tags = provenance.tags() | {
                    f"{TAG}flavour": flavour,
                    f"{TAG}fingerprint": fingerprint,
                    f"{TAG}sha256": checksum(folder),
                    f"{TAG}metrics": json.dumps({k: v if math.isfinite(v) else None for k, v in metrics.items()}),
                }
                number = self._register(name, folder, tags, metrics, given)
        if self._aliases(name).get(CHAMPION) != number:
            self._client.set_registered_model_alias(name, CHALLENGER, str(number))
        return self.get(name, number)

    def accept(self, name: str, version: int, figures: Mapping[str, Any]) -> None:
        """Note that the gate let a version through. It is not in use before it is promoted.

        Raises:
            RefusedError: if there is no such version.
        """
        self._entry(name, version)
        self._tag_figures(name, version, figures, accepted=True)

    def promote(
        self, name: str, version: int, *, by: str, reason: str, figures: Mapping[str, Any] | None = None
    ) -> Promotion:
        """Put a version in use, on record. A version that is in use already stays so, with the record it has.

        Raises:
            RefusedError: if there is no such version.
        """
        self._entry(name, version)
        self._settle(name)
        if figures is not None:
            self._tag_figures(name, version, figures, accepted=True)
        latest = self._latest_switch(name)
        if latest is not None and latest.version == version == self._aliases(name).get(CHAMPION):
            return latest
        return self._switch(name, "promote", version, by, reason, figures or {})

    def refuse(
        self, name: str, version: int, *, by: str, reason: str, figures: Mapping[str, Any] | None = None
    ) -> Promotion:
        """Put on record that a version was not let through. Saying so again with the same reason changes nothing.

        Raises:
            RefusedError: if there is no such version.
        """
        self._entry(name, version)
        self._settle(name)
        self._tag_figures(name, version, figures or {}, accepted=False)
        for entry in reversed(self.history(name)):
            if entry.version == version:
                if (entry.action, entry.reason) == ("refuse", reason):
                    return entry
                break
        record = self._record(name, "refuse", version, by, reason, figures or {})
        self._append(record)
        return record

    def rollback(self, name: str, *, by: str, reason: str, bad: int | None = None) -> Promotion:
        """Make the champion before this one champion again, by the record; once more goes one further back.

        Args:
            bad: the version to take out of use. With it the step can run again: if that version has been rolled back
                already, its record is returned. Without it, whatever is champion is rolled back.

        Raises:
            UsageError: without a reason.
            RefusedError: if there is no earlier champion, or `bad` is not in use.
        """
        if not reason.strip():
            raise UsageError("A rollback needs a reason", where=name, todo="say why: --reason …")
        self._settle(name)
        current = self._aliases(name).get(CHAMPION)
        if bad is not None and bad != current:
            latest = self._latest_switch(name)
            if latest is not None and (latest.action, latest.previous, latest.version) == ("rollback", bad, current):
                return latest
            raise RefusedError(
                f"Version {bad} is not in use, so it cannot be rolled back", where=name, observed=f"champion {current}"
            )
        there = {int(entry.version) for entry in self._entries(name)} - {current}
        earlier = [version for version in self._line(name)[:-1] if version in there]
        if current is None or not earlier:
            raise RefusedError(
                f"There is no earlier champion of {name!r} to go back to",
                where=name,
                observed="no champion" if current is None else f"champion {current} is the first on record",
                todo=f"promote a version by hand: aisle promote {name} VERSION (aisle models lists them)",
            )
        return self._switch(name, "rollback", earlier[-1], by, reason, {})

    # Inside

    @contextmanager
    def _files(self, entry: Any) -> Iterator[Path]:
        """A version's files, held against the registry's checksum."""
        with tempfile.TemporaryDirectory(prefix="aisle-model-") as temporary:
            location = self._client.get_model_version_download_uri(entry.name, entry.version)
            folder = Path(
                mlflow.artifacts.download_artifacts(
                    artifact_uri=location, dst_path=temporary, tracking_uri=self._uri, registry_uri=self._uri
                )
            )
            observed, registered = checksum(folder), entry.tags.get(f"{TAG}sha256")
            if observed != registered:
                raise RefusedError(
                    "The model's files are not the ones that were registered",
                    where=f"{_place(entry)}, {location}",
                    observed=observed,
                    allowed=registered or "a version with a checksum",
                    todo=f"restore the files, or put an earlier version in use: aisle rollback {entry.name} --reason …",
                )
            yield folder

    def _register(
        self, name: str, folder: Path, tags: Mapping[str, str], metrics: Mapping[str, float], params: Mapping[str, str]
    ) -> int:
        """Store a model folder. The version, made last and with all its tags at once, is the only step that counts."""
        at = int(self._now().timestamp() * 1000)
        run = self._client.create_run(self._experiment(name), run_name=name, tags=dict(tags))
        self._client.log_batch(
            run.info.run_id,
            metrics=[Metric(key, float(value), at, 0) for key, value in metrics.items()],
            params=[Param(key, value) for key, value in params.items()],
        )
        logged = self._client.create_logged_model(run.info.experiment_id, name, run.info.run_id, params=dict(params))
        self._client.log_model_artifacts(logged.model_id, str(folder))
        self._client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
        self._client.set_terminated(run.info.run_id)
        # The files' own address as source: a `models:/` address would be looked up through MLflow's global settings.
        entry = self._client.create_model_version(
            name, logged.artifact_location, run.info.run_id, tags=dict(tags), model_id=logged.model_id
        )
        return int(entry.version)

    def _experiment(self, name: str) -> str:
        """The model's experiment and registered model, made where they are missing."""
        if self._client.get_experiment_by_name(name) is None:
            # A server decides for itself where files go.
            location = None if self._uri.startswith("http") else f"{self._artifacts}/{name}"
            _unless_there(lambda: self._client.create_experiment(name, artifact_location=location))
        _unless_there(lambda: self._client.create_registered_model(name))
        experiment: Any = self._client.get_experiment_by_name(name)
        return str(experiment.experiment_id)

    def _switch(
        self, name: str, action: str, version: int, by: str, reason: str, figures: Mapping[str, Any]
    ) -> Promotion:
        record = self._record(name, action, version, by, reason, figures)
        note = json.dumps(record.as_row() | {"at": record.at.isoformat()})
        self._client.set_registered_model_tag(name, _PENDING, note)
        self._client.set_registered_model_alias(name, CHAMPION, str(version))
        self._settle(name)
        return record

    def _settle(self, name: str) -> None:
        """Complete a switch whose alias has moved, forget one whose alias has not."""
        model = self._registered(name)
        if model is None or _PENDING not in model.tags:
            return
        note = json.loads(model.tags[_PENDING])
        record = Promotion.from_row(note | {"at": datetime.fromisoformat(note["at"])})
        aliases = {alias: int(version) for alias, version in model.aliases.items()}
        if aliases.get(CHAMPION) == record.version:
            if record not in self.history(name):
                self._append(record)
            if aliases.get(CHALLENGER) == record.version:
                self._client.delete_registered_model_alias(name, CHALLENGER)
        self._client.delete_registered_model_tag(name, _PENDING)

    def _record(
        self, name: str, action: str, version: int, by: str, reason: str, figures: Mapping[str, Any]
    ) -> Promotion:
        history = self.history(name)
        at = self._now().astimezone(UTC)
        if history:
            # The record is read in the order of its times, which clocks of several machines would not keep.
            at = max(at, history[-1].at + timedelta(microseconds=1))
        return Promotion(at, name, action, version, self._aliases(name).get(CHAMPION), by, reason, dict(figures))

    def _append(self, record: Promotion) -> None:
        self._lake.append(PROMOTIONS, pa.Table.from_pylist([record.as_row()], schema=PROMOTIONS_SCHEMA))

    def _latest_switch(self, name: str) -> Promotion | None:
        switches = [entry for entry in self.history(name) if entry.action != "refuse"]
        return switches[-1] if switches else None

    def _line(self, name: str) -> list[int]:
        """The champions that led to today's, oldest first: a rollback takes the last ones off."""
        line: list[int] = []
        for entry in self.history(name):
            if entry.action == "promote":
                line.append(entry.version)
            elif entry.action == "rollback":
                while line and line[-1] != entry.version:
                    line.pop()
        current = self._aliases(name).get(CHAMPION)
        if current is not None and line[-1:] != [current]:
            line.append(current)  # put in use past us, in MLflow's own pages
        return line

    def _tag_figures(self, name: str, version: int, figures: Mapping[str, Any], *, accepted: bool) -> None:
        self._client.set_model_version_tag(name, str(version), f"{TAG}gate", json.dumps(figures, sort_keys=True))
        self._client.set_model_version_tag(name, str(version), f"{TAG}accepted", json.dumps(accepted))

    def _registered(self, name: str) -> Any:
        try:
            return self._client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    def _aliases(self, name: str) -> dict[str, int]:
        model = self._registered(name)
        return {} if model is None else {alias: int(version) for alias, version in model.aliases.items()}

    def _entry(self, name: str, which: int | str) -> Any:
        """MLflow's record of a version."""
        number = which if isinstance(which, int) else self._aliases(name).get(which)
        entries = self._entries(name)
        for entry in entries:
            if int(entry.version) == number:
                return entry
        raise RefusedError(
            f"The model {name!r} has no {f'version {which}' if isinstance(which, int) else which}",
            where="model registry",
            observed=f"versions {', '.join(str(e.version) for e in entries)}" if entries else "no versions at all",
            todo="see what there is: aisle models" if entries else f"train one: aisle train {name}",
        )

    def _entries(self, name: str) -> list[Any]:
        """MLflow's records of the versions that were registered here, newest first."""
        if not re.fullmatch(r"\w+", name):
            raise UsageError(
                "A model's name is a word", where="model registry", observed=name, allowed="a-z, 0-9 and _"
            )
        entries: list[Any] = []
        token = None
        while True:
            page = self._client.search_model_versions(f"name = '{name}'", page_token=token)
            entries += [entry for entry in page if f"{TAG}fingerprint" in entry.tags]
            token = page.token
            if not token:
                return sorted(entries, key=lambda entry: -int(entry.version))


def _place(entry: Any) -> str:
    return f"{entry.name} version {entry.version}"


def _describe(entry: Any, aliases: Mapping[str, int]) -> ModelVersion:
    tags = entry.tags
    return ModelVersion(
        name=entry.name,
        version=int(entry.version),
        aliases=tuple(sorted(alias for alias, number in aliases.items() if number == int(entry.version))),
        registered_at=datetime.fromtimestamp(entry.creation_timestamp / 1000, UTC),
        provenance=Provenance.from_tags(tags),
        metrics=json.loads(tags[f"{TAG}metrics"]),
        accepted=json.loads(tags.get(f"{TAG}accepted", "null")),
        decision=json.loads(tags.get(f"{TAG}gate", "{}")),
    )


def _client(uri: str) -> MlflowClient:
    """A client of the registry, one process after the other where it is a SQLite file.

    Making the client makes the file's tables if there are none: two processes that found none would both begin to.
    """
    scheme = "sqlite:///"
    if not uri.startswith(scheme):
        return MlflowClient(tracking_uri=uri, registry_uri=uri)
    file = Path(uri.removeprefix(scheme))
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock"):
        return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _unless_there(make: Callable[[], object]) -> None:
    """Make something that another process may be making too."""
    try:
        make()
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
