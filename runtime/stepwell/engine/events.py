"""The facts of a run. Past tense, frozen, and replayed for ever: fields are only ever added.

What has its usual value is not written: most steps need one attempt, and have one call. Nor is a
`node` or a `key` that is the id of the step: the codec fills it in, so every event has it.

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


class Parent(Struct, frozen=True, gc=False):
    """The step of another run that a run is; `depth` counts the runs above it."""

    run: str
    step: str
    attempt: int
    depth: int = 1


class RunStarted(Fact, frozen=True, kw_only=True):
    """The run was accepted.

    With `queue` it begins when it has a place there. `trace` is the W3C `traceparent` of the
    request that it came with. `limits` is what it may spend, by unit; `shares` are runs above it
    whose limits hold for it as well.
    """

    workflow: str
    version: str
    principal: str
    input: Data
    labels: dict[str, str] = {}
    run_key: str = ""
    queue: str = ""
    parent: Parent | None = None
    trace: str = ""
    limits: dict[str, int] = {}
    shares: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    """Tools that runs above it had called: what they read may have come with the input."""
    attributes: dict[str, tuple[str, ...]] = {}
    """What was known of the principal when it started the run."""


class RunForked(Fact, frozen=True, kw_only=True):
    """The run goes on from where another one was before its event `sequence` + 1.

    The log of the other, up to `sequence`, comes before this event. The step that was scheduled
    there, `step`, is given `input` if that was `edited`.
    """

    run: str
    sequence: int
    step: str
    workflow: str
    version: str
    principal: str
    labels: dict[str, str] = {}
    edited: bool = False
    input: Data = NOTHING
    attributes: dict[str, tuple[str, ...]] = {}


class RunAdmitted(Fact, frozen=True, kw_only=True):
    """The run has its place in its queue, and begins."""


class RunPaused(Fact, frozen=True, kw_only=True):
    """Nothing new is begun until the run is resumed; what is in flight may end."""

    reason: str = ""


class RunResumed(Fact, frozen=True, kw_only=True):
    """The run goes on: after a pause, or after it had failed."""

    reason: str = ""


class RunCompensating(Fact, frozen=True, kw_only=True):
    """The run has failed, and what it has done is undone before it ends."""

    failure: Failure
    step: str = ""


class RunCompleted(Fact, frozen=True, kw_only=True):
    """Every node ended, and this is the output."""

    output: Data


class RunFailed(Fact, frozen=True, kw_only=True):
    """A step failed for good (`step`), or the output could not be made."""

    failure: Failure
    step: str = ""


class RunCancelled(Fact, frozen=True, kw_only=True):
    """Somebody asked the run to stop, or its parent ended, and it did."""

    reason: str = ""


class StepScheduled(Fact, frozen=True, kw_only=True):
    """A node may start; `input` is its `with`, evaluated."""

    step: str
    node: str = ""
    input: Data = NOTHING


class StepStarted(Fact, frozen=True, kw_only=True):
    """The step has its place in its queue; or it is the run `child`, which was started."""

    step: str
    attempt: int = 1
    child: str = ""


class StepRetryScheduled(Fact, frozen=True, kw_only=True):
    """An attempt failed; `attempt` is the next one, not before `retry_at`."""

    step: str
    attempt: int
    retry_at: int
    failure: Failure


class StepCompleted(Fact, frozen=True, kw_only=True):
    """The step ended well."""

    step: str
    attempt: int = 1
    output: Data = NOTHING
    called: tuple[str, ...] = ()
    """Tools that the run had called that the step is: what they read may be in the output."""


class StepFailed(Fact, frozen=True, kw_only=True):
    """The step ended badly; no attempt is left.

    `handled` is `continue`, or the node that takes over; "" is the end of the step's map or loop,
    and of the run.
    """

    step: str
    attempt: int = 1
    failure: Failure
    handled: str = ""


class StepSkipped(Fact, frozen=True, kw_only=True):
    """The node never ran: `reason` is `condition`, `switch`, `needs` or `on_error`."""

    step: str
    node: str = ""
    reason: str


class LlmCall(Fact, frozen=True, kw_only=True):
    """A model was asked and answered, or failed to.

    `call` counts the turns of the step from 1; a turn that fails is tried again under the
    same number. `messages` is what this request added to the conversation: a tool result
    stands there by the id of its call, its text is in the `tool_call` event. `problem` is
    what was wrong with an answer that the model is asked to give again. `cost` is in millionths of
    a dollar; None is a model whose price nobody knows.
    """

    step: str
    attempt: int = 1
    call: int
    model: str
    messages: Data = NOTHING
    text: Data = NOTHING
    tools: Data = NOTHING
    opaque: Data = NOTHING
    finish: str = ""
    problem: str = ""
    usage: Usage = Usage()
    cost: int | None = None
    latency_us: int = 0
    failure: Failure | None = None


class ToolCallStarted(Fact, frozen=True, kw_only=True):
    """A call that may not be repeated is about to be made; `decision` is as in `ToolCall`."""

    step: str
    attempt: int = 1
    call: str = ""
    tool: str
    key: str = ""
    arguments: Data = NOTHING
    decision: str = ""


class ToolCall(Fact, frozen=True, kw_only=True):
    """A tool was called and answered (`result`), or failed (`failure`).

    `key` is the idempotency key that the tool was given, less the run's id and a slash: the
    same for every attempt. `call` is "" for a tool node, `turn.index` inside an agent.
    `rows` is how many it read from a datasource. `decision` tells what policy said of it (`allow`, and the rules after a colon), and who
    approved it.
    """

    step: str
    attempt: int = 1
    call: str = ""
    tool: str
    key: str = ""
    arguments: Data = NOTHING
    result: Data = NOTHING
    latency_us: int = 0
    decision: str = ""
    rows: int = 0
    failure: Failure | None = None


class PolicyDecided(Fact, frozen=True, kw_only=True):
    """Policy did not simply allow an action: `effect` is deny, require_approval or throttle.

    `remedy` says what would change it. Of what is throttled policy is asked again at `retry_at`.
    `policy` is the digest of the policy version that decided.
    """

    step: str
    attempt: int = 1
    call: str = ""
    action: str
    resource: str
    effect: str
    rules: tuple[str, ...] = ()
    reason: str = ""
    remedy: str = ""
    retry_at: int | None = None
    policy: str = ""


class TimerFired(Fact, frozen=True, kw_only=True):
    """What a step waited for has come: its time."""

    step: str
    attempt: int


class SignalReceived(Fact, frozen=True, kw_only=True):
    """A message came. One with an `id` that came before is no event."""

    name: str
    payload: Data = NOTHING
    id: str = ""


class ApprovalRequested(Fact, frozen=True, kw_only=True):
    """A person is asked.

    It is about what the node says; or, where `about` is `outcome`, about a call whose outcome
    nobody knows, and which is not repeated; or, where it is `call`, about a call of `tool` that
    policy lets nobody make without a person's yes.

    That yes is bound to `subject`, a digest of the whole call that holds `nonce` and the version
    of the `policy`. `approver` is `caller` where whoever asked for the call may say it, else
    `other`; `groups`, where there are any, are those whose members may.
    """

    step: str
    attempt: int = 1
    about: str = "approval"
    call: str = ""
    message: Data = NOTHING
    tool: str = ""
    rules: tuple[str, ...] = ()
    reason: str = ""
    subject: str = ""
    nonce: str = ""
    policy: str = ""
    approver: str = ""
    groups: tuple[str, ...] = ()
    expires_at: int | None = None


class ApprovalDecided(Fact, frozen=True, kw_only=True):
    """A person answered: `approve` or `deny`; of an outcome: `done`, `retry` or `fail`.

    `by` is who it was.
    """

    step: str
    attempt: int = 1
    decision: str
    call: str = ""
    reason: str = ""
    value: Data = NOTHING
    by: str = ""


class ApprovalExpired(Fact, frozen=True, kw_only=True):
    """Nobody answered in time: what the node asks, or about the call `call`."""

    step: str
    attempt: int
    call: str = ""


class QuestionAsked(Fact, frozen=True, kw_only=True):
    """A call asks something of the person behind its caller, or of that person's client.

    `question` has the message, and the schema of a form, the url of a page, or the params of what
    MCP clients answer (`sampling`, `roots`), as its `kind` has it. `key` names it inside the call,
    `id` among all. Until it is answered nothing is in doubt of the call: where nobody is busy with
    it any more, it is made from its beginning, and is given what was answered.
    """

    step: str
    attempt: int = 1
    call: str = ""
    tool: str = ""
    key: str
    id: str
    kind: str = "form"
    question: Data = NOTHING
    expires_at: int | None = None


class QuestionAnswered(Fact, frozen=True, kw_only=True):
    """A question of a call has its answer: `action` is accept, decline or cancel.

    `by` is who answered; it is "" where nobody did in time.
    """

    step: str
    attempt: int = 1
    call: str = ""
    key: str
    id: str
    action: str
    content: Data = NOTHING
    by: str = ""


class BudgetExhausted(Fact, frozen=True, kw_only=True):
    """A call would have spent more than is left, so the run is paused, and the call waits.

    Of `limit` in the `unit` of this `scope`, `taken` was spent or reserved; the call needs up to
    `wanted`, which is None where nobody knows what it costs. `resource` is its model or tool.
    """

    step: str
    attempt: int = 1
    resource: str = ""
    scope: str
    unit: str
    limit: int
    taken: int
    wanted: int | None = None


class BudgetRaised(Fact, frozen=True, kw_only=True):
    """More may be spent: by this run, whose `limits` are these now, or in the `scope`.

    A run that was paused because it had too little goes on.
    """

    limits: dict[str, int] = {}
    scope: str = ""


class Custom(Fact, frozen=True, kw_only=True):
    """A service's own event about the run; the engine does not look inside."""

    type: str
    payload: Data = NOTHING


