"""Which code is running, to be recorded with what it makes."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path

from pipeline.settings import Settings


def code_version(settings: Settings) -> str:
    """Which code is running: the configured commit, else the checkout's, else the package's version.

    A checkout may have been edited since its commit, so a digest of the package's source is added to it: two trainings
    count as the same only if the code was.
    """
    if settings.code_version:
        return settings.code_version
    package = Path(__file__).resolve().parent
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        digest.update(str(file.relative_to(package)).encode() + b"\0" + file.read_bytes())
    return f"{_commit(package.parent / '.git') or _package_version()}+{digest.hexdigest()[:8]}"


def _commit(git: Path) -> str:
    """The checked-out commit, read from git's own files; empty if there are none to read."""
    try:
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref: "):
            return head[:12]
        ref = head.removeprefix("ref: ")
        if (git / ref).exists():
            return (git / ref).read_text(encoding="utf-8").strip()[:12]
        packed = (git / "packed-refs").read_text(encoding="utf-8").splitlines()
        return next((line.split()[0][:12] for line in packed if line.endswith(f" {ref}")), "")
    except OSError:
        return ""


def _package_version() -> str:
    try:
        return metadata.version("aisle")
    except metadata.PackageNotFoundError:
        return "unknown"
