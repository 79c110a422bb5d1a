"""What should be in flight, asked of the world. An id is the same however often it is asked."""

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


class CallModel(Struct, frozen=True, gc=False):
    """Ask the step's model for its next message, with the conversation so far."""

    step: str
    attempt: int
    call: int

    @property
    def id(self) -> str:
        """The same however often it is asked for."""
        return model_call_id(self.step, self.attempt, self.call)


class CallTool(Struct, frozen=True, gc=False):
    """Call a tool. `key` is its idempotency key inside the run, the same for every attempt.

    `idempotent` is what the node says; None leaves it to what the tool says of itself.
    """

    step: str
    attempt: int
    call: str
    tool: str
    key: str
    arguments: Data
    idempotent: bool | None = None

    @property
    def id(self) -> str:
        """The same however often it is asked for."""
        return tool_call_id(self.step, self.attempt, self.call)


class JudgeLost(Struct, frozen=True, gc=False):
    """A call that may not be repeated was begun and never came back: find out, never repeat."""

    call: CallTool

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


class Stop(Struct, frozen=True, gc=False):
    """Nobody waits any more for the command of this id."""

    id: str


class WakeAt(Struct, frozen=True, gc=False):
    """Ask again at this time, if nothing else happens before."""

    at: int


Command: TypeAlias = CallModel | CallTool | JudgeLost | ExpireStep | Stop | WakeAt
