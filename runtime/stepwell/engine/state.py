"""What a run looks like, folded from its events.

A state has one owner, which folds it in place; nothing of it travels. Beside the facts it
keeps an index of what should be in flight (`open`), so that the cost of an event does not
grow with the number of steps: `due` reads the index, it never searches.
"""

from enum import StrEnum

from msgspec import Struct, field

from stepwell.engine.commands import Command
from stepwell.engine.graph import Graph
from stepwell.engine.messages import Message, ToolRequest
from stepwell.engine.values import NOTHING, Data, Failure


class RunPhase(StrEnum):
    """Where a run is in its life."""

    NEW = "new"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepPhase(StrEnum):
    """Where a step is in its life."""

    NEW = "new"
    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Turn(Struct):
    """The tools that a model asked for in one answer, and what came back so far."""

    requests: tuple[ToolRequest, ...]
    answers: dict[str, Message] = field(default_factory=dict)


class Conversation(Struct):
    """An agent's talk with its model. `turns` counts the answers so far."""

    messages: list[Message]
    turns: int = 0
    repairs: int = 0
    told: int = 0
    """How many messages the model calls in the log have recorded already."""
    pending: Turn | None = None


class StepState(Struct):
    """One step. `begun` holds calls that may not be repeated and have not come back."""

    id: str
    node: str
    phase: StepPhase
    attempt: int = 1
    input: Data = NOTHING
    output: Data = NOTHING
    sealed: str = ""
    conversation: Conversation | None = None
    begun: set[str] = field(default_factory=set)
    open: set[str] = field(default_factory=set)


MAX_EVENTS = 1_000_000
"""Events that one run may have, unless its owner says otherwise."""


class RunState(Struct):
    """A run. `waiting` counts, for each node, the nodes that it still waits for."""

    run: str
    graph: Graph
    max_events: int = MAX_EVENTS
    phase: RunPhase = RunPhase.NEW
    principal: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    started_at: int = 0
    ended_at: int | None = None
    input: Data = NOTHING
    steps: dict[str, StepState] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    ended: int = 0
    output: Data = NOTHING
    failure: Failure | None = None
    reason: str = ""
    sequence: int = 0
    open: dict[str, Command] = field(default_factory=dict)
    """What should be in flight, by the id of the command."""
    fresh: dict[str, None] = field(default_factory=dict)
    """Ids in `open` that `due` hands out next."""
    out: set[str] = field(default_factory=set)
    """Ids in `open` that `due` has handed out in this fold."""
    timers: list[tuple[int, str]] = field(default_factory=list)
    """A heap of ids that become fresh at a time."""
    stops: list[str] = field(default_factory=list)
    """Ids that were handed out and that nobody waits for any more."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing will happen to this run any more."""
        return self.phase not in (RunPhase.NEW, RunPhase.RUNNING)
