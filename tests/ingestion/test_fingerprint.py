"""The fingerprint of the rules changes with everything that decides what becomes of a delivery's rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts import CONTRACTS
from pipeline.ingestion.fingerprint import rules_fingerprint
from pipeline.ingestion.sources import NamedSource, load_sources
from pipeline.lake.files import Blob

JOINED = Blob("raw/states.csv", "0" * 64, 10)


@pytest.fixture
def source(till: Any) -> NamedSource:
    return load_sources(till.settings).get("transactions", "till")


def test_it_does_not_depend_on_where_files_are(till: Any, source: NamedSource) -> None:
    moved = replace(source, spec=source.spec.model_copy(update={"address": "elsewhere/{day}.csv"}), where="line 9")
    assert rules_fingerprint(till.settings, moved, None) == rules_fingerprint(till.settings, source, None)


def test_it_changes_with_each_rule(
    till: Any, source: NamedSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mapped(**changes: Any) -> NamedSource:
        return replace(source, spec=source.spec.model_copy(update=changes))

    settings = till.settings
    found = [
        rules_fingerprint(settings, source, None),
        rules_fingerprint(settings, source, JOINED),
        rules_fingerprint(settings, source, replace(JOINED, sha256="1" * 64)),
        rules_fingerprint(settings, replace(source, time_zone="UTC"), None),
        rules_fingerprint(settings, mapped(repeats="drop"), None),
        rules_fingerprint(settings, mapped(ignore=("*",)), None),
        rules_fingerprint(settings, mapped(options={}), None),
        rules_fingerprint(settings.model_copy(update={"expectations": tmp_path}), source, None),
    ]
    contract = CONTRACTS["transactions"]
    monkeypatch.setitem(CONTRACTS, "transactions", replace(contract, options={"merchandise": "^A"}))
    found.append(rules_fingerprint(settings, source, None))
    monkeypatch.setitem(CONTRACTS, "transactions", replace(contract, derived=contract.derived[:1]))
    found.append(rules_fingerprint(settings, source, None))
    assert len(set(found)) == len(found)
