"""How audit entries are chained, and how stretches of the log are digested. Pure.

What is hashed never changes: a chain that was exported years ago is checked with it. `docs/audit.md`
describes it for whoever wants to check one without Stepwell.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import Struct

from stepwell_storage.records import AuditEntry, Deed, StoredRow

NOTHING: Final = "0" * 64
"""The hash before the first entry."""

_FORM: Final = "stepwell audit 1"
_encode = msgspec.json.Encoder().encode


def link(namespace: str, deed: Deed, *, after: int, previous: str) -> AuditEntry:
    """The entry of a deed that follows the entry `after`, whose hash is `previous`."""
    sequence = after + 1
    return AuditEntry(
        sequence,
        deed.at,
        deed.principal,
        deed.action,
        deed.resource,
        deed.detail,
        previous,
        _hash(namespace, sequence, deed, previous),
    )


def hash_of(namespace: str, entry: AuditEntry) -> str:
    """What the hash of an entry must be."""
    deed = Deed(entry.at, entry.principal, entry.action, entry.resource, entry.detail)
    return _hash(namespace, entry.sequence, deed, entry.previous)


def _hash(namespace: str, sequence: int, deed: Deed, previous: str) -> str:
    parts = (
        _FORM,
        namespace,
        sequence,
        deed.at,
        deed.principal,
        deed.action,
        deed.resource,
        deed.detail,
        previous,
    )
    return sha256(_encode(parts)).hexdigest()


class Digest(Struct, frozen=True):
    """What a run has written in a stretch of the log: its sequences, and SHA-256 of its rows."""

    first: int
    last: int
    hash: str


class Digests:
    """The digests of a stretch of the log, by run, as its rows are passed through."""

    def __init__(self) -> None:
        self._of: dict[str, _Running] = {}
        self.events = 0
        """How many events the rows hold."""

    def add(self, rows: Iterable[StoredRow]) -> None:
        """Goes on with the rows that come next."""
        for row in rows:
            try:
                self._add(row)
            except (TypeError, AttributeError):
                # Somebody has put a value of another type there: no row of ours is like this.
                self._running(row.run, 0).sha.update(repr(row).encode())
                self.events += 1

    def _add(self, row: StoredRow) -> None:
        count = row.kind.count(" ") + 1
        kind, principal = row.kind.encode(), row.principal.encode()
        sizes = f"{row.sequence} {row.position} {len(kind)} {len(principal)} {len(row.body)}\n"
        content = b"".join((sizes.encode(), kind, principal, row.body))
        running = self._running(row.run, row.sequence - count + 1)
        running.sha.update(content)
        running.last = row.sequence
        self.events += count

    def _running(self, run: str, first: int) -> "_Running":
        found = self._of.get(run)
        if found is None:
            found = self._of[run] = _Running(first)
        return found

    def result(self) -> dict[str, Digest]:
        """The digests so far, in the order in which the runs first appear."""
        return {run: Digest(it.first, it.last, it.sha.hexdigest()) for run, it in self._of.items()}


class _Running:
    __slots__ = ("first", "last", "sha")

    def __init__(self, first: int) -> None:
        self.first = self.last = first
        self.sha = sha256()
