"""The model registry: log, compare, promote, roll back, load.

MLflow holds runs, model files, versions and the aliases `champion` and `challenger`. The lake's table `promotions`
holds what MLflow does not keep: who put which version in use, when and why, and what a gate refused.

The alias decides which version serves, so a switch happens when the alias moves. A switch is written in four steps: a
tag with the intended record on the registered model, the alias, the record in `promotions`, the removal of the tag. If
it is killed in between, the next write finishes it: it appends the record if the alias has moved, else drops the tag.
"""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import RefusedError, UsageError
from pipeline.lake.tables import Lake
from pipeline.registry.cards import DECISION_FILES, TRAINING_FILES, decision_card, files_of, training_card
from pipeline.registry.model_files import MODEL_FILE, checksum, flavour_of, read_artefacts, read_example, write_model
from pipeline.registry.promotions import PromotionHistory
from pipeline.registry.records import (
    NO_EVIDENCE,
    TAG,
    Evidence,
    Loaded,
    ModelSummary,
    ModelVersion,
    Promotion,
    Provenance,
)
from pipeline.registry.shown import Shown
from pipeline.registry.store import FORMAT, ModelStore, describe, place

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.settings import Settings

CHAMPION = "champion"
CHALLENGER = "challenger"
EXAMPLE_ROWS = 5
_PENDING = f"{TAG}pending"


