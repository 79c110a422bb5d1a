"""Appends as the suites need them: what a test does not say does not matter to it."""

import asyncio
from collections.abc import Mapping

from msgspec.structs import replace

from stepwell_storage.errors import StorageError
from stepwell_storage.records import Append, Blob, Head, Letter, NewRun, Record, Reopened

RUN, OTHER, THIRD = (f"01890000-0000-7000-8000-{n:012x}" for n in (1, 2, 3))


def records(first: int, count: int = 1, kind: str = "custom") -> tuple[Record, ...]:
    return tuple(
        Record(sequence, kind, "agent:local", b'{"n": %d}' % sequence)
        for sequence in range(first, first + count)
    )


def begin(
    run: str = RUN,
    *,
    count: int = 1,
    namespace: str = "default",
    workflow: str = "w",
    at: int = 100,
    owner: str = "one",
    expires_at: int = 1000,
    request: str | None = None,
    digest: str = "",
    principal: str = "agent:local",
    blobs: tuple[Blob, ...] = (),
    head: Head | None = None,
    labels: Mapping[str, str] | None = None,
    run_key: str | None = None,
    parent: str | None = None,
    forked_from: str | None = None,
) -> Append:
    new = NewRun(
        workflow=workflow,
        version="v1",
        principal=principal,
        created_at=at,
        owner=owner,
        lease_expires_at=expires_at,
        labels={"team": "shop"} if labels is None else labels,
        request_id=request,
        request_digest=digest,
        run_key=run_key,
        parent=parent,
        forked_from=forked_from,
    )
    head = head or Head("running", at)
    return Append(namespace, run, 1, 0, records(1, count), blobs, head, new)


def go_on(
    run: str = RUN,
    *,
    after: int,
    count: int = 1,
    epoch: int = 1,
    namespace: str = "default",
    head: Head | None = None,
    blobs: tuple[Blob, ...] = (),
    reopened: Reopened | None = None,
    letters: tuple[Letter, ...] = (),
    taken: tuple[str, ...] = (),
    left: tuple[str, ...] = (),
) -> Append:
    return Append(
        namespace,
        run,
        epoch,
        after,
        records(after + 1, count),
        blobs,
        head,
        reopened=reopened,
        letters=letters,
        taken=taken,
        left=left,
    )


def end(run: str = RUN, *, after: int, at: int = 200, epoch: int = 1) -> Append:
    """The last event of a run."""
    return go_on(run, after=after, epoch=epoch, head=Head("completed", at, ended_at=at))


def reopen(
    run: str = RUN, *, after: int, epoch: int = 1, owner: str = "one", expires_at: int = 1000
) -> Append:
    """An event with which a run that had ended goes on."""
    reopened = Reopened(owner, expires_at)
    return go_on(run, after=after, epoch=epoch, head=Head("running", 300), reopened=reopened)


def letter(id: str = "a", run: str = RUN, *, at: int = 500) -> Letter:
    """Something to tell a run."""
    return Letter(id, run, "signal", "user:ann", b"{}", at)


def written(*first: Record) -> Append:
    """A run that begins with these records."""
    return replace(begin(), records=first)


async def outcome(future: asyncio.Future[int]) -> object:
    try:
        return await future
    except StorageError as error:
        return type(error)
