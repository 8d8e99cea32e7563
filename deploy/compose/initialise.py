"""Prepare the first start of Airflow: migrate its database and store the administrator's password."""

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


if __name__ == "__main__":
    write_passwords(
        Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]), os.environ["AISLE_ADMIN_PASSWORD"]
    )
    raise SystemExit(subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=False).returncode)
