"""Files that are replaced whole or not at all."""

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Replaces a file in one step, for good; only its owner may read it."""
    replace_file(path, content, mode=0o600)


def replace_file(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Replaces a file in one step, for good.

    A link is followed, and what it leads to is replaced. Without `mode` the file keeps the mode
    and, where we may, the owner that it has; a new one is its owner's alone.

    Raises:
        OSError: it cannot be written; the file is as it was.
    """
    path = path.resolve()
    kept = path.stat() if mode is None and path.exists() else None
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if kept is not None:
            Path(name).chmod(stat.S_IMODE(kept.st_mode))
            with suppress(OSError, AttributeError):
                os.chown(name, kept.st_uid, kept.st_gid)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
