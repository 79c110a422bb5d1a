"""The facts of a run. Past tense, frozen, and replayed for ever: fields are only ever added.

`at` is when the event was decided, in UTC microseconds. The kind of an event on the wire and
in the log is its key in `KINDS`. Two names are given from outside: `llm_call`, `tool_call`.
"""

from typing import TypeAlias

from msgspec import Struct

from stepwell.engine.messages import Usage
from stepwell.engine.values import NOTHING, Data, Failure


class Fact(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What every event has."""

    at: int


class RunStarted(Fact, frozen=True):
    """The run was accepted."""

    workflow: str
    version: str
    principal: str
    input: Data
    labels: dict[str, str] = {}


class RunCompleted(Fact, frozen=True):
    """Every node ended, and this is the output."""

    output: Data


class RunFailed(Fact, frozen=True):
    """A step failed for good (`step`), or the output could not be made."""

    failure: Failure
    step: str = ""


class RunCancelled(Fact, frozen=True):
    """Somebody asked the run to stop, and it did."""

    reason: str = ""


class StepScheduled(Fact, frozen=True):
    """A node may start; `input` is its `with`, evaluated."""

    step: str
    node: str
    input: Data = NOTHING


class StepRetryScheduled(Fact, frozen=True):
    """An attempt failed; `attempt` is the next one, not before `retry_at`."""

    step: str
    attempt: int
    retry_at: int
    failure: Failure


class StepCompleted(Fact, frozen=True):
    """The step ended well."""

    step: str
    attempt: int
    output: Data = NOTHING


class StepFailed(Fact, frozen=True):
    """The step ended badly; no attempt is left."""

    step: str
    attempt: int
    failure: Failure


class StepSkipped(Fact, frozen=True):
    """The node never ran: `reason` is `condition`, `switch` or `needs`."""

    step: str
    node: str
    reason: str


class LlmCall(Fact, frozen=True):
    """A model was asked and answered, or failed to.

    `call` counts the turns of the step from 1; a turn that fails is tried again under the
    same number. `messages` is what this request added to the conversation: a tool result
    stands there by the id of its call, its text is in the `tool_call` event. `problem` is
    what was wrong with an answer that the model is asked to give again.
    """

    step: str
    attempt: int
    call: int
    model: str
    messages: Data = NOTHING
    text: Data = NOTHING
    tools: Data = NOTHING
    opaque: Data = NOTHING
    finish: str = ""
    problem: str = ""
    usage: Usage = Usage()
    latency_us: int = 0
    failure: Failure | None = None


class ToolCallStarted(Fact, frozen=True):
    """A call that may not be repeated is about to be made."""

    step: str
    attempt: int
    call: str
    tool: str
    key: str
    arguments: Data = NOTHING


class ToolCall(Fact, frozen=True):
    """A tool was called and answered (`result`), or failed (`failure`).

    `key` is the idempotency key that the tool was given, less the run's id and a slash: the
    same for every attempt. `call` is "" for a tool node, `turn.index` inside an agent.
    `decision` tells what policy said of it (`allow`, and the rules after a colon).
    """

    step: str
    attempt: int
    call: str
    tool: str
    key: str
    arguments: Data = NOTHING
    result: Data = NOTHING
    latency_us: int = 0
    decision: str = ""
    failure: Failure | None = None


class PolicyDecided(Fact, frozen=True):
    """Policy did not simply allow an action."""

    step: str
    attempt: int
    call: str
    action: str
    resource: str
    effect: str
    rules: tuple[str, ...] = ()
    reason: str = ""


class Custom(Fact, frozen=True):
    """A service's own event about the run; the engine does not look inside."""

    type: str
    payload: Data = NOTHING


Event: TypeAlias = (
    RunStarted
    | RunCompleted
    | RunFailed
    | RunCancelled
    | StepScheduled
    | StepRetryScheduled
    | StepCompleted
    | StepFailed
    | StepSkipped
    | LlmCall
    | ToolCallStarted
    | ToolCall
    | PolicyDecided
    | Custom
)

KINDS: dict[str, type[Event]] = {
    "run_started": RunStarted,
    "run_completed": RunCompleted,
    "run_failed": RunFailed,
    "run_cancelled": RunCancelled,
    "step_scheduled": StepScheduled,
    "step_retry_scheduled": StepRetryScheduled,
    "step_completed": StepCompleted,
    "step_failed": StepFailed,
    "step_skipped": StepSkipped,
    "llm_call": LlmCall,
    "tool_call_started": ToolCallStarted,
    "tool_call": ToolCall,
    "policy_decided": PolicyDecided,
    "custom": Custom,
}
NAMES: dict[type[Event], str] = {event: kind for kind, event in KINDS.items()}
