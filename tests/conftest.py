"""Fixtures that several test files share."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without models. To make one takes seconds, to copy it none."""
    from pipeline.registry import Registry

    home = tmp_path_factory.mktemp("mlflow")
    Registry(Settings(home=str(home))).models()
    return home / "mlflow.db"


@pytest.fixture
def home(tmp_path: Path, empty_mlflow: Path) -> Settings:
    """Settings of an empty home whose model registry is ready."""
    (tmp_path / "home").mkdir()
    shutil.copy(empty_mlflow, tmp_path / "home" / "mlflow.db")
    return Settings(home=str(tmp_path / "home"), code_version="abc123")
