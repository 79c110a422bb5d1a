"""One home, one daemon: a file lock that the system gives back however the process ends."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

PATIENCE: Final = timedelta(milliseconds=500)
"""How long taking the lock is tried: a command that looks whether it is held holds it for a moment."""

if sys.platform == "win32":
    import msvcrt

    _FAR: Final = 1 << 30
    """Windows locks bytes, and locked bytes cannot be read: lock one far behind the text."""

    def _try(descriptor: int, *, shared: bool) -> bool:
        del shared  # msvcrt knows exclusive locks only
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try(descriptor: int, *, shared: bool) -> bool:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class Holder(Struct, frozen=True):
    """The process that has the lock; `since` in UTC microseconds."""

    pid: int
    since: int

    def __str__(self) -> str:
        """Who it is, for a sentence."""
        start = datetime.fromtimestamp(self.since / 1_000_000, UTC)
        return f"process {self.pid} since {start:%Y-%m-%d %H:%M:%S} UTC"


class LockHeld(Exception):
    """Another process has the lock; `holder` is None while it is just taking it."""

    def __init__(self, holder: Holder | None) -> None:
        super().__init__(str(holder or "another process"))
        self.holder = holder


@contextmanager
def hold(path: Path, me: Holder) -> Iterator[None]:
    """Holds the lock for the time of the block.

    Raises:
        LockHeld: another process has it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        give_up = time.monotonic() + PATIENCE.total_seconds()
        while not _try(descriptor, shared=False):
            if time.monotonic() > give_up:
                raise LockHeld(_read(path))
            time.sleep(0.02)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, msgspec.json.encode(me), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def holder(path: Path) -> Holder | None:
    """Who holds the lock now, if anybody does."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        return None if _try(descriptor, shared=True) else _read(path)
    finally:
        os.close(descriptor)


def _read(path: Path) -> Holder | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Holder)
    except (OSError, msgspec.DecodeError):
        return None
