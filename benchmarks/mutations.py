"""How many planted faults the tests catch: each fault of planted_faults.py is planted alone, and its tests are run.

    python -m benchmarks.mutations [--only PATTERN] [--seconds 600]

The tree is copied to a temporary folder, where the faults are planted. First the tests are run without any: they must
pass, else a failure would say nothing. A fault that no test notices is listed as a survivor, and the exit code is 1.

Most of a run of a few tests is the import of libraries, so this process imports them once and forks for each run.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

from benchmarks.planted_faults import FAULTS, PlantedFault

ROOT = Path(__file__).resolve().parents[1]
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", ".aisle*", ".airflow*", "__pycache__", ".*_cache", ".hypothesis")
LIBRARIES = (
    *("deltalake", "evidently", "fastapi", "great_expectations", "hypothesis", "ibis", "mlflow", "pandas"),
    *("pyarrow.compute", "pytest", "scipy.stats", "sklearn.cluster", "skops.io", "uvicorn"),
)
NO_TELEMETRY = {"DO_NOT_TRACK": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "GX_ANALYTICS_ENABLED": "false"}
PASSED, FAILED, TIMED_OUT = 0, 1, -signal.SIGALRM
"""Exit codes of a run. Any other means that pytest ran no test or failed itself."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant the faults; 0 if all of them are caught, 1 if one is not, 2 if the list itself is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="PATTERN", help="regular expression on file and name of faults")
    parser.add_argument("--seconds", type=int, default=600, help="a run of tests that takes longer is a caught fault")
    given = parser.parse_args(arguments)
    faults = [fault for fault in FAULTS if re.search(given.only, f"{fault.file}: {fault.name}")]
    if not faults:
        parser.error(f"no fault matches {given.only!r}")
    os.environ |= NO_TELEMETRY
    for library in LIBRARIES:
        import_module(library)
    with tempfile.TemporaryDirectory(prefix="aisle-mutations-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=NOT_COPIED)
        errors = [error for fault in faults if (error := error_in_list(tree, fault))]
        for tests in dict.fromkeys(fault.tests for fault in faults) if not errors else ():
            code, _ = _run(tree, tests, given.seconds)
            print(
                f"{'passed' if code == PASSED else f'exit code {code}'} without a fault: {' '.join(tests)}", flush=True
            )
            if code != PASSED:
                errors.append(f"without a fault, pytest {' '.join(tests)} ends with exit code {code}")
        if errors:
            print("\n".join(errors))
            return 2
        survivors = [fault for fault in faults if not _is_caught(tree, fault, given.seconds)]
    caught = len(faults) - len(survivors)
    print(f"\n{caught} of {len(faults)} planted faults are caught ({caught / len(faults):.0%})")
    for fault in survivors:
        print(f"not caught: {fault.name} ({fault.file}; pytest {' '.join(fault.tests)})")
    return 1 if survivors else 0


def error_in_list(tree: Path, fault: PlantedFault) -> str:
    """Why a fault cannot be planted; "" if it can be."""
    file = tree / fault.file
    count = file.read_text(encoding="utf-8").count(fault.old) if file.exists() else 0
    return "" if count == 1 else f"{fault.name}: the old text occurs {count} times in {fault.file}: {fault.old!r}"


def _is_caught(tree: Path, fault: PlantedFault, seconds: int) -> bool:
    file = tree / fault.file
    original = file.read_text(encoding="utf-8")
    _write(file, original.replace(fault.old, fault.new))
    try:
        code, failed = _run(tree, fault.tests, seconds)
    finally:
        _write(file, original)
    # A fault that keeps pytest from running the tests does not show what they notice.
    caught = code in (FAILED, TIMED_OUT)
    result = f"caught by {failed or 'a run that did not end'}" if caught else f"NOT CAUGHT (exit code {code})"
    print(f"{fault.name}: {result}", flush=True)
    return caught


def _write(file: Path, text: str) -> None:
    """Write a module. Its compiled file goes, since Python knows it by second and size, which a fault may share."""
    file.write_text(text, encoding="utf-8")
    Path(cache_from_source(str(file))).unlink(missing_ok=True)


class _Failures:
    """A plugin of pytest that writes the failed test to a pipe."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Called by pytest for each result."""
        if report.failed:
            os.write(self._pipe, str(report.nodeid).encode())


def _run(tree: Path, tests: Sequence[str], seconds: int) -> tuple[int, str]:
    """Run tests in a copy of the tree, in a process of their own and up to the first failure.

    Returns:
        The exit code, and the test that failed.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        _become_pytest(tree, tests, seconds, writing)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as pipe:
        failed = pipe.read().decode()
    return os.waitstatus_to_exitcode(status), failed


def _become_pytest(tree: Path, tests: Sequence[str], seconds: int, pipe: int) -> None:
    """Turn this process, a fresh fork, into a run of tests. It never returns."""
    import pytest

    signal.alarm(seconds)
    os.chdir(tree)
    sys.path[0] = str(tree)
    for name in [name for name in sys.modules if name.partition(".")[0] == "benchmarks"]:
        del sys.modules[name]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    code = 3
    try:
        code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", f"--rootdir={tree}", *tests], [_Failures(pipe)]))
    finally:
        os._exit(code)


if __name__ == "__main__":
    raise SystemExit(main())
