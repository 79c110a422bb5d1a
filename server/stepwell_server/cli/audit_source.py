"""Where `stepwell audit` reads: from the daemon, or from the database of a home that is stopped."""

import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from stepwell.client import AuditEntry, AuditFinding, AuditHead, Verification
from stepwell.config import load_settings
from stepwell.errors import Code, StepwellError
from stepwell.orchestrator.audit_log import MAX_PAGE, AuditLog
from stepwell.orchestrator.refusals import refusals
from stepwell.orchestrator.verification import Checked, Known
from stepwell.principals import LOCAL_USER
from stepwell.stores import store_of
from stepwell_server.cli.session import connected
from stepwell_server.home import Home
from stepwell_storage import records
from stepwell_storage.open import SQLITE

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class AuditSource(Protocol):
    """An audit log that can be read, as `client.audit` can."""

    async def head(self) -> AuditHead:
        """The end of the chain."""
        ...

    def entries(self, *, after: int = 0) -> AsyncGenerator[AuditEntry, None]:
        """Entries with a sequence above `after`."""
        ...

    def verify(self, known: Iterable[AuditHead] = ()) -> AsyncGenerator[Verification, None]:
        """Checks all of it."""
        ...


@asynccontextmanager
async def audit_source(home: Home) -> AsyncIterator[AuditSource]:
    """The audit log of a home, whether its daemon runs or not.

    Raises:
        StepwellError: the settings cannot be used, or there is no database.
    """
    if home.endpoints() is not None:
        async with connected(home) as client:
            yield client.audit
        return
    settings = load_settings(home.path, os.environ)
    _demand_file(settings.database_url)
    storage = store_of(settings)
    with refusals():
        await storage.open()
    try:
        yield StoredAudit(AuditLog(storage))
    finally:
        await storage.close()


def _demand_file(url: str) -> None:
    """To look at a home must not make a database in it."""
    if url.startswith(SQLITE) and not (file := Path(url.removeprefix(SQLITE))).exists():
        raise StepwellError(
            f"there is no database {file}; name the home that has one with --home",
            code=Code.INVALID_CONFIG,
        )


class StoredAudit:
    """The audit log of a database that this process has opened."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    async def head(self) -> AuditHead:
        """The end of the chain."""
        head = await self._log.get_head(LOCAL_USER)
        return AuditHead(sequence=head.sequence, hash=head.hash)

    async def entries(self, *, after: int = 0) -> AsyncGenerator[AuditEntry, None]:
        """Entries with a sequence above `after`."""
        while page := await self._log.list_entries(LOCAL_USER, after=after, limit=MAX_PAGE):
            for entry in page:
                yield _entry(entry)
            after = page[-1].sequence

    async def verify(self, known: Iterable[AuditHead] = ()) -> AsyncGenerator[Verification, None]:
        """Checks all of it."""
        hashes = [Known(it.hash, it.sequence) for it in known]
        async with aclosing(self._log.verify(LOCAL_USER, hashes)) as steps:
            async for step in steps:
                yield _verification(step)


def _entry(row: records.AuditEntry) -> AuditEntry:
    return AuditEntry(
        sequence=row.sequence,
        at=_EPOCH + timedelta(microseconds=row.at),
        principal=row.principal,
        action=row.action,
        resource=row.resource,
        detail=row.detail,
        previous=row.previous,
        hash=row.hash,
    )


def _verification(step: Checked) -> Verification:
    return Verification(
        entries=step.entries,
        events=step.events,
        deleted_runs=step.deleted_runs,
        unnoted_events=step.unnoted,
        findings=tuple(AuditFinding(it.what, it.where) for it in step.findings),
        done=step.is_done,
        head=AuditHead(sequence=step.sequence, hash=step.hash),
    )
