"""Between events and the store: what is committed, and how it is read back."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import msgspec

from stepwell.engine import codec
from stepwell.engine.events import (
    NAMES,
    ApprovalRequested,
    Event,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunForked,
    RunResumed,
    RunStarted,
)
from stepwell.engine.values import Data
from stepwell.orchestrator.standing import Standing
from stepwell.orchestrator.views import Outcome, RunStatus
from stepwell.vault.sealer import Sealer
from stepwell.vault.vault import Vault
from stepwell_storage.ports import Storage
from stepwell_storage.records import (
    Append,
    ApprovalRow,
    Blob,
    BudgetRow,
    Head,
    Letter,
    NewRun,
    Record,
    Reopened,
    Spent,
)

PAGE = 1000


class Journal:
    """Writes the events of runs, and reads them. Without a vault nothing is encrypted."""

    def __init__(self, storage: Storage, *, inline_limit: int, vault: Vault | None = None) -> None:
        self._storage = storage
        self._inline_limit = inline_limit
        self._vault = vault

    async def sealer(self, namespace: str, run: str, labels: Mapping[str, str]) -> Sealer | None:
        """What encrypts what a run is going to append; None where nothing is encrypted.

        Raises:
            WrongRing: the ring lacks the key that wraps this run's.
        """
        if self._vault is None:
            return None
        return await self._vault.sealer(namespace, run, labels)

    @property
    def subject_label(self) -> str:
        """The label that says whose data a run holds; "" where none can be erased."""
        return self._vault.subject_label if self._vault is not None and self._vault.is_on else ""

    def inherited(self, labels: Mapping[str, str]) -> dict[str, str]:
        """The labels that go on to whatever a run begins."""
        return {} if self._vault is None else self._vault.inherited(labels)

    def append(
        self,
        namespace: str,
        run: str,
        *,
        epoch: int,
        after: int,
        events: Sequence[tuple[Event, str]],
        new: NewRun | None = None,
        reopened: Reopened | None = None,
        standing: Standing | None = None,
        letters: Sequence[Letter] = (),
        taken: Sequence[str] = (),
        left: Sequence[str] = (),
        approvals: Sequence[ApprovalRow] = (),
        withdraws: bool = False,
        spent: Sequence[Spent] = (),
        frees: bool = False,
        budgets: Sequence[BudgetRow] = (),
        seal: Sealer | None = None,
    ) -> asyncio.Future[int]:
        """Queues events, each with who caused it; the future ends with their commit.

        `standing` is where the run stands from now on, if that is news and it goes on. With
        `withdraws` whatever it still asks of people is withdrawn. `spent` is what its calls needed, and
        with `frees` nothing stays reserved for it; `budgets` are its own, where it begins. `seal` is what `sealer` gave for
        this run.

        Raises (through the future):
            What `EventLog.append` raises.
        """
        records: list[Record] = []
        blobs: list[Blob] = []
        head: Head | None = None
        encode = codec.encode if seal is None else seal.encode
        for sequence, (event, principal) in enumerate(events, after + 1):
            kind = type(event)
            body, parts = encode(event, self._inline_limit)
            records.append(Record(sequence, NAMES[kind], principal, body))
            if parts:
                blobs += parts
            if kind in _HEADS:
                head = _HEADS[kind](event, body)
        if standing is not None and (head is None or head.ended_at is None):
            head = Head(standing.status, events[-1][0].at, detail=_detail(standing))
        return self._storage.log.append(
            Append(
                namespace,
                run,
                epoch,
                after,
                tuple(records),
                tuple(blobs),
                head,
                new,
                reopened,
                tuple(letters),
                tuple(taken),
                tuple(left),
                tuple(approvals),
                events[-1][0].at if withdraws else None,
                tuple(spent),
                frees,
                tuple(budgets),
            )
        )

    async def read(self, namespace: str, run: str, *, after: int = 0) -> AsyncIterator[list[Event]]:
        """The events of a run after the one of this sequence, page by page, as the log has them.

        Raises:
            LookupError, msgspec.DecodeError: a record is not one that this version knows.
        """
        while records := await self._storage.log.read(namespace, run, after=after, limit=PAGE):
            yield [codec.decode(record.kind, record.body) for record in records]
            after = records[-1].sequence

    async def asked(
        self, namespace: str, run: str, sequence: int, step: str
    ) -> ApprovalRequested | None:
        """What a step asks a person: in event `sequence`, or, where that is 0, before the run forked.

        Raises:
            LookupError, msgspec.DecodeError: as `load`.
            KeyDestroyed: its data was erased.
        """
        if sequence:
            asked = await self.event(namespace, run, sequence)
        else:
            found = [
                event
                for event in await self.history(namespace, run, filled=False)
                if isinstance(event, ApprovalRequested) and event.step == step
            ][-1:]
            blobs = await self._blobs(namespace, run, found)
            asked = codec.fill(found[0], blobs) if found else None
        return asked if isinstance(asked, ApprovalRequested) else None

    async def event(self, namespace: str, run: str, sequence: int) -> Event | None:
        """One event of a run, with the data that it refers to; None where there is none.

        Raises:
            As `load`.
        """
        records = await self._storage.log.read(namespace, run, after=sequence - 1, limit=1)
        found = [codec.decode(record.kind, record.body) for record in records]
        if not found:
            return None
        return codec.fill(found[0], await self._blobs(namespace, run, found))

    async def first(self, namespace: str, run: str) -> Event | None:
        """The event with which a run has begun, its data as references; None where it has none."""
        records = await self._storage.log.read(namespace, run, after=0, limit=1)
        return codec.decode(records[0].kind, records[0].body) if records else None

    async def head(self, namespace: str, run: str) -> int:
        """The sequence of a run's last event, whether this version knows its kind or not."""
        after = 0
        while records := await self._storage.log.read(namespace, run, after=after, limit=PAGE):
            after = records[-1].sequence
        return after

    async def load(self, namespace: str, run: str) -> list[Event]:
        """Every event of a run, with the data that it refers to.

        Raises:
            LookupError, msgspec.DecodeError: a record is not one that this version knows, or
                a blob is gone.
            KeyDestroyed: its data was erased.
        """
        events: list[Event] = []
        async for page in self.read(namespace, run):
            blobs = await self._blobs(namespace, run, page)
            events += (codec.fill(event, blobs) for event in page)
        return events

    async def history(
        self, namespace: str, run: str, *, until: int | None = None, filled: bool = True
    ) -> list[Event]:
        """Every event that made a run what it is: of a fork, those of the other run come first.

        `until` is the last sequence of the run that is wanted. With `filled` each has the data that
        it refers to.

        Raises:
            LookupError, msgspec.DecodeError: as `load`.
        """
        if filled:
            own = await self.load(namespace, run)
        else:
            own = [event async for page in self.read(namespace, run) for event in page]
        own = own if until is None else own[:until]
        first = own[0]
        if not isinstance(first, RunForked):
            return own
        before = await self.history(namespace, first.run, until=first.sequence, filled=filled)
        return [*before, *own]

    async def resolve(self, namespace: str, run: str, data: Data) -> Data:
        """Data with its value.

        Raises:
            LookupError: its blob is gone.
            KeyDestroyed: it was erased.
        """
        if data.blob is None:
            return data
        digest = data.blob.digest
        blobs = await self._opened(namespace, run, [digest])
        return codec.resolve(data, blobs[digest])

    async def lock_letter(
        self, namespace: str, letter: Letter, labels: Mapping[str, str]
    ) -> Letter:
        """A letter as the store may have it, to a run with these labels."""
        if self._vault is None:
            return letter
        body = await self._vault.lock_letter(namespace, letter.run, labels, letter.id, letter.body)
        return msgspec.structs.replace(letter, body=body)

    async def open_letter(self, namespace: str, letter: Letter) -> Letter:
        """A letter as it was written.

        Raises:
            KeyDestroyed: it was erased.
        """
        if self._vault is None:
            return letter
        body = await self._vault.open_letter(namespace, letter.run, letter.id, letter.body)
        return msgspec.structs.replace(letter, body=body)

    async def blinded(self, namespace: str, labels: Mapping[str, str], digest: str) -> str:
        """A digest of what a run is given, such that nobody can guess from it."""
        if self._vault is None:
            return digest
        return await self._vault.blinded(namespace, labels, digest)

    async def _blobs(self, namespace: str, run: str, events: Sequence[Event]) -> dict[str, Blob]:
        digests = {digest for event in events for digest in codec.references(event)}
        if not digests:
            return {}
        return await self._opened(namespace, run, sorted(digests))

    async def _opened(self, namespace: str, run: str, digests: Sequence[str]) -> dict[str, Blob]:
        blobs = await self._storage.blobs.get(namespace, run, digests)
        if self._vault is None:
            return blobs
        return await self._vault.opened(namespace, run, blobs)


