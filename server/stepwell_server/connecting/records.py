"""What `stepwell connect` has done, so that it can be undone to the byte."""

import hashlib
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from stepwell.files import write_private

FOLDER: Final = "connect"


class Record(Struct, frozen=True, kw_only=True):
    """One change of a client's configuration.

    `backup` is the copy of what was there, `existed` whether there was a file at all; `wrote` is the
    SHA-256 of what was written, `mark` what is around our settings, `secrets` what was stored.
    `settings` and `settings_wrote` are the same of `config.toml`; None is no file.
    """

    path: str
    backup: str
    existed: bool
    wrote: str
    mark: str
    settings: str | None
    settings_wrote: str
    servers: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()


class Records:
    """The changes of one client, the last one last."""

    def __init__(self, home: Path, client: str) -> None:
        self._folder = home / FOLDER
        name = client if "/" not in client and ":" not in client else digest(client.encode())[:16]
        self._file = self._folder / f"{name}.json"

    def all(self) -> list[Record]:
        """Every change that was not undone."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=list[Record])
        except FileNotFoundError:
            return []

    def add(self, record: Record, content: bytes) -> None:
        """Keeps a change and what was there before it."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        write_private(self._folder / record.backup, content)
        self._write([*self.all(), record])

    def content(self, record: Record) -> bytes:
        """What was there before a change."""
        return (self._folder / record.backup).read_bytes()

    def drop_last(self) -> None:
        """Forgets the last change."""
        *rest, last = self.all()
        self._write(rest)
        (self._folder / last.backup).unlink(missing_ok=True)

    def next_backup(self) -> str:
        """A name for the next copy."""
        return f"{self._file.stem}-{len(self.all()) + 1}.backup"

    def _write(self, records: list[Record]) -> None:
        if records:
            write_private(self._file, msgspec.json.format(msgspec.json.encode(records), indent=2))
        else:
            self._file.unlink(missing_ok=True)


def digest(content: bytes) -> str:
    """Names content."""
    return hashlib.sha256(content).hexdigest()
