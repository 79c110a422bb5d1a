"""The policy of a world: which calls it holds for a person, and which it puts off, and until when.

It follows from the script and the clock alone. What a tool is changes at some time in some worlds, so
that a yes to what it was before is worth nothing any more.
"""

from tests.simulation.script import Script, ToolPlan

from stepwell.engine.commands import Approval, CallTool
from stepwell.engine.inputs import CallHeld, CallThrottled, Input
from stepwell.engine.state import RunState
from stepwell.engine.subjects import call_subject

TIME_TO_ANSWER = 120_000_000
"""Microseconds: longer than most people take, and than most of what goes wrong."""
WINDOW = 150_000
"""Microseconds in which a call that is put off is not made; then come three in which it is."""


def withheld(
    script: Script, state: RunState, command: CallTool, plan: ToolPlan, now: int
) -> Input | None:
    """What the run is told of a call that is not made now; None lets it be made."""
    if plan.is_held:
        approval = command.approval
        nonce = f"{state.run}/{state.sequence}" if approval is None else approval.nonce
        subject = _subject(script, state, command, nonce, now)
        if not _is_same(approval, subject):
            nonce = f"{state.run}/{state.sequence}"
            return _held(command, _subject(script, state, command, nonce, now), nonce, now)
    if plan.is_throttled and (now // WINDOW) % 4 == 0:
        until = (now // WINDOW + 1) * WINDOW
        return CallThrottled(
            at=now,
            step=command.step,
            attempt=command.attempt,
            call=command.call,
            until=until,
            rules=("rate",),
            withheld=command.withheld,
        )
    return None


def _is_same(approval: Approval | None, subject: str) -> bool:
    """Whether a person has said yes to just this."""
    return approval is not None and approval.subject == subject


def _subject(script: Script, state: RunState, command: CallTool, nonce: str, now: int) -> str:
    definition = script.definition(command.tool, now)
    return call_subject(state.run, command, definition=definition, policy="p", nonce=nonce)


def _held(command: CallTool, subject: str, nonce: str, now: int) -> CallHeld:
    return CallHeld(
        at=now,
        step=command.step,
        attempt=command.attempt,
        call=command.call,
        subject=subject,
        nonce=nonce,
        expires_at=now + TIME_TO_ANSWER,
        rules=("big",),
        reason="it is big",
        policy="p",
        withheld=command.withheld,
    )
