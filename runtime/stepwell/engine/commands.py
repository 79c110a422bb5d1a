"""What should be in flight, asked of the world. An id is the same however often it is asked."""

from typing import TypeAlias

from msgspec import Struct

from stepwell.engine.values import Data


class CallModel(Struct, frozen=True):
    """Ask the step's model for its next message, with the conversation so far."""

    step: str
    attempt: int
    call: int

    @property
    def id(self) -> str:
        return f"{self.step}/{self.attempt}/model/{self.call}"


class CallTool(Struct, frozen=True):
    """Call a tool. `key` is its idempotency key inside the run, the same for every attempt."""

    step: str
    attempt: int
    call: str
    tool: str
    key: str
    arguments: Data

    @property
    def id(self) -> str:
        return f"{self.step}/{self.attempt}/tool/{self.call}"


class JudgeLost(Struct, frozen=True):
    """A call that may not be repeated was begun and never came back: find out, never repeat."""

    step: str
    attempt: int
    call: str

    @property
    def id(self) -> str:
        return f"{self.step}/{self.attempt}/tool/{self.call}"


class ExpireStep(Struct, frozen=True):
    """The attempt's deadline has passed."""

    step: str
    attempt: int

    @property
    def id(self) -> str:
        return f"{self.step}/{self.attempt}/expire"


class Stop(Struct, frozen=True):
    """Nobody waits any more for the command of this id."""

    id: str


class WakeAt(Struct, frozen=True):
    """Ask again at this time, if nothing else happens before."""

    at: int


Command: TypeAlias = CallModel | CallTool | JudgeLost | ExpireStep | Stop | WakeAt
