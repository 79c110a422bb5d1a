"""What a run is told: requests and reports, with the time and every id in them.

`jitter` is a number in [0, 1) drawn by the caller; the engine owns no randomness.
"""

from typing import TypeAlias

from msgspec import Struct

from stepwell.engine.events import Parent
from stepwell.engine.messages import Opaque, ToolRequest, Usage
from stepwell.engine.values import NOTHING, Data, Failure


class Given(Struct, frozen=True, gc=False, kw_only=True):
    """What every input has."""

    at: int
    principal: str = ""
    jitter: float = 0.0


class Start(Given, frozen=True):
    """Begin. The workflow version is the state's own graph; `input` fits its schema."""

    input: Data
    labels: dict[str, str] = {}
    run_key: str = ""
    queue: str = ""
    parent: Parent | None = None
    trace: str = ""
    limits: dict[str, int] = {}
    shares: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    attributes: dict[str, tuple[str, ...]] = {}


class Fork(Given, frozen=True):
    """Begin where the run `run` was before its event `sequence` + 1, which scheduled `step`.

    The state has folded the log of that run up to `sequence`. `input`, if `edited`, takes the
    place of what the step was given there.
    """

    run: str
    sequence: int
    step: str
    labels: dict[str, str] = {}
    edited: bool = False
    input: Data = NOTHING
    attributes: dict[str, tuple[str, ...]] = {}


class Answer(Struct, frozen=True, gc=False, kw_only=True):
    """A model's reply, read: tool requests, or a final answer, or what is wrong with it."""

    text: Data
    tools: tuple[ToolRequest, ...] = ()
    opaque: tuple[Opaque, ...] = ()
    finish: str = ""
    final: Data | None = None
    problem: str = ""


class ModelAnswered(Given, frozen=True):
    """The model call `call` of a step came back."""

    step: str
    attempt: int
    call: int
    model: str
    messages: Data
    answer: Answer | None = None
    failure: Failure | None = None
    usage: Usage = Usage()
    cost: int | None = None
    latency_us: int = 0


class ToolBegun(Given, frozen=True):
    """A call that may not be repeated is allowed and about to be made."""

    step: str
    attempt: int
    call: str
    decision: str = ""


class ToolAnswered(Given, frozen=True):
    """A tool call came back."""

    step: str
    attempt: int
    call: str
    result: Data | None = None
    failure: Failure | None = None
    latency_us: int = 0
    decision: str = ""


class CallDenied(Given, frozen=True):
    """Policy refused a tool call; `remedy` says what would change that.

    `withheld` is that of the command that policy was asked about.
    """

    step: str
    attempt: int
    call: str
    rules: tuple[str, ...] = ()
    reason: str = ""
    remedy: str = ""
    policy: str = ""
    withheld: int = 0


class CallHeld(Given, frozen=True):
    """Policy lets a tool call be made only when a person has said yes to `subject`.

    `nonce` is what makes the subject one of its own; nobody can answer from `expires_at` on.
    `withheld` is that of the command that policy was asked about.
    """

    step: str
    attempt: int
    call: str
    subject: str
    nonce: str
    expires_at: int
    rules: tuple[str, ...] = ()
    reason: str = ""
    policy: str = ""
    approver: str = "other"
    groups: tuple[str, ...] = ()
    withheld: int = 0


class CallThrottled(Given, frozen=True):
    """Policy has put a tool call off: it is asked again at `until`.

    `withheld` is that of the command that policy was asked about.
    """

    step: str
    attempt: int
    call: str
    until: int
    rules: tuple[str, ...] = ()
    reason: str = ""
    policy: str = ""
    withheld: int = 0


class CallLost(Given, frozen=True):
    """A call that may not be repeated was begun by an owner that is gone."""

    step: str
    attempt: int
    call: str


class Asked(Struct, frozen=True, gc=False, kw_only=True):
    """One thing that a call asks; its `question` is as in the event."""

    key: str
    id: str
    kind: str = "form"
    question: Data = NOTHING
    expires_at: int | None = None


class AskQuestions(Given, frozen=True):
    """A call asks something of the person behind its caller; what it asked before is no news."""

    step: str
    attempt: int
    call: str
    questions: tuple[Asked, ...]


class AnswerQuestion(Given, frozen=True):
    """What was done with a question: accept, with the `content`; decline or cancel."""

    step: str
    question: str
    action: str
    content: Data = NOTHING


class QuestionExpired(Given, frozen=True):
    """The time is over in which a question could be answered; it was until `until`."""

    step: str
    attempt: int
    question: str
    until: int


class Expire(Given, frozen=True):
    """The time of a step's attempt is over."""

    step: str
    attempt: int


class AskExpired(Given, frozen=True):
    """The time is over in which a person could answer about a call; it was until `until`."""

    step: str
    attempt: int
    call: str
    until: int


class Fired(Given, frozen=True):
    """The time that a step waits for has come."""

    step: str
    attempt: int


class Admitted(Given, frozen=True):
    """A step has its place in its queue; the run itself, where `step` is ""."""

    step: str


class ChildStarted(Given, frozen=True):
    """The run that a step is has been started."""

    step: str
    attempt: int
    child: str


class ChildEnded(Given, frozen=True):
    """The run that a step is has ended: with an output, or with why there is none.

    `called` are the tools that it had called.
    """

    step: str
    attempt: int
    output: Data | None = None
    failure: Failure | None = None
    called: tuple[str, ...] = ()


class Cancel(Given, frozen=True):
    """Stop the run."""

    reason: str = ""


class Pause(Given, frozen=True):
    """Begin nothing new."""

    reason: str = ""


class Resume(Given, frozen=True):
    """Go on after a pause."""

    reason: str = ""


class BudgetShort(Given, frozen=True):
    """What a call may need is not there; `call` is that of a tool, or the number of a model's."""

    step: str
    attempt: int
    call: str | int
    resource: str
    scope: str
    unit: str
    limit: int
    taken: int
    wanted: int | None


class RaiseBudget(Given, frozen=True):
    """More may be spent: by this run, up to `limits`; or elsewhere, in `scope`."""

    limits: dict[str, int] = {}
    scope: str = ""


class RetryStep(Given, frozen=True):
    """Go on with a run that has failed, by trying the step again that it failed over."""

    step: str
    reason: str = ""


class Signal(Given, frozen=True):
    """A message for whatever step waits for this name. The same `id` again is no news."""

    name: str
    payload: Data = NOTHING
    id: str = ""


class Resolve(Given, frozen=True):
    """A person's answer to what a step asks: `verdict` is approve, deny, done, retry or fail.

    `call` says which call of the step is meant, where it asks about more than one. `value` is
    the result of a call that is `done`, and is given on by an approval. What is said of a call that
    is held is said of its `subject`.
    """

    step: str
    verdict: str
    call: str | None = None
    reason: str = ""
    value: Data = NOTHING
    subject: str = ""


class Publish(Given, frozen=True):
    """Write a service's own event into the log of the run."""

    type: str
    payload: Data


Report: TypeAlias = (
    ModelAnswered
    | ToolBegun
    | ToolAnswered
    | CallDenied
    | CallHeld
    | CallThrottled
    | CallLost
    | Expire
    | AskExpired
    | AskQuestions
    | AnswerQuestion
    | QuestionExpired
    | Fired
    | Admitted
    | ChildStarted
    | ChildEnded
    | Cancel
    | Pause
    | Resume
    | Signal
    | Resolve
    | Publish
    | BudgetShort
    | RaiseBudget
)
"""What a run that is running is told."""

Input: TypeAlias = Start | Fork | RetryStep | Report
