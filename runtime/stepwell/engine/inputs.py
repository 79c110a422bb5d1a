"""What a run is told: requests and reports, with the time and every id in them.

`jitter` is a number in [0, 1) drawn by the caller; the engine owns no randomness.
"""

from typing import TypeAlias

from msgspec import Struct

from stepwell.engine.messages import Opaque, ToolRequest, Usage
from stepwell.engine.values import Data, Failure


class Given(Struct, frozen=True, gc=False, kw_only=True):
    """What every input has."""

    at: int
    principal: str = ""
    jitter: float = 0.0


class Start(Given, frozen=True):
    """Begin. The workflow version is the state's own graph; `input` fits its schema."""

    input: Data
    labels: dict[str, str] = {}


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
    latency_us: int = 0


class ToolBegun(Given, frozen=True):
    """A call that may not be repeated is allowed and about to be made."""

    step: str
    attempt: int
    call: str


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
    """Policy refused a tool call."""

    step: str
    attempt: int
    call: str
    rules: tuple[str, ...] = ()
    reason: str = ""


class CallLost(Given, frozen=True):
    """A call that may not be repeated was begun by an owner that is gone."""

    step: str
    attempt: int
    call: str


class Expire(Given, frozen=True):
    """The time of a step's attempt is over."""

    step: str
    attempt: int


class Cancel(Given, frozen=True):
    """Stop the run."""

    reason: str = ""


class Publish(Given, frozen=True):
    """Write a service's own event into the log of the run."""

    type: str
    payload: Data


Report: TypeAlias = (
    ModelAnswered | ToolBegun | ToolAnswered | CallDenied | CallLost | Expire | Cancel | Publish
)
"""What a run that is running is told."""

Input: TypeAlias = Start | Report
