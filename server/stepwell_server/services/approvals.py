"""ApprovalService: what runs ask people, and what people answer."""

from typing import Final, Literal

from msgspec.structs import replace

from stepwell.engine.values import Data
from stepwell.nldb.writes.preview import Preview, to_json
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Approval
from stepwell.v1 import approval_service_pb2 as pb
from stepwell.v1 import approval_service_pb2_grpc as rpc
from stepwell_server import paging, translate
from stepwell_server.interceptors import Context, current_caller

ANSWERS: Final[dict[int, Literal["approve", "deny"]]] = {
    pb.APPROVAL_ANSWER_APPROVE: "approve",
    pb.APPROVAL_ANSWER_DENY: "deny",
}
STATUSES: Final = {"": "waiting", "all": ""}


class ApprovalServicer(rpc.ApprovalServiceServicer):
    """Shows questions, and takes answers."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def ListApprovals(
        self, request: pb.ListApprovalsRequest, context: Context
    ) -> pb.ListApprovalsResponse:
        """Newest first; what they are about in full is told by `GetApproval`."""
        page = await self._service.approvals.list(
            current_caller(),
            status=STATUSES.get(request.status, request.status),
            page_size=paging.page_size(request.page_size),
            page_token=request.page_token,
        )
        shown = [
            approval(replace(one, arguments=None, message=None, preview=None))
            for one in page.approvals
        ]
        return pb.ListApprovalsResponse(approvals=shown, next_page_token=page.next_token)

    async def GetApproval(
        self, request: pb.GetApprovalRequest, context: Context
    ) -> pb.GetApprovalResponse:
        """One of them."""
        found = await self._service.approvals.get(current_caller(), request.id)
        return pb.GetApprovalResponse(approval=approval(found))

    async def DecideApproval(
        self, request: pb.DecideApprovalRequest, context: Context
    ) -> pb.DecideApprovalResponse:
        """Takes an answer."""
        decided = await self._service.approvals.decide(
            current_caller(),
            request.id,
            verdict=ANSWERS[request.answer],
            reason=request.reason,
            subject=request.subject or None,
            proof=translate.proof(request.proof),
        )
        return pb.DecideApprovalResponse(approval=approval(decided))


def _of_change(preview: Preview) -> Data:
    return Data(value=to_json(preview), sealed=f"datasource:{preview.datasource}")


def approval(view: Approval) -> pb.Approval:
    """An approval with what it is about, or with the reference to that where it is large."""
    return pb.Approval(
        id=view.id,
        run=translate.run_name(view.run),
        step=view.step,
        call=view.call,
        about=view.about,
        tool=view.tool,
        arguments=translate.data_resolved(view.arguments) if view.arguments else None,
        message=translate.data_resolved(view.message) if view.message else None,
        preview=translate.data_resolved(_of_change(view.preview)) if view.preview else None,
        principal=view.principal,
        rules=view.rules,
        reason=view.reason,
        subject=view.subject,
        policy=view.policy,
        caller_may_answer=view.approver == "caller",
        groups=view.groups,
        requested_at=translate.timestamp(view.requested_at),
        expires_at=translate.maybe_timestamp(view.expires_at),
        status=view.status,
        decided_by=view.decided_by,
        decided_at=translate.maybe_timestamp(view.decided_at),
        decision_reason=view.decision_reason,
    )
