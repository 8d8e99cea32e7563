"""Every planted fault can be planted: a list that fell behind the code would say nothing about the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.mutations import ROOT, error_in_list
from benchmarks.planted_faults import FAULTS, PlantedFault


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_can_be_planted(fault: PlantedFault) -> None:
    assert error_in_list(ROOT, fault) == ""
    tests, *_ = fault.tests
    assert (ROOT / tests).exists()


def test_a_fault_whose_text_is_gone_or_there_twice_is_told(tmp_path: Path) -> None:
    fault = PlantedFault("a name", "module.py", "old", "new", ("tests/test_module.py",))
    assert "occurs 0 times in module.py" in error_in_list(tmp_path, fault)
    (tmp_path / "module.py").write_text("old old")
    assert "occurs 2 times in module.py" in error_in_list(tmp_path, fault)
    (tmp_path / "module.py").write_text("old")
    assert error_in_list(tmp_path, fault) == ""