class Registry:
    """The operations on registered models. Constructing one is cheap once MLflow's database exists.

    Args:
        settings: where MLflow and the lake are.
        now: the clock that timestamps versions and records.
    """

    def __init__(self, settings: Settings, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._store = ModelStore(settings)
        self._lake = Lake(settings)
        self._promotions = PromotionHistory(self._lake, now)
        self._now = now

    # Read

    def versions(self, name: str) -> list[ModelVersion]:
        """Every registered version, newest first; none if the model is unknown."""
        aliases = self._store.aliases(name)
        return [describe(entry, aliases) for entry in self._store.entries(name)]

    def get(self, name: str, which: int | str = CHAMPION) -> ModelVersion:
        """One version, by number or alias.

        Raises:
            RefusedError: if there is none.
        """
        return describe(self._store.entry(name, which), self._store.aliases(name))

    def aliases(self, name: str) -> dict[str, int]:
        """The version that each of the model's aliases points to: a single cheap request, suited to polling."""
        return self._store.aliases(name)

    def champion(self, name: str) -> ModelVersion | None:
        """The version in use, if any."""
        return self.get(name, CHAMPION) if CHAMPION in self._store.aliases(name) else None

    def challenger(self, name: str) -> ModelVersion | None:
        """The version that was trained to replace the champion, if any."""
        return self.get(name, CHALLENGER) if CHALLENGER in self._store.aliases(name) else None

    def history(self, name: str) -> list[Promotion]:
        """The model's promotions, rollbacks and refusals, oldest first."""
        return self._promotions.of(name)

    def models(self) -> list[ModelSummary]:
        """Every registered model, by name."""
        summaries = []
        for name in self._store.names():
            versions = self.versions(name)
            by_alias = {alias: version for version in versions for alias in version.aliases}
            history = self.history(name)
            summaries.append(
                ModelSummary(
                    name,
                    by_alias.get(CHAMPION),
                    by_alias.get(CHALLENGER),
                    len(versions),
                    history[-1] if history else None,
                )
            )
        return sorted(summaries, key=lambda summary: summary.name)

    def load(self, name: str, which: int | str = CHAMPION, trusted_types: Sequence[str] = ()) -> Loaded:
        """Fetch a version, verify its files against the registry's checksum and build it from trusted types only.

        Args:
            name: of the registered model.
            which: a version or an alias.
            trusted_types: this project's types that its file may hold, as the model's specification names them.

        Raises:
            RefusedError: if there is no such version, its files are not what was registered, or they hold other types.
        """
        entry = self._store.entry(name, which)
        flavour = flavour_of(entry.tags.get(f"{TAG}flavour", ""), place(entry))
        with self._store.files(entry) as folder:
            described = describe(entry, self._store.aliases(name))
            return Loaded(described, flavour.load(folder, trusted_types), read_artefacts(folder), read_example(folder))

    def artefacts(self, name: str, which: int | str = CHAMPION) -> Mapping[str, Any]:
        """The JSON files that were logged with a model, verified by checksum; the model itself is not built.

        Raises:
            RefusedError: if there is no such version, or its files are not what was registered.
        """
        with self._store.files(self._store.entry(name, which)) as folder:
            return read_artefacts(folder)

    def model_file(self, name: str, which: int | str = CHAMPION) -> tuple[ModelVersion, bytes]:
        """A version and the bytes of its model file, verified by checksum, for use outside this code.

        Raises:
            RefusedError: if there is no such version, or its files are not what was registered.
        """
        entry = self._store.entry(name, which)
        with self._store.files(entry) as folder:
            return describe(entry, self._store.aliases(name)), (folder / MODEL_FILE).read_bytes()

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
        content: str | None = None,
        evidence: Evidence = NO_EVIDENCE,
        trusted_types: Sequence[str] = (),
        flavour: str = "sklearn",
    ) -> ModelVersion:
        """Register a trained model as challenger.

        The same code on the same rows with the same as-of day, seed, parameters and libraries is the same model: if it
        is registered already, that version is returned and nothing is stored, so a training that was killed after this
        step can run again.

        Args:
            name: of the registered model.
            model: the fitted estimator.
            provenance: the tables, code and settings that it was trained with.
            example: some rows of raw input, float64 and str columns only; the signature is derived from them.
            metrics: what was measured, kept with the run and the version.
            params: choices that make two trainings on the same rows different models.
            artefacts: JSON files to travel with the model: file name -> content.
            content: digest of the training rows; None: the versions of its tables identify them.
            evidence: why the model was chosen, for MLflow's pages.
            trusted_types: this project's types that its file may hold.
            flavour: how it is saved and loaded, a name in `model_files`.

        Raises:
            UsageError: if the example has other column types, or the flavour is not known.
            RefusedError: if the model holds types that are not on the allow-list.
        """
        how = flavour_of(flavour, name)
        requirements = [f"{package}=={metadata.version(package)}" for package in how.packages]
        given = {key: str(value) for key, value in sorted((params or {}).items())}
        identity = [provenance.identity(content), given, requirements, flavour]
        fingerprint = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        self._settle(name)
        alike = [v for v in self._store.entries(name) if v.tags[f"{TAG}fingerprint"] == fingerprint]
        known = [v for v in alike if self._store.is_signed(v)]
        if known:
            number = int(known[0].version)
        else:
            with tempfile.TemporaryDirectory(prefix="aisle-model-") as temporary:
                folder = Path(temporary) / "model"
                write_model(
                    folder, how, model, example.head(EXAMPLE_ROWS), artefacts or {}, requirements, trusted_types
                )
                sha256 = checksum(folder)
                tags = (
                    provenance.tags()
                    | self._store.signature(name, sha256)
                    | {
                        f"{TAG}format": FORMAT,
                        f"{TAG}flavour": flavour,
                        f"{TAG}fingerprint": fingerprint,
                        f"{TAG}sha256": sha256,
                        f"{TAG}metrics": json.dumps({k: v if math.isfinite(v) else None for k, v in metrics.items()}),
                    }
                )
                card = training_card(name, provenance, metrics, given, evidence)
                shown = Shown(
                    card.title,
                    card.markdown(),
                    {table: (version, self._lake.address(table)) for table, version in provenance.tables.items()},
                    list(evidence.folds.values()),
                    files_of(card, TRAINING_FILES, "A training, registered as a challenger"),
                )
                number = self._store.register(name, folder, tags, metrics, given, self._now(), shown)
        if self._store.aliases(name).get(CHAMPION) != number:
            self._store.set_alias(name, CHALLENGER, number)
        return self.get(name, number)

    def accept(self, name: str, version: int, figures: Mapping[str, Any]) -> None:
        """Record that the gate accepted a version. It is not in use before it is promoted.

        Raises:
            RefusedError: if there is no such version.
        """
        entry = self._store.entry(name, version)
        self._tag_figures(name, version, figures, accepted=True)
        self._show_decision(entry, figures, accepted=True)

    def promote(
        self, name: str, version: int, *, by: str, reason: str, figures: Mapping[str, Any] | None = None
    ) -> Promotion:
        """Put a version in use and record it. If it is in use already, nothing changes and its record is returned.

        Raises:
            RefusedError: if there is no such version.
        """
        self._store.entry(name, version)
        self._settle(name)
        if figures is not None:
            self._tag_figures(name, version, figures, accepted=True)
        latest = self._promotions.latest_switch(name)
        if latest is not None and latest.version == version == self._store.aliases(name).get(CHAMPION):
            return latest
        return self._switch(name, "promote", version, by, reason, figures or {})

    def refuse(
        self, name: str, version: int, *, by: str, reason: str, figures: Mapping[str, Any] | None = None
    ) -> Promotion:
        """Record that the gate refused a version. A repeated refusal for the same reason adds no record.

        Raises:
            RefusedError: if there is no such version.
        """
        shown_at = self._store.entry(name, version)
        self._settle(name)
        self._tag_figures(name, version, figures or {}, accepted=False)
        self._show_decision(shown_at, figures or {}, accepted=False)
        for entry in reversed(self.history(name)):
            if entry.version == version:
                if (entry.action, entry.reason) == ("refuse", reason):
                    return entry
                break
        record = self._draft(name, "refuse", version, by, reason, figures or {})
        self._promotions.append(record)
        return record

    def rollback(self, name: str, *, by: str, reason: str, bad: int | None = None) -> Promotion:
        """Make the previous champion on record the champion again; each further call goes back one more.

        Args:
            bad: the version to take out of use. With it the call can be repeated safely: if that version has been
                rolled back already, the record of it is returned. None: the current champion is rolled back.

        Raises:
            UsageError: without a reason.
            RefusedError: if there is no earlier champion, or `bad` is not in use.
        """
        if not reason.strip():
            raise UsageError("A rollback needs a reason", where=name, todo="say why: --reason …")
        self._settle(name)
        current = self._store.aliases(name).get(CHAMPION)
        if bad is not None and bad != current:
            latest = self._promotions.latest_switch(name)
            if latest is not None and (latest.action, latest.previous, latest.version) == ("rollback", bad, current):
                return latest
            raise RefusedError(
                f"Version {bad} is not in use, so it cannot be rolled back", where=name, observed=f"champion {current}"
            )
        earlier = self.earlier_champions(name)
        if current is None or not earlier:
            raise RefusedError(
                f"There is no earlier champion of {name!r} to go back to",
                where=name,
                observed="no champion" if current is None else f"champion {current} is the first on record",
                todo=f"promote a version by hand: aisle promote {name} VERSION (aisle models lists them)",
            )
        return self._switch(name, "rollback", earlier[-1], by, reason, {})

    def sign(self, name: str, version: int) -> None:
        """Vouch for the present files of a version with the signing key.

        Raises:
            UsageError: if AISLE_SIGNING_KEY is not set.
            RefusedError: if there is no such version, or its files are not what was registered.
        """
        entry = self._store.entry(name, version)
        with self._store.files(entry, signed=False):
            tags = self._store.signature(name, entry.tags[f"{TAG}sha256"])
        if not tags:
            raise UsageError("There is no key to sign with", where="AISLE_SIGNING_KEY", todo="set it; see SECURITY.md")
        for tag, text in tags.items():
            self._store.set_version_tag(name, version, tag, text)

    def damaged_versions(self, name: str) -> dict[int, str]:
        """For each version whose files are missing or not what was registered, the reason."""
        found = {}
        for entry in self._store.entries(name):
            try:
                with self._store.files(entry, signed=False):
                    pass
            except RefusedError as error:
                found[int(entry.version)] = error.what
        return found

    def earlier_champions(self, name: str) -> list[int]:
        """The versions to which a rollback could go back, oldest first."""
        current = self._store.aliases(name).get(CHAMPION)
        existing = {int(entry.version) for entry in self._store.entries(name)} - {current}
        return [version for version in self._promotions.line(name, current)[:-1] if version in existing]

    def is_signed(self, name: str, version: int) -> bool:
        """Whether a version is signed by a key in use; always so without a signing key."""
        return self._store.is_signed(self._store.entry(name, version))

    def withdraw(self, name: str, version: int, *, by: str, reason: str) -> Promotion | None:
        """Forget a version whose files are damaged. If it is in use, the champion before it is put in use instead.

        Returns:
            The record of the rollback; None if the version was not in use, or there is no earlier champion.
        """
        record = None
        if self._store.aliases(name).get(CHAMPION) == version:
            try:
                record = self.rollback(name, by=by, reason=reason, bad=version)
            except RefusedError:
                self._store.delete_alias(name, CHAMPION)
        self._store.delete_version(name, version)
        return record

    # Inside

    def _switch(
        self, name: str, action: str, version: int, by: str, reason: str, figures: Mapping[str, Any]
    ) -> Promotion:
        record = self._draft(name, action, version, by, reason, figures)
        note = json.dumps(record.as_row() | {"at": record.at.isoformat()})
        self._store.set_tag(name, _PENDING, note)
        self._store.set_alias(name, CHAMPION, version)
        self._settle(name)
        return record

    def _settle(self, name: str) -> None:
        """Finish a switch that was interrupted: record it if the alias has moved, discard it if not."""
        model = self._store.registered(name)
        if model is None or _PENDING not in model.tags:
            return
        note = json.loads(model.tags[_PENDING])
        record = Promotion.from_row(note | {"at": datetime.fromisoformat(note["at"])})
        aliases = {alias: int(version) for alias, version in model.aliases.items()}
        if aliases.get(CHAMPION) == record.version:
            if record not in self.history(name):
                self._promotions.append(record)
            if aliases.get(CHALLENGER) == record.version:
                self._store.delete_alias(name, CHALLENGER)
        self._store.delete_tag(name, _PENDING)

    def _tag_figures(self, name: str, version: int, figures: Mapping[str, Any], *, accepted: bool) -> None:
        self._store.set_version_tag(name, version, f"{TAG}gate", json.dumps(figures, sort_keys=True))
        self._store.set_version_tag(name, version, f"{TAG}accepted", json.dumps(accepted))

    def _show_decision(self, entry: Any, figures: Mapping[str, Any], *, accepted: bool) -> None:
        """Put the gate's decision on MLflow's pages: as description of the version, and as files of its run."""
        card = decision_card(entry.name, int(entry.version), figures, accepted=accepted)
        self._store.show(entry, card.markdown(), files_of(card, DECISION_FILES, "A decision of the gate"))

    def _draft(
        self, name: str, action: str, version: int, by: str, reason: str, figures: Mapping[str, Any]
    ) -> Promotion:
        champion = self._store.aliases(name).get(CHAMPION)
        return self._promotions.draft(name, action, version, champion, by=by, reason=reason, figures=figures)
