"""What a run looks like, folded from its events.

A state has one owner, which folds it in place; nothing of it travels. Beside the facts it
keeps an index of what should be in flight (`open`), so that the cost of an event does not
grow with the number of steps: `due` reads the index, it never searches.
"""

from collections import deque
from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct, field

from stepwell.engine.commands import CallTool, Command
from stepwell.engine.events import (
    ApprovalRequested,
    BudgetExhausted,
    Parent,
    QuestionAnswered,
    QuestionAsked,
)
from stepwell.engine.graph import Graph, Node
from stepwell.engine.messages import Message, ToolRequest
from stepwell.engine.values import NOTHING, Data, Failure, Json


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


class Ask(Struct, frozen=True):
    """What a person is asked about a step, or about its `call`.

    `sequence` is that of the event in the log of this run; 0 where another run, of which this one
    is a fork, has it.
    """

    asked: ApprovalRequested
    call: CallTool | None = None
    sequence: int = 0

    @property
    def about(self) -> str:
        """`approval`, `outcome` or `call`."""
        return self.asked.about

    @property
    def message(self) -> Data:
        """What the person is told."""
        return self.asked.message


class Question(Struct, frozen=True):
    """What a call asks of the person behind its caller, and the answer once there is one.

    `sequence` and `answered` are those of the two events in the log of this run.
    """

    asked: QuestionAsked
    sequence: int
    answer: QuestionAnswered | None = None
    answered: int = 0


class AskChange(Struct, frozen=True):
    """News of a question for whoever keeps the list of them.

    Its `status` is waiting, approved, denied, expired or withdrawn; of an outcome, done, retried or
    failed.
    """

    ask: Ask
    status: str
    at: int
    by: str = ""
    reason: str = ""


class Fan(Struct):
    """The steps that a map or a loop makes of its body; how far it is.

    `next` is the index of the step to be scheduled next. A map, whose items are its input, keeps
    the `outputs` in their places, a loop keeps the `last` one.
    """

    outputs: list[Json] = field(default_factory=list)
    next: int = 0
    ended: int = 0
    last: Json = None
    active: dict[str, None] = field(default_factory=dict)
    sealed: str = ""


class StepState(Struct):
    """One step, and the `spec` by which it is executed: its node, or the body of that.

    `begun` holds calls that may not be repeated and have not come back, `asks` what a person is
    asked by call ("" is the step itself), `questions` what the tools of its calls ask, by call and key. `withheld` counts what policy did not let it do. `owner` is the map or loop that made the step.
    """

    id: str
    node: str
    phase: StepPhase
    spec: Node
    attempt: int = 1
    input: Data = NOTHING
    output: Data = NOTHING
    sealed: str = ""
    failure: Failure | None = None
    handled: str = ""
    owner: str = ""
    index: int = 0
    conversation: Conversation | None = None
    fan: Fan | None = None
    begun: frozenset[str] = frozenset()
    asks: dict[str, Ask] = field(default_factory=dict)
    questions: dict[tuple[str, str], Question] = field(default_factory=dict)
    time_left: int | None = None
    """What was left of the time of the attempt when a tool asked something."""
    withheld: int = 0
    open: list[str] = field(default_factory=list)
    child: str = ""
    """The run that it is."""
    in_queue: bool = False
    """Whether it waits for a place in its queue."""

    @property
    def open_questions(self) -> list[Question]:
        """What its tools ask and nobody has answered yet."""
        return [it for it in self.questions.values() if it.answer is None]

    def asks_in(self, call: str) -> bool:
        """Whether a call of it waits for an answer."""
        return any(it.answer is None and it.asked.call == call for it in self.questions.values())


MAX_EVENTS = 1_000_000
"""Events that one run may have, unless its owner says otherwise."""


