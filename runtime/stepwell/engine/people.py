"""What a person is asked of a run.

A call is asked about that policy lets nobody make without a person's yes. Its approval is bound to
what was shown, and used once.

An outcome is asked when a call that may not be repeated was begun and nobody knows whether it
took effect. It is never made again by itself.
"""

from stepwell.engine.commands import CallTool, JudgeLost, tool_call_id
from stepwell.engine.events import ApprovalRequested, Event
from stepwell.engine.inputs import CallHeld, Given
from stepwell.engine.state import RunState, StepState
from stepwell.engine.values import Data


def ask_call(given: CallHeld, call: CallTool) -> Event:
    """A person is to say whether a call may be made; what is shown is as sealed as its arguments."""
    rules = ", ".join(given.rules)
    message = {
        "text": given.reason or f"a call of {call.tool!r} needs a person's yes",
        "tool": call.tool,
        "arguments": call.arguments.value,
        "rule": rules,
    }
    return ApprovalRequested(
        at=given.at,
        step=given.step,
        attempt=given.attempt,
        about="call",
        call=given.call,
        message=Data(value=message, sealed=call.arguments.sealed),
        tool=call.tool,
        rules=given.rules,
        reason=given.reason,
        subject=given.subject,
        nonce=given.nonce,
        policy=given.policy,
        approver=given.approver,
        groups=given.groups,
        expires_at=given.expires_at,
    )


def ask_outcome(run: str, step: StepState, given: Given, call: CallTool, how: str) -> list[Event]:
    """A person is to find out what became of a call."""
    key = f"{run}/{call.key}"
    message = (
        f"the call of {call.tool!r} {how}, so nobody knows whether it took effect; it is not "
        "repeated because neither the tool nor the node says that it is idempotent. Look up its "
        f"key {key!r} where the tool leaves its traces"
    )
    asked = ApprovalRequested(
        at=given.at,
        step=step.id,
        attempt=step.attempt,
        about="outcome",
        call=call.call,
        message=Data(value={"text": message, "tool": call.tool, "key": key}),
    )
    return [asked]


def ask_outcome_of(state: RunState, step: StepState, given: Given, how: str) -> list[Event]:
    """As `ask_outcome`, of every call of a step that was begun and is still out."""
    events: list[Event] = []
    for name in sorted(step.begun):
        command = state.open.get(tool_call_id(step.id, step.attempt, name))
        call = command.call if isinstance(command, JudgeLost) else command
        if isinstance(call, CallTool):
            events += ask_outcome(state.run, step, given, call, how)
    return events
