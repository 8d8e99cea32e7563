"""`make bench`: run all benchmarks in sequence, each in its own process."""

from __future__ import annotations

import subprocess
import sys

BENCHMARKS = ("customers", "first_writers", "ingestion", "mutations", "open_data", "serving", "stores")


def main() -> int:
    """Run all benchmarks; return the exit code of the first that fails, else 0."""
    codes = [subprocess.call([sys.executable, "-m", f"benchmarks.{name}"]) for name in BENCHMARKS]
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    raise SystemExit(main())
