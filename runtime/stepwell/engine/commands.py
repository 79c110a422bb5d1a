"""What should be in flight, asked of the world. An id is the same however often it is asked."""

import hashlib
from typing import TypeAlias

from msgspec import Struct

from stepwell.engine.values import Data


def model_call_id(step: str, attempt: int, call: int) -> str:
    """The id of a `CallModel`."""
    return f"{step}/{attempt}/model/{call}"


def tool_call_id(step: str, attempt: int, call: str) -> str:
    """The id of a `CallTool`, and of the `JudgeLost` that takes its place."""
    return f"{step}/{attempt}/tool/{call}"


def expire_id(step: str, attempt: int) -> str:
    """The id of an `ExpireStep`."""
    return f"{step}/{attempt}/expire"


def enter_id(step: str) -> str:
    """The id of an `EnterQueue`."""
    return f"{step}/enter"


def expire_ask_id(step: str, attempt: int, call: str, at: int) -> str:
    """The id of an `ExpireAsk`; the time is in it, as the same call may be asked about again."""
    return f"{step}/{attempt}/ask/{call}/{at}"


def expire_question_id(step: str, attempt: int, question: str) -> str:
    """The id of an `ExpireQuestion`."""
    return f"{step}/{attempt}/question/{question}"


def fire_id(step: str, attempt: int) -> str:
    """The id of a `FireTimer`."""
    return f"{step}/{attempt}/timer"


def child_id(step: str, attempt: int) -> str:
    """The id of a `StartChild`."""
    return f"{step}/{attempt}/child"


def child_run(run: str, step: str, attempt: int) -> str:
    """The id of the run that an attempt of a step is: the same whoever starts it, and when.

    A UUID of version 8 (RFC 9562, section 5.8) whose bits come from SHA-256.
    """
    bits = bytearray(hashlib.sha256(f"{run}/{child_id(step, attempt)}".encode()).digest()[:16])
    bits[6] = bits[6] & 0x0F | 0x80
    bits[8] = bits[8] & 0x3F | 0x80
    text = bits.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class CallModel(Struct, frozen=True, gc=False):
    """Ask the step's model for its next message, with the conversation so far."""

    step: str
    attempt: int
    call: int

    @property
    def id(self) -> str:
        """The same however often it is asked for."""
        return model_call_id(self.step, self.attempt, self.call)


class Approval(Struct, frozen=True, gc=False):
    """A person's yes to one call, as it was shown: to `subject`, which holds a `nonce`.

    It answers the `rules` that asked, and no others.
    """

    subject: str
    nonce: str
    by: str
    at: int
    rules: tuple[str, ...] = ()


class CallTool(Struct, frozen=True, gc=False):
    """Call a tool. `key` is its idempotency key inside the run, the same for every attempt.

    `idempotent` is what the node says; None leaves it to what the tool says of itself. An
    `approval` goes with this call alone: once it has begun, failed or come back, it is used up.
    `withheld` counts how often policy had not let a call of the step be made when this was asked for:
    what policy said before that is out of date.
    """

    step: str
    attempt: int
    call: str
    tool: str
    key: str
    arguments: Data
    idempotent: bool | None = None
    approval: Approval | None = None
    withheld: int = 0

    @property
    def id(self) -> str:
        """The same however often it is asked for."""
        return tool_call_id(self.step, self.attempt, self.call)


class JudgeLost(Struct, frozen=True, gc=False):
    """A call that may not be repeated was begun and never came back: find out, never repeat.

    `approval` is the one that it was begun with, which is good again if it turns out to have been
    asking something.
    """

    call: CallTool
    approval: Approval | None = None

    @property
    def id(self) -> str:
        """The same however often it is asked for."""
        return self.call.id


class ExpireStep(Struct, frozen=True, gc=False):
    """The attempt's deadline has passed."""

    step: str
    attempt: int

    @property
    def id(self) -> str:
        """The same however often it is asked for."""
        return expire_id(self.step, self.attempt)


class ExpireAsk(Struct, frozen=True, gc=False):
    """The time is over in which a person may answer about a call; it was until `at`."""

    step: str
    attempt: int
    call: str
    at: int

    @property
    def id(self) -> str:
        """The same however often it is asked for."""
        return expire_ask_id(self.step, self.attempt, self.call, self.at)


class ExpireQuestion(Struct, frozen=True, gc=False):
    """The time is over in which a question may be answered; it was until `at`."""

    step: str
    attempt: int
    question: str
    at: int

    @property
    def id(self) -> str:
        """The same however often it is asked for."""
        return expire_question_id(self.step, self.attempt, self.question)


class FireTimer(Struct, frozen=True, gc=False):
    """The time that a step waits for has come."""

    step: str
    attempt: int

    @property
    def id(self) -> str:
        """The same however often it is asked for."""
        return fire_id(self.step, self.attempt)


class EnterQueue(Struct, frozen=True, gc=False):
    """Ask for a place in a queue: for a step, or for the run itself where `step` is "".

    Nobody is busy with it afterwards: `Admitted` comes when there is a place.
    """

    step: str
    queue: str

    @property
    def id(self) -> str:
        """The same however often it is asked for."""
        return enter_id(self.step)


class StartChild(Struct, frozen=True, gc=False):
    """Start the run that this attempt of a step is, if it is not there; `child_run` is its id.

    Nobody is busy with it afterwards: `ChildEnded` comes when the child has ended.
    """

    step: str
    attempt: int
    workflow: str
    version: str
    input: Data

    @property
    def id(self) -> str:
        """The same however often it is asked for."""
        return child_id(self.step, self.attempt)


class Stop(Struct, frozen=True, gc=False):
    """Nobody waits any more for the command of this id."""

    id: str


class WakeAt(Struct, frozen=True, gc=False):
    """Ask again at this time, if nothing else happens before."""

    at: int


Command: TypeAlias = (
    CallModel
    | CallTool
    | JudgeLost
    | ExpireStep
    | ExpireAsk
    | ExpireQuestion
    | FireTimer
    | EnterQueue
    | StartChild
    | Stop
    | WakeAt
)
