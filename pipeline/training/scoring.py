"""Scoring with the champions, the same for every domain."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.ingestion.number_style import number_style
from pipeline.lake.migrations import migrate
from pipeline.lake.tables import Lake, TableRef
from pipeline.logs import log_event, log_step
from pipeline.registry.client import Registry
from pipeline.reports.page import REPORTS, framed
from pipeline.reports.parts import parts_of, remove_other_parts
from pipeline.reports.phrasing import written_in
from pipeline.training.lifecycle import dated
from pipeline.training.page_warnings import page_warnings
from pipeline.training.related_pages import model_links, related_pages
from pipeline.training.spec import Domain, OwnResults, Run

if TYPE_CHECKING:
    from datetime import date

    from pipeline.registry.records import Loaded, ModelVersion
    from pipeline.settings import Settings

log = logging.getLogger(__name__)


def write_report(settings: Settings, domain: Domain, as_of: date) -> str:
    """Write a domain's page of a scored day and return its path below home.

    At its top are the warnings of the deliveries that it builds on, and the drift of the champions.

    Raises:
        RefusedError: if the day is not scored.
    """
    lake = Lake(settings)
    migrate(lake)
    # Whoever has the page open still needs the parts that it was written with.
    open_parts = parts_of(lake, f"{REPORTS}/{domain.name}/{as_of}.html")
    with log_step(log, "write report", domain=domain.name, as_of=as_of) as result:
        with written_in(number_style(settings, domain.input_table)):
            warnings = page_warnings(settings, domain, as_of)
            result["warnings"] = len(warnings)
            with framed(warnings, related_pages(domain), model_links(settings, domain)):
                page = domain.steps().write_report(settings, as_of)
        remove_other_parts(lake, page, open_parts | parts_of(lake, page))
        result["page"] = page
    return page


class RegisteredChampions:
    """The versions in use when this object was made; a later promotion does not change them."""

    def __init__(self, settings: Settings, domain: Domain) -> None:
        self._settings, self._domain = settings, domain
        self._loaded: dict[str, Loaded] = {}
        self.versions: Mapping[str, ModelVersion] = {
            name: version for name in domain.model_names if (version := self._registry.champion(name))
        }

    @cached_property
    def _registry(self) -> Registry:
        return Registry(self._settings)

    def version(self, model: str) -> ModelVersion | None:
        """The version in use; None without a champion."""
        return self.versions.get(model)

    def load(self, model: str) -> Loaded:
        """The model in memory, verified.

        Raises:
            KeyError: if it has no champion.
        """
        if model not in self._loaded:
            trusted = self._domain.entry(model).spec().trusted_types
            self._loaded[model] = self._registry.load(model, self.versions[model].version, trusted)
        return self._loaded[model]

    def artefacts(self, model: str) -> Mapping[str, Any]:
        """The JSON files stored with the model, verified; the model itself is not built.

        Raises:
            KeyError: if it has no champion.
        """
        return self._registry.artefacts(model, self.versions[model].version)


def score(settings: Settings, domain: Domain, as_of: date) -> TableRef | None:
    """Write a domain's results as of a day; that day of the table is replaced. None while a champion is missing.

    Each row has `as_of` and the version that made it: `model_version`, or `<model>_version` for each of several.
    Models with a table of their own fill it as well; one without a champion is left out.

    Raises:
        RefusedError: if the day's features are missing.
    """
    champions = RegisteredChampions(settings, domain)
    if missing := [name for name in domain.required_models if champions.version(name) is None]:
        log_event(log, "not scored", domain=domain.name, as_of=as_of, without_champion=",".join(missing))
        return None
    lake = Lake(settings)
    migrate(lake)
    with log_step(log, "score", table=domain.results_table, as_of=as_of) as result:
        run = Run(settings, as_of, {domain.features_table: lake.version(domain.features_table)})
        rows = dated(domain.steps().score(run, champions), as_of)
        models = domain.required_models
        for name in models:
            column = "model_version" if len(models) == 1 else f"{name}_version"
            version = champions.versions[name].version
            rows = rows.append_column(column, pa.array([version] * rows.num_rows, pa.int64()))
        written = lake.replace(domain.results_table, {"as_of": [as_of]}, rows)
        result |= {"rows": rows.num_rows, "version": written.version}
    for entry in domain.models:
        for results in entry.results:
            _score_own(lake, entry.name, results, run, champions)
    return written


def _score_own(lake: Lake, model: str, results: OwnResults, run: Run, champions: RegisteredChampions) -> None:
    """Fill a table of one model, if it has a champion."""
    champion = champions.version(model)
    if champion is None:
        log_event(log, "not scored", table=results.table, as_of=run.as_of, without_champion=model)
        return
    with log_step(log, "score", table=results.table, as_of=run.as_of) as result:
        rows = dated(results.score()(run, champions), run.as_of)
        rows = rows.append_column("model_version", pa.array([champion.version] * rows.num_rows, pa.int64()))
        written = lake.replace(results.table, {"as_of": [run.as_of]}, rows)
        result |= {"rows": rows.num_rows, "version": written.version}
