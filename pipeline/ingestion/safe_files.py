"""Open files that others may have written, without being led elsewhere.

Whoever may write into the folder of a source may also put a symbolic link there that names a file of this machine, a
pipe that never ends or a device. Such a thing is refused by its name and never opened.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from upath import UPath

from pipeline.errors import RefusedError

MAX_NAME_BYTES = 200
"""Of a file's name. File systems take 255, of which the names that are made of it need some."""
KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def printable(name: str) -> str:
    """Return a file's name that can be shown and stored: bytes that are not UTF-8 are written as `\\udcff`."""
    return name.encode("utf-8", "backslashreplace").decode()


def fault_of(path: UPath, folder: UPath) -> str | None:
    """Return why a file must not be opened, or None.

    Args:
        path: the file.
        folder: the folder that the source names; symbolic links within it are followed.
    """
    if printable(path.name) != path.name:
        return "its name has bytes that are not UTF-8"
    if len(path.name.encode()) > MAX_NAME_BYTES:
        return f"its name has more than {MAX_NAME_BYTES} bytes"
    if not isinstance(path, Path):
        return None  # a bucket has neither links nor devices
    try:
        target = path.resolve(strict=True)
    except FileNotFoundError:
        return "it is a symbolic link to nothing" if path.is_symlink() else None
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        return f"it cannot be followed ({error})"
    if not target.is_relative_to(Path(folder).resolve()):
        return "it is, or is in, a symbolic link that leads out of the source's folder"
    kind = stat.S_IFMT(target.lstat().st_mode)
    return None if kind == stat.S_IFREG else f"it is {KINDS.get(kind, 'no file')}"


def open_safely(path: UPath, folder: UPath) -> BinaryIO:
    """Open a file for reading, unless it must not be.

    Args:
        path: the file.
        folder: the folder that the source names.

    Raises:
        RefusedError: if it does not exist, may not be read, or must not be opened.
    """
    if fault := fault_of(path, folder):
        raise refusal(str(path), fault)
    try:
        if not isinstance(path, Path):
            remote: BinaryIO = path.open("rb")
            return remote
        # It may have been exchanged since it was looked at: it is not followed, and a pipe keeps nobody waiting.
        handle = os.open(path.resolve(), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise RefusedError("The delivery is no longer there", where=str(path), todo="put it back") from error
    except PermissionError as error:
        raise refusal(str(path), "this process may not read it") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise refusal(str(path), "it is no file")
    return os.fdopen(handle, "rb")


def refusal(where: str, fault: str) -> RefusedError:
    """Return the error for a file that must not be opened."""
    return RefusedError(
        "The delivery is refused by its name, and was not opened",
        where=printable(where),
        observed=fault,
        allowed=f"a file in the source's folder, with a name in UTF-8 of at most {MAX_NAME_BYTES} bytes",
        todo="remove or rename it, and ask the source what it is",
    )