def _started(event: Event, body: bytes) -> Head:
    return Head(RunStatus.RUNNING, event.at)


def _completed(event: Event, body: bytes) -> Head:
    stored = msgspec.json.decode(body, type=RunCompleted)
    return _ended(RunStatus.COMPLETED, event.at, Outcome(output=stored.output))


def _failed(event: Event, body: bytes) -> Head:
    assert isinstance(event, RunFailed), "it is dispatched by its type"
    return _ended(RunStatus.FAILED, event.at, Outcome(failure=event.failure))


def _cancelled(event: Event, body: bytes) -> Head:
    assert isinstance(event, RunCancelled), "it is dispatched by its type"
    return _ended(RunStatus.CANCELLED, event.at, Outcome(reason=event.reason))


_HEADS: dict[type[Event], Callable[[Event, bytes], Head]] = {
    RunStarted: _started,
    RunForked: _started,
    RunResumed: _started,
    RunCompleted: _completed,
    RunFailed: _failed,
    RunCancelled: _cancelled,
}
"""The line that the list of runs shows, where an event changes it."""


def _detail(standing: Standing) -> bytes:
    return msgspec.json.encode(Outcome(waiting=standing.waiting)) if standing.waiting else b""


def _ended(status: RunStatus, at: int, outcome: Outcome) -> Head:
    return Head(status, at, ended_at=at, detail=msgspec.json.encode(outcome))
