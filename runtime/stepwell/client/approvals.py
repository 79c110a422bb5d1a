"""What a client may ask about approvals, and answer."""

from typing import Literal

from stepwell.client import decode
from stepwell.client.connection import Connection
from stepwell.client.encode import code_proof
from stepwell.client.types import Approval, ApprovalPage
from stepwell.v1 import approval_service_pb2 as pb


class Approvals:
    """`client.approvals`: everybody may look, users answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list(
        self, *, status: str = "waiting", page_size: int = 0, page_token: str = ""
    ) -> ApprovalPage:
        """One page, newest first; 0 means 50, and `all` is of every status."""
        request = pb.ListApprovalsRequest(status=status, page_size=page_size, page_token=page_token)
        answer = await self._connection.call(self._connection.approvals.ListApprovals, request)
        return ApprovalPage(
            approvals=tuple(map(_approval, answer.approvals)),
            next_page_token=answer.next_page_token,
        )

    async def get(self, id: str) -> Approval:
        """One of them, with the exact arguments."""
        request = pb.GetApprovalRequest(id=id)
        answer = await self._connection.call(self._connection.approvals.GetApproval, request)
        return _approval(answer.approval)

    async def decide(
        self,
        id: str,
        verdict: Literal["approve", "deny"],
        *,
        reason: str = "",
        subject: str = "",
        code: str = "",
    ) -> Approval:
        """Answers; `subject` is that of what was looked at, `code` a one-time code."""
        request = pb.DecideApprovalRequest(
            id=id,
            answer=pb.ApprovalAnswer.Value(f"APPROVAL_ANSWER_{verdict.upper()}"),
            reason=reason,
            subject=subject,
            proof=code_proof(code),
        )
        answer = await self._connection.call(self._connection.approvals.DecideApproval, request)
        return _approval(answer.approval)


def _approval(message: pb.Approval) -> Approval:
    arguments, arguments_ref = decode.value(message.arguments)
    told, told_ref = decode.value(message.message)
    preview, preview_ref = decode.value(message.preview)
    return Approval(
        id=message.id,
        run=message.run.removeprefix(decode.RUN_PREFIX),
        step=message.step,
        call=message.call,
        about=message.about,
        tool=message.tool,
        arguments=arguments,
        arguments_ref=arguments_ref,
        message=told,
        message_ref=told_ref,
        preview=preview,
        preview_ref=preview_ref,
        principal=message.principal,
        rules=tuple(message.rules),
        reason=message.reason,
        subject=message.subject,
        policy=message.policy,
        groups=tuple(message.groups),
        caller_may_answer=message.caller_may_answer,
        requested_at=decode.instant(message.requested_at),
        expires_at=decode.instant(message.expires_at) if message.HasField("expires_at") else None,
        status=message.status,
        decided_by=message.decided_by,
        decided_at=decode.instant(message.decided_at) if message.HasField("decided_at") else None,
        decision_reason=message.decision_reason,
    )
