"""`make bench`: every benchmark, one after the other, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

BENCHMARKS = ("customers", "first_writers", "ingestion", "mutations", "open_data", "serving", "stores")


def main() -> int:
    """Run them all; the first failure is the exit code."""
    codes = [subprocess.call([sys.executable, "-m", f"benchmarks.{name}"]) for name in BENCHMARKS]
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    raise SystemExit(main())
