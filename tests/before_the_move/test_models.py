"""Models that were saved before modules moved load, and predict what they predicted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.domains import spec_of
from pipeline.errors import RefusedError
from pipeline.registry.model_files import checksum, flavour_of, read_example
from tests.before_the_move.extracted import EXPECTED, extract_models

NAMES = sorted(file.stem for file in EXPECTED.glob("*.json"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return extract_models(tmp_path_factory.mktemp("models"))


def expected(name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((EXPECTED / f"{name}.json").read_text(encoding="utf-8"))
    return record


def test_every_kind_of_model_is_there() -> None:
    kinds = {expected(name)["model"] for name in NAMES}
    assert kinds == {
        "customer_segments",
        "store_sales",
        "purchase_probability",
        "brand_choice",
        "purchase_quantity",
        "people_segments",
        "footfall_buyers",
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_model_predicts_what_it_predicted(models: Path, name: str) -> None:
    record, folder = expected(name), models / name
    assert checksum(folder) == record["sha256"]
    model = flavour_of("sklearn", name).load(folder, spec_of(record["model"]).trusted_types)
    example = read_example(folder)
    for method, answers in record["answers"].items():
        predicted = np.asarray(getattr(model, method)(example))
        if predicted.dtype.kind in "fiu":
            np.testing.assert_allclose(predicted, answers, rtol=1e-12)
        else:
            assert predicted.tolist() == answers


def test_types_of_one_model_are_not_trusted_in_another(models: Path) -> None:
    trusted = spec_of("footfall_buyers").trusted_types
    with pytest.raises(RefusedError, match=r"not trusted[^$]*LinearSplines"):
        flavour_of("sklearn", "").load(models / "purchase_probability", trusted)
