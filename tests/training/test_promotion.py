"""Only a version that the gate accepted is promoted."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from pipeline.errors import RefusedError
from pipeline.registry.client import Registry
from pipeline.registry.records import Provenance
from pipeline.settings import Settings
from pipeline.training.lifecycle import promote

MODEL = "footfall_buyers"


@pytest.fixture
def version(home: Settings) -> int:
    """A registered version that the gate has not decided on."""
    rows = pd.DataFrame({"visitors": [1.0, 2.0, 3.0]})
    registered = Registry(home).log_challenger(
        MODEL,
        LinearRegression().fit(rows, np.array([1.0, 2.0, 3.0])),
        provenance=Provenance(date(2025, 5, 1), {"footfall": 0}, ("visitors",), 7, "abc123"),
        example=rows,
        metrics={"rmse": 1.0},
    )
    return registered.version


def test_a_version_that_the_gate_did_not_decide_on_is_not_promoted(home: Settings, version: int) -> None:
    with pytest.raises(RefusedError, match="not accepted this version") as error:
        promote(home, MODEL, version, by="test")
    assert error.value.observed == "the gate has not run"
    assert Registry(home).champion(MODEL) is None


def test_a_version_that_the_gate_refused_is_not_promoted(home: Settings, version: int) -> None:
    Registry(home).refuse(MODEL, version, by="gate", reason="too bad", figures={"reasons": ["too bad"]})
    with pytest.raises(RefusedError, match="not accepted this version") as error:
        promote(home, MODEL, version, by="test")
    assert error.value.observed == "too bad"
    assert Registry(home).champion(MODEL) is None


def test_a_version_that_the_gate_accepted_is_promoted_with_its_reasons(home: Settings, version: int) -> None:
    Registry(home).accept(MODEL, version, {"reasons": ["good", "first"]})
    promote(home, MODEL, version, by="test")
    champion = Registry(home).champion(MODEL)
    assert champion is not None
    assert champion.version == version
    (entry,) = Registry(home).history(MODEL)
    assert (entry.action, entry.by, entry.reason) == ("promote", "test", "good; first")
