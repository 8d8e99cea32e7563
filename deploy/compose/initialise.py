"""Prepare the first start: folders that others only mount, the administrator's password, Airflow's database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def write_passwords(file: Path, password: str) -> None:
    """Store the administrator's password where the simple auth manager reads it, readable by this user only."""
    temporary = file.with_suffix(".new")
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps({"admin": password}), encoding="utf-8")
    temporary.replace(file)


def make_folders(airflow_home: Path, home: Path) -> None:
    """Make the folder for temporary files, and the one that the prediction service may write to."""
    for folder in (airflow_home / "tmp", home / "lake" / "predictions"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


if __name__ == "__main__":
    make_folders(Path(os.environ["AIRFLOW_HOME"]), Path(os.environ["AISLE_HOME"]))
    write_passwords(
        Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]), os.environ["AISLE_ADMIN_PASSWORD"]
    )
    raise SystemExit(subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=False).returncode)
