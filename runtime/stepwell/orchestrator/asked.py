"""What a run asks of people, as the list of approvals has it.

A row holds no data of the run: what the person is told, and the arguments of a call, stand in the
event that asks.
"""

import msgspec
from msgspec import Struct

from stepwell.engine.state import AskChange, RunState
from stepwell.engine.subjects import ID_LENGTH, subject_of
from stepwell.orchestrator.views import Approval
from stepwell_storage.records import WAITING, ApprovalRow


class Detail(Struct, frozen=True, omit_defaults=True):
    """What only people look at."""

    tool: str = ""
    rules: tuple[str, ...] = ()
    reason: str = ""
    policy: str = ""
    approver: str = ""
    groups: tuple[str, ...] = ()
    said: str = ""


def take_rows(state: RunState) -> tuple[ApprovalRow, ...]:
    """The rows that have changed since they were last taken."""
    if not state.ask_changes:
        return ()
    rows = tuple(_row(state, change) for change in state.ask_changes)
    state.ask_changes.clear()
    return rows


def _row(state: RunState, change: AskChange) -> ApprovalRow:
    asked = change.ask.asked
    subject = subject_of(state.run, asked)
    is_open = change.status == WAITING
    detail = Detail(
        asked.tool,
        asked.rules,
        asked.reason,
        asked.policy,
        asked.approver,
        asked.groups,
        change.reason,
    )
    return ApprovalRow(
        id=subject[:ID_LENGTH],
        run=state.run,
        step=asked.step,
        call=asked.call,
        about=asked.about,
        status=change.status,
        principal=state.principal,
        subject=subject,
        sequence=change.ask.sequence,
        requested_at=asked.at,
        expires_at=asked.expires_at,
        decided_at=None if is_open else change.at,
        decided_by=change.by,
        detail=msgspec.json.encode(detail),
    )


def approval_of(row: ApprovalRow) -> Approval:
    """An approval as a list shows it: without what the person is told."""
    detail = msgspec.json.decode(row.detail, type=Detail)
    return Approval(
        id=row.id,
        run=row.run,
        step=row.step,
        call=row.call,
        about=row.about,
        tool=detail.tool,
        principal=row.principal,
        rules=detail.rules,
        reason=detail.reason,
        subject=row.subject,
        policy=detail.policy,
        approver=detail.approver or "other",
        groups=detail.groups,
        requested_at=row.requested_at,
        expires_at=row.expires_at,
        status=row.status,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        decision_reason=detail.said,
    )