class RunState(Struct):
    """A run. `waiting` counts, for each node, the nodes that it still waits for."""

    run: str
    graph: Graph
    max_events: int = MAX_EVENTS
    subject_label: str = ""
    """The label that says whose data a run holds, where that may be erased."""
    phase: RunPhase = RunPhase.NEW
    principal: str = ""
    attributes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    run_key: str = ""
    queue: str = ""
    parent: Parent | None = None
    forked_from: str = ""
    trace: str = ""
    started_at: int = 0
    ended_at: int | None = None
    input: Data = NOTHING
    steps: dict[str, StepState] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    ended: int = 0
    output: Data = NOTHING
    failure: Failure | None = None
    failed_step: str = ""
    reason: str = ""
    sequence: int = 0
    is_admitted: bool = True
    """Whether it has its place in its queue, where it has one."""
    is_paused: bool = False
    is_compensating: bool = False
    undo: list[str] = field(default_factory=list)
    """Steps that ended well and can be undone, in the order in which they ended."""
    not_undone: list[str] = field(default_factory=list)
    """Those of them whose undoing failed."""
    signals: dict[str, deque[Data]] = field(default_factory=dict)
    """Messages that no step has taken yet, by name."""
    listening: dict[str, dict[str, None]] = field(default_factory=dict)
    """Steps that wait for a message, by its name, oldest first."""
    seen: set[str] = field(default_factory=set)
    """The ids of messages that came."""
    asking: dict[str, None] = field(default_factory=dict)
    """Steps that ask a person something."""
    questioning: dict[str, None] = field(default_factory=dict)
    """Steps whose tools ask something."""
    ask_changes: list[AskChange] = field(default_factory=list)
    """What the list of questions is to be told."""
    calls: dict[str, int] = field(default_factory=dict)
    """How many calls of each tool have come back; 0 where only runs above or below it made any."""
    approved: dict[str, int] = field(default_factory=dict)
    """How many calls of each tool a person has said yes to."""
    tokens: int = 0
    """How many its models have read and written."""
    read: set[str] = field(default_factory=set)
    """The seals of all data that has come into it."""
    limits: dict[str, int] = field(default_factory=dict)
    """What it may spend, by unit."""
    shares: tuple[str, ...] = ()
    """Runs above it whose limits hold for it as well."""
    exhausted: BudgetExhausted | None = None
    """What it is paused for, where it has too little left."""
    usd_micros: int = 0
    """What its models have cost, as far as anybody knows."""
    unpriced: int = 0
    """How many answers of models have a price that nobody knows."""
    rows: int = 0
    """How many rows it has read from datasources."""
    napping: dict[str, None] = field(default_factory=dict)
    """Steps that wait for a time."""
    queueing: dict[str, None] = field(default_factory=dict)
    """Steps that wait for a place in their queue; the run itself is ""."""
    open: dict[str, Command] = field(default_factory=dict)
    """What should be in flight, by the id of the command."""
    busy: int = 0
    """How many commands in `open` are more than a wait for a time, or for a place in a queue."""
    fresh: dict[str, None] = field(default_factory=dict)
    """Ids in `open` that `due` hands out next."""
    dormant: dict[str, None] = field(default_factory=dict)
    """Ids in `open` of calls that are made again when what they ask is answered."""
    out: set[str] = field(default_factory=set)
    """Ids in `open` that `due` has handed out in this fold, and that somebody is busy with."""
    timers: list[tuple[int, str]] = field(default_factory=list)
    """A heap of ids that become fresh at a time, with what is out of date."""
    ripe: dict[str, int] = field(default_factory=dict)
    """When an id in `open` becomes fresh that is not yet."""
    stops: list[str] = field(default_factory=list)
    """Ids that were handed out and that nobody waits for any more."""
    orphans: list[str] = field(default_factory=list)
    """Children that are to be cancelled, as the step that started them has ended."""
    tickets: dict[str, None] = field(default_factory=dict)
    """Steps that are in a queue or have a place there; the run itself is ""."""
    left: list[str] = field(default_factory=list)
    """Tickets that are to be given back."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing will happen to this run any more, unless it is taken up again."""
        return self.ended_at is not None

    @property
    def subject(self) -> str:
        """Whose data it holds, which the log must not quote as it may be erased; "" where none."""
        return subject_of(self.labels, self.subject_label)

    def awaits(self, command: str) -> bool:
        """Whether somebody waits for the outcome of this command: else it came before, or late."""
        return command in self.open

    @property
    def is_waiting(self) -> bool:
        """Whether it goes on only when a person, a message, a time or a place in a queue comes."""
        is_idle = self.busy == 0 or self.busy == self._asking_calls
        return self.phase is RunPhase.RUNNING and (is_idle or not self.is_admitted)

    @property
    def _asking_calls(self) -> int:
        """How many calls wait for the answer to a question."""
        return sum(
            len({it.asked.call for it in self.steps[id].open_questions}) for id in self.questioning
        )

    @property
    def is_at_rest(self) -> bool:
        """Whether nobody is busy with it here: it may be let go of until something comes."""
        is_held_back = self.is_paused or not self.is_admitted
        begins = self.fresh and not is_held_back
        return not (self.has_ended or self.out or begins or self.stops or self.orphans)

    @property
    def wakes_at(self) -> int | None:
        """When time alone will make more due."""
        return self.timers[0][0] if self.timers and not self.is_paused else None


def subject_of(labels: Mapping[str, str], label: str) -> str:
    """Whom the labels of a run name as the subject of its data, as a seal is named."""
    name = labels.get(label, "") if label else ""
    return f"the subject {name}" if name else ""
