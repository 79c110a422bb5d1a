"""AuditService: reading and checking the audit log."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from stepwell.orchestrator.service import Service
from stepwell.orchestrator.verification import Known
from stepwell.v1 import audit_service_pb2 as pb
from stepwell.v1 import audit_service_pb2_grpc as rpc
from stepwell_server import paging
from stepwell_server.interceptors import Context, current_caller
from stepwell_server.translate import timestamp
from stepwell_storage.records import AuditEntry


class AuditServicer(rpc.AuditServiceServicer):
    """Reads the audit log."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def ListEntries(
        self, request: pb.ListEntriesRequest, context: Context
    ) -> pb.ListEntriesResponse:
        """Entries, oldest first."""
        entries = await self._service.audit_log.list_entries(
            current_caller(), after=request.after, limit=paging.page_size(request.page_size)
        )
        messages: Sequence[pb.AuditEntry] = [_entry(entry) for entry in entries]
        return pb.ListEntriesResponse(entries=messages[: paging.fitting(messages)])

    async def GetHead(self, request: pb.GetHeadRequest, context: Context) -> pb.GetHeadResponse:
        """Where the chain ends."""
        head = await self._service.audit_log.get_head(current_caller())
        return pb.GetHeadResponse(sequence=head.sequence, hash=head.hash)

    async def VerifyAudit(
        self, request: pb.VerifyAuditRequest, context: Context
    ) -> AsyncGenerator[pb.VerifyAuditResponse, None]:
        """How far the check is, and what it finds."""
        known = [Known(it.hash, it.sequence) for it in request.known]
        async with aclosing(self._service.audit_log.verify(current_caller(), known)) as steps:
            async for step in steps:
                yield pb.VerifyAuditResponse(
                    entries=step.entries,
                    events=step.events,
                    deleted_runs=step.deleted_runs,
                    unnoted_events=step.unnoted,
                    findings=[
                        pb.AuditFinding(what=it.what, where=it.where) for it in step.findings
                    ],
                    done=step.is_done,
                    sequence=step.sequence,
                    hash=step.hash,
                )


def _entry(entry: AuditEntry) -> pb.AuditEntry:
    return pb.AuditEntry(
        sequence=entry.sequence,
        at=timestamp(entry.at),
        principal=entry.principal,
        action=entry.action,
        resource=entry.resource,
        detail=entry.detail,
        previous=entry.previous,
        hash=entry.hash,
    )
