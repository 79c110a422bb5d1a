"""The home folder: where a daemon keeps its data, and how others find that daemon.

Everything in it belongs to its owner alone (mode 0700). `endpoints.json` is written when a
daemon listens and removed when it stops; after a `kill -9` it stays behind, so it counts
only while the lock is held by the process that wrote it.
"""

import hashlib
import os
import secrets
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from stepwell.config import CONFIG_FILE
from stepwell.errors import Code, SetupError
from stepwell.files import write_private
from stepwell_server import lock

LONGEST_SOCKET: Final = 100
"""Bytes: the system's limit for a socket's path is 104 on macOS and 108 on Linux."""


class Endpoints(Struct, frozen=True, kw_only=True):
    """Where the live daemon of a home is reached; the content of `endpoints.json`.

    `grpc` is host:port, `http` and `mcp` are URLs, `socket` is the path for `stepwell mcp`, `page`
    is where people answer, without a path.
    `started_at` is in UTC microseconds.
    """

    pid: int
    started_at: int
    version: str
    grpc: str
    http: str
    mcp: str
    socket: str
    page: str = ""


@dataclass(frozen=True, slots=True)
class Home:
    """One home folder, by its absolute path. Nothing is made before `create`."""

    path: Path

    @property
    def config_file(self) -> Path:
        """The owner's settings."""
        return self.path / CONFIG_FILE

    @property
    def log_file(self) -> Path:
        """Where a daemon in the background writes what it has to say."""
        return self.path / "daemon.log"

    @property
    def lock_file(self) -> Path:
        """Locked by the daemon for as long as it lives."""
        return self.path / "daemon.lock"

    @property
    def endpoints_file(self) -> Path:
        """Names the live daemon."""
        return self.path / "endpoints.json"

    @property
    def token_file(self) -> Path:
        """Proves that a caller is the owner of the home."""
        return self.path / "owner.token"

    def create(self) -> None:
        """Makes the folder, readable by its owner only; one that is there becomes so.

        Raises:
            SetupError: it cannot be made, cannot be written, or others can look into it and it
                is not ours to change.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable(self.path, str(error)) from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise _unusable(self.path, "it is not writable for you")
        if sys.platform != "win32" and self.path.stat().st_mode & 0o077:
            try:
                self.path.chmod(0o700)
            except OSError as error:
                raise _unusable(
                    self.path, "others can look into it, and it is not yours to change that"
                ) from error

    @contextmanager
    def hold(self, *, since: int) -> Iterator[None]:
        """Owns the home for the time of the block; what a killed daemon left is cleared away.

        Raises:
            SetupError: HOME_IN_USE, saying who has it and what to do.
        """
        me = lock.Holder(os.getpid(), since)
        try:
            with lock.hold(self.lock_file, me):
                self.withdraw()
                yield
        except lock.LockHeld as held:
            raise self._in_use(held) from held

    def publish(self, endpoints: Endpoints) -> None:
        """Writes `endpoints.json`, whole or not at all."""
        write_private(self.endpoints_file, msgspec.json.encode(endpoints))

    def withdraw(self) -> None:
        """Removes `endpoints.json`."""
        self.endpoints_file.unlink(missing_ok=True)

    def holder(self) -> lock.Holder | None:
        """The daemon that owns the home now, whether or not it listens already."""
        return lock.holder(self.lock_file)

    def endpoints(self) -> Endpoints | None:
        """Where the live daemon listens; None when there is none, or it is not ready yet."""
        holder = self.holder()
        found = self._read_endpoints()
        return found if holder and found and found.pid == holder.pid else None

    def owner_token(self) -> str:
        """The owner's token, made at first use."""
        with suppress(FileNotFoundError):
            if found := self.token_file.read_text().strip():  # empty after a loss of power
                return found
        token = secrets.token_urlsafe(32)
        write_private(self.token_file, token.encode())
        return token

    def socket_path(self) -> Path:
        """Where the daemon's socket goes: into the home, or near it when its path is too long.

        Raises:
            SetupError: the folder that would hold it is not ours alone.
        """
        path = self.path / "mcp.sock"
        if len(os.fsencode(path)) <= LONGEST_SOCKET:
            return path
        digest = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]
        base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
        return _private_folder(Path(base) / f"stepwell-{digest}") / "mcp.sock"

    def _read_endpoints(self) -> Endpoints | None:
        try:
            return msgspec.json.decode(self.endpoints_file.read_bytes(), type=Endpoints)
        except (OSError, msgspec.DecodeError):
            return None

    def _in_use(self, held: lock.LockHeld) -> SetupError:
        found = self._read_endpoints()
        where = f"; it listens on {found.grpc} (gRPC) and {found.http} (HTTP)" if found else ""
        return SetupError(
            f"the home {self.path} is in use by {held}{where}. "
            f"Use that daemon, stop it with `stepwell down --home {self.path}`, "
            "or give this one another --home",
            code=Code.HOME_IN_USE,
            detail={"home": str(self.path), "pid": str(held.holder.pid if held.holder else "")},
        )


def locate_home(option: Path | None, environ: Mapping[str, str]) -> Home:
    """The home that is meant: the flag, else `STEPWELL_HOME`, else `~/.stepwell`."""
    named = option or Path(environ.get("STEPWELL_HOME") or "~/.stepwell")
    return Home(named.expanduser().absolute())


def _private_folder(path: Path) -> Path:
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise _unusable(
            path,
            "others can read it, and the socket would go there as the path of the home is too long",
        )
    return path


def _unusable(path: Path, reason: str) -> SetupError:
    return SetupError(
        f"{path} cannot hold a home: {reason}. Choose another with --home or STEPWELL_HOME",
        code=Code.INVALID_CONFIG,
    )
