"""What a client may ask about the audit log."""

from collections.abc import AsyncGenerator, Iterable

from grpc import aio

from stepwell.client.connection import Connection
from stepwell.client.decode import instant
from stepwell.client.failures import to_error
from stepwell.client.types import AuditEntry, AuditFinding, AuditHead, Verification
from stepwell.v1 import audit_service_pb2 as pb


class AuditLog:
    """`client.audit`: for users only."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def head(self) -> AuditHead:
        """The end of the chain; keep it elsewhere, and `verify` with it."""
        answer = await self._connection.call(self._connection.audit.GetHead, pb.GetHeadRequest())
        return AuditHead(sequence=answer.sequence, hash=answer.hash)

    async def entries(self, *, after: int = 0) -> AsyncGenerator[AuditEntry, None]:
        """Entries with a sequence above `after`, oldest first, until there are no more."""
        request = pb.ListEntriesRequest(after=after, page_size=1000)
        while True:
            answer = await self._connection.call(self._connection.audit.ListEntries, request)
            if not answer.entries:
                return
            for message in answer.entries:
                yield _entry(message)
            request.after = answer.entries[-1].sequence

    async def verify(self, known: Iterable[AuditHead] = ()) -> AsyncGenerator[Verification, None]:
        """Checks the chain, and the event log against it: how far it is and what it has found.

        Each `known` hash must be in the chain; its sequence may be 0. The last one that comes is
        `done`; each finding comes once.
        """
        request = pb.VerifyAuditRequest(
            known=[pb.KnownHash(sequence=it.sequence, hash=it.hash) for it in known]
        )
        await self._connection.connect()
        stream = self._connection.audit.VerifyAudit(request, metadata=self._connection.metadata)
        try:
            async for message in stream:
                yield _verification(message)
        except aio.AioRpcError as error:
            raise to_error(error, self._connection.target) from error


def _entry(message: pb.AuditEntry) -> AuditEntry:
    return AuditEntry(
        sequence=message.sequence,
        at=instant(message.at),
        principal=message.principal,
        action=message.action,
        resource=message.resource,
        detail=message.detail,
        previous=message.previous,
        hash=message.hash,
    )


def _verification(message: pb.VerifyAuditResponse) -> Verification:
    return Verification(
        entries=message.entries,
        events=message.events,
        deleted_runs=message.deleted_runs,
        unnoted_events=message.unnoted_events,
        findings=tuple(AuditFinding(it.what, it.where) for it in message.findings),
        done=message.done,
        head=AuditHead(sequence=message.sequence, hash=message.hash),
    )