Event: TypeAlias = (
    RunStarted
    | RunForked
    | RunAdmitted
    | RunPaused
    | RunResumed
    | RunCompensating
    | RunCompleted
    | RunFailed
    | RunCancelled
    | StepScheduled
    | StepStarted
    | StepRetryScheduled
    | StepCompleted
    | StepFailed
    | StepSkipped
    | LlmCall
    | ToolCallStarted
    | ToolCall
    | PolicyDecided
    | TimerFired
    | SignalReceived
    | ApprovalRequested
    | ApprovalDecided
    | ApprovalExpired
    | QuestionAsked
    | QuestionAnswered
    | BudgetExhausted
    | BudgetRaised
    | Custom
)

KINDS: dict[str, type[Event]] = {
    "run_started": RunStarted,
    "run_forked": RunForked,
    "run_admitted": RunAdmitted,
    "run_paused": RunPaused,
    "run_resumed": RunResumed,
    "run_compensating": RunCompensating,
    "run_completed": RunCompleted,
    "run_failed": RunFailed,
    "run_cancelled": RunCancelled,
    "step_scheduled": StepScheduled,
    "step_started": StepStarted,
    "step_retry_scheduled": StepRetryScheduled,
    "step_completed": StepCompleted,
    "step_failed": StepFailed,
    "step_skipped": StepSkipped,
    "llm_call": LlmCall,
    "tool_call_started": ToolCallStarted,
    "tool_call": ToolCall,
    "policy_decided": PolicyDecided,
    "timer_fired": TimerFired,
    "signal_received": SignalReceived,
    "approval_requested": ApprovalRequested,
    "approval_decided": ApprovalDecided,
    "approval_expired": ApprovalExpired,
    "question_asked": QuestionAsked,
    "question_answered": QuestionAnswered,
    "budget_exhausted": BudgetExhausted,
    "budget_raised": BudgetRaised,
    "custom": Custom,
}
NAMES: dict[type[Event], str] = {event: kind for kind, event in KINDS.items()}
