"""Approvals in memory, with the rules of the real ones, for tests of what stands before them."""

from typing import Any, Literal

from msgspec.structs import replace

from stepwell.engine.values import Data, Json
from stepwell.errors import Code, Denied, FailedPrecondition, NotFound
from stepwell.orchestrator.approvals import Factors, Proof
from stepwell.orchestrator.views import Approval, ApprovalPage
from stepwell.principals import Caller

NOW = 1_800_000_000_000_000
RUN = "01a215a5-62cf-7000-a8dd-31286453aab2"


class Desk:
    """Whatever a test puts on it."""

    def __init__(self, factors: Factors) -> None:
        self._factors = factors
        self._kept: dict[tuple[str, str], Approval] = {}

    def put(
        self, arguments: Json = None, *, namespace: str = "default", number: int = 1, **given: Any
    ) -> Approval:
        """A question that waits."""
        given = {
            "tool": "write_file",
            "principal": "agent:local",
            "rules": ("default.hold",),
            "reason": "it writes",
            "approver": "caller",
            "requested_at": NOW + number,
            "expires_at": NOW + 86_400_000_000,
            **given,
        }
        made = Approval(
            id=f"{number:020x}",
            run=RUN,
            step="call",
            call="1",
            arguments=Data(value=arguments),
            subject=f"{number:064x}",
            **given,
        )
        self._kept[namespace, made.id] = made
        return made

    async def list(
        self,
        caller: Caller,
        *,
        status: str = "waiting",
        page_size: int = 50,
        page_token: str = "",
        is_told: bool = False,
    ) -> ApprovalPage:
        rows = [one for (space, _), one in self._kept.items() if space == caller.namespace]
        rows = [one for one in rows if status in ("", one.status)]
        rows.sort(key=lambda one: one.requested_at, reverse=True)
        begin = int(page_token or 0)
        shown, more = rows[begin : begin + page_size], len(rows) > begin + page_size
        if not is_told:
            shown = [replace(one, message=None, arguments=None) for one in shown]
        return ApprovalPage(
            approvals=tuple(shown), next_token=str(begin + page_size) if more else ""
        )

    async def get(self, caller: Caller, id: str) -> Approval:
        found = self._kept.get((caller.namespace, id))
        if found is None:
            raise NotFound(f"there is no approval {id}", code=Code.APPROVAL_NOT_FOUND)
        return found

    async def decide(
        self,
        caller: Caller,
        id: str,
        *,
        verdict: Literal["approve", "deny"],
        reason: str = "",
        subject: str | None = None,
        proof: Proof | None = None,
    ) -> Approval:
        found = await self.get(caller, id)
        if not caller.is_user:
            raise Denied("only people decide")
        if found.principal == caller.principal and found.approver != "caller":
            raise Denied("somebody else decides")
        self._check_open(found)
        if subject not in (None, found.subject):
            raise FailedPrecondition(
                "this is about something else by now", code=Code.NOT_APPLICABLE
            )
        if verdict == "approve" and (
            found.about == "call" or await self._factors.is_enrolled(caller)
        ):
            await self._factors.verify(caller, proof, found.subject)
        self._check_open(await self.get(caller, id))
        decided = replace(
            found,
            status="approved" if verdict == "approve" else "denied",
            decided_by=caller.principal,
            decided_at=NOW + 5_000_000,
            decision_reason=reason,
        )
        self._kept[caller.namespace, id] = decided
        return decided

    def _check_open(self, found: Approval) -> None:
        if found.status != "waiting":
            raise FailedPrecondition(
                f"{found.decided_by} was quicker: it is {found.status}", code=Code.NOT_APPLICABLE
            )
