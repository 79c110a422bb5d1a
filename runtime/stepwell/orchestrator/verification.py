"""Does the audit chain hold, and is the event log what the chain vouches for?

Passes over both once. Whoever can write the database file can also write a chain that holds; so a hash
that was kept elsewhere must be in it, and everything before that hash is then what it was.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from stepwell.orchestrator.answers import Answers
from stepwell.orchestrator.audit import RUNS_DELETED
from stepwell.orchestrator.notary import LOG_NOTED, Noted
from stepwell_storage.chain import NOTHING, Digest, Digests, hash_of
from stepwell_storage.ports import Storage
from stepwell_storage.records import AuditEntry, AuditHead

ENTRIES: Final = 200
"""That are read at once."""
ROWS: Final = 500
"""Of the log that are read at once."""


class Known(Struct, frozen=True):
    """A hash that was kept elsewhere; sequence 0 where only the hash is known."""

    hash: str
    sequence: int = 0


class Finding(Struct, frozen=True):
    """Something that is not as it was. `where` names an entry of the chain, or events of a run."""

    what: str
    where: str


class Checked(Struct, frozen=True):
    """How far it has come, and what was found since the last one.

    `sequence` and `hash` are those of the last entry. `unnoted` are the events at the end of the log
    that nothing vouches for yet.
    """

    entries: int = 0
    events: int = 0
    deleted_runs: int = 0
    unnoted: int = 0
    findings: tuple[Finding, ...] = ()
    is_done: bool = False
    sequence: int = 0
    hash: str = NOTHING


class _Deleted(Struct, frozen=True):
    runs: tuple[str, ...]


class _Suspicion(Struct, frozen=True):
    """What is right only if the run was deleted."""

    run: str
    finding: Finding


async def verify(
    storage: Storage, namespace: str, known: Sequence[Known] = ()
) -> AsyncGenerator[Checked, None]:
    """Checks everything; tells after each page how far it is, and at the end that it is done.

    Raises:
        StorageError: the store cannot be used.
    """
    check = _Check(storage, namespace, known)
    while page := await storage.audit.read(namespace, after=check.sequence, limit=ENTRIES):
        before = check.sequence
        for entry in page:
            await check.entry(entry)
        yield check.told()
        if check.sequence == before:
            break  # what is there are no entries
    await check.end()
    yield check.told(is_done=True)


class _Check:
    def __init__(self, storage: Storage, namespace: str, known: Sequence[Known]) -> None:
        self._storage = storage
        self._namespace = namespace
        self._at = {it.sequence: it.hash for it in known if it.sequence}
        self._anywhere = {it.hash for it in known if not it.sequence}
        self.sequence = 0
        self._hash = NOTHING
        self._entries = self._events = self._noted = 0
        self._unnoted = 0
        self._answers = Answers()
        self._deleted: set[str] = set()
        self._suspicions: list[_Suspicion] = []
        self._findings: list[Finding] = []

    def told(self, *, is_done: bool = False) -> Checked:
        """How far it is; findings are told once."""
        findings, self._findings = tuple(self._findings), []
        return Checked(
            self._entries,
            self._events,
            len(self._deleted),
            self._unnoted,
            findings,
            is_done,
            self.sequence,
            self._hash,
        )

    # --- the chain ------------------------------------------------------------------------

    async def entry(self, entry: AuditEntry) -> None:
        """The next entry of the chain."""
        if not _is_sound(entry):
            self._find("the entry cannot be read", f"the one after entry {self.sequence}")
            return
        where = f"entry {entry.sequence}"
        if entry.sequence != self.sequence + 1:
            missing = f"entries {self.sequence + 1} to {entry.sequence - 1}"
            self._find("entries of the audit log are missing", missing)
        elif entry.previous != self._hash:
            self._find("the entry does not follow the one before it", where)
        is_whole = entry.hash == hash_of(self._namespace, entry)
        if not is_whole:
            self._find("the entry was changed", where)
        kept = self._at.pop(entry.sequence, entry.hash)
        if kept != entry.hash:
            self._find(f"the entry is another than the one with the hash {kept}", where)
        self._anywhere.discard(entry.hash)
        self.sequence, self._hash = entry.sequence, entry.hash
        self._entries += 1
        try:
            await self._content(entry)
        except msgspec.DecodeError:
            if is_whole:
                self._find("the entry cannot be read", where)

    async def _content(self, entry: AuditEntry) -> None:
        self._answers.record(entry)
        if entry.action == RUNS_DELETED:
            self._deleted.update(msgspec.json.decode(entry.detail, type=_Deleted).runs)
        elif entry.action == LOG_NOTED:
            await self._stretch(entry.sequence, msgspec.json.decode(entry.detail, type=Noted))

    async def end(self) -> None:
        """What can be told only when the whole chain was seen."""
        for sequence, kept in sorted(self._at.items()):
            self._find(
                f"the audit log has lost the entry with the hash {kept}", f"entry {sequence}"
            )
        for kept in sorted(self._anywhere):
            self._find(f"no entry of the audit log has the hash {kept}", "the whole chain")
        head = await self._storage.audit.head(self._namespace)
        if not _is_sound(head):
            self._find("the end that is noted for the audit log cannot be read", "its head")
        elif head.sequence == self.sequence and head.hash != self._hash:
            self._find("the chain does not end with the hash that is noted for its end", "its head")
        elif head.sequence > self.sequence:
            # It may just have grown; what is there now must follow.
            while page := await self._storage.audit.read(
                self._namespace, after=self.sequence, limit=ENTRIES
            ):
                before = self.sequence
                for entry in page:
                    await self.entry(entry)
                if self.sequence == before:
                    break
            if head.sequence > self.sequence:
                missing = f"entries {self.sequence + 1} to {head.sequence}"
                self._find("entries at the end of the audit log are missing", missing)
        elif head.sequence < self.sequence:
            where = f"entry {head.sequence + 1}"
            self._find("the audit log goes on behind the end that is noted for it", where)
        await self._end_of_log()
        for run, step, by in self._answers.unrecorded():
            what = f"an approval by {by} that was given at no door, and may be forged"
            self._find(what, f"run {run}, step {step}")
        self._findings += [it.finding for it in self._suspicions if it.run not in self._deleted]

    async def _end_of_log(self) -> None:
        position = await self._storage.log.last_position(self._namespace)
        if position < self._noted:
            self._find("the log ends before what the chain vouches for", f"position {position}")
        self._unnoted = max(position - self._noted, 0)

    # --- the log --------------------------------------------------------------------------

    async def _stretch(self, sequence: int, noted: Noted) -> None:
        """Whether the log has what an entry vouches for, and nothing else, where it says."""
        where = f"positions {self._noted + 1} to {noted.after}"
        if noted.after != self._noted:
            self._find("nothing vouches for a part of the log", where)
        self._noted = noted.to
        digests, at = Digests(), noted.after
        while rows := await self._storage.audit.rows(
            self._namespace, after=at, to=noted.to, limit=ROWS
        ):
            digests.add(rows)
            for row in rows:
                self._answers.find(row)
            at = rows[-1].position
        self._events += digests.events
        self._compare(noted.digests(), digests.result(), f"entry {sequence}")

    def _compare(
        self, wanted: Mapping[str, Digest], found: Mapping[str, Digest], entry: str
    ) -> None:
        for run in found.keys() - wanted.keys():
            where = f"run {run}, events {found[run].first} to {found[run].last} ({entry})"
            self._find("events were added to the log", where)
        for run, digest in wanted.items():
            if found.get(run) == digest:
                continue
            what = "were changed, removed or moved" if run in found else "are missing"
            where = f"run {run}, events {digest.first} to {digest.last} ({entry})"
            finding = Finding(f"events of the log {what}", where)
            # It may be deleted just now: then an entry that comes later says so.
            self._suspicions.append(_Suspicion(run, finding))

    def _find(self, what: str, where: str) -> None:
        self._findings.append(Finding(what, where))


def _is_sound(row: AuditEntry | AuditHead) -> bool:
    """Whether all values have their types: SQLite takes any, from whoever writes to the file."""
    try:
        msgspec.convert(msgspec.to_builtins(row), type(row))
    except msgspec.ValidationError:
        return False
    return True
