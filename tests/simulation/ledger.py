"""The log, seen from outside: each commit is checked against what was promised.

The ledger folds every run a second time, from the bytes of the log alone, and knows of leases
and calls only what passes through the ports. It trusts nothing that a worker says of itself.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import Struct, field

from stepwell.engine import codec, transitions
from stepwell.engine.commands import CallModel, CallTool, Command, JudgeLost
from stepwell.engine.events import (
    Event,
    LlmCall,
    PolicyDecided,
    StepCompleted,
    StepFailed,
    StepRetryScheduled,
    StepScheduled,
    StepSkipped,
    ToolCall,
    ToolCallStarted,
)
from stepwell.engine.evolve import evolve
from stepwell.engine.graph import Graph
from stepwell.engine.state import RunPhase, RunState, StepPhase, StepState
from stepwell.engine.values import Data
from stepwell.errors import Code
from stepwell_storage.records import Append, Blob, Lease

Row = tuple[RunPhase | StepPhase, type[Event]]


class Violation(Exception):
    """A promise was broken; the message has the seed, the promise, and the history."""


class Made(Struct, frozen=True):
    """A call that a tool really saw. `fold` is the state that it was handed out by."""

    key: str
    attempt: int
    fold: RunState
    may_repeat: bool


class Account(Struct):
    """What is known of one run."""

    state: RunState
    epoch: int = 1
    events: list[Event] = field(default_factory=list)
    blobs: dict[str, Blob] = field(default_factory=dict)
    made: list[Made] = field(default_factory=list)


class Ledger:
    """Every run of a world. Each `check` raises `Violation`."""

    def __init__(self, seed: int, *, on_end: Callable[[], None]) -> None:
        """`on_end` is called when a run has ended."""
        self._seed = seed
        self._on_end = on_end
        self.accounts: dict[str, Account] = {}
        self.rows: set[Row] = set()
        """The rows of the transition tables that were seen."""

    def open(self, run: str, graph: Graph) -> None:
        """A run that may be started from now on."""
        self.accounts[run] = Account(RunState(run, graph))

    @property
    def unended(self) -> list[str]:
        """The runs that have not ended."""
        return [run for run, kept in self.accounts.items() if not kept.state.has_ended]

    # --- what passes through the ports ----------------------------------------------------

    def claimed(self, leases: Iterable[Lease]) -> None:
        """A worker was given these runs."""
        for lease in leases:
            account = self.accounts[lease.run]
            self.check(lease.run, lease.epoch == account.epoch + 1, "a claim skips no epoch")
            self.check(lease.run, not account.state.has_ended, "an ended run is never claimed")
            account.epoch = lease.epoch

    def committed(self, append: Append, live: RunState | None) -> None:
        """An append was accepted; `live` is the state of its writer, if that still has one."""
        account = self.accounts[append.run]
        self.check(
            append.run,
            append.epoch == account.epoch,
            f"fenced: epoch {append.epoch} wrote when the lease had {account.epoch}",
        )
        account.blobs.update((blob.digest, blob) for blob in append.blobs)
        for record in append.records:
            self.check(
                append.run,
                record.sequence == account.state.sequence + 1,
                f"no gap: {record.sequence} follows {account.state.sequence}",
            )
            stored = codec.decode(record.kind, record.body)
            self._check_seals(append.run, stored, account)
            event = codec.fill(stored, account.blobs)
            self._check_move(append.run, account.state, event)
            account.events.append(event)
            evolve(account.state, event)
        if live is not None and live.sequence == account.state.sequence:
            self.check(
                append.run,
                picture(live) == picture(account.state),
                "the fold of the log is the owner's live state",
            )
        if account.state.has_ended:
            self._on_end()

    def asked(self, state: RunState, command: CallModel) -> None:
        """A model is asked."""
        step = self._committed_step(state.run, command)
        if step is not None and step.conversation is not None:
            told = step.conversation.turns >= command.call - 1
            self.check(state.run, told, f"{command.id} follows from what is committed")

    def made(self, state: RunState, command: CallTool, *, may_repeat: bool) -> None:
        """A tool begins to act."""
        account = self.accounts[state.run]
        again = any(
            made.fold is state and (made.key, made.attempt) == (command.key, command.attempt)
            for made in account.made
        )
        self.check(state.run, not again, f"{command.id} is handed out once per fold")
        step = self._committed_step(state.run, command)
        if step is not None:
            if step.conversation is not None:
                told = step.conversation.turns >= int(command.call.partition(".")[0])
                self.check(state.run, told, f"{command.id} follows from what is committed")
            begun = may_repeat or command.call in step.begun or step.attempt > command.attempt
            self.check(state.run, begun, f"{command.id} is begun before it acts")
        account.made.append(Made(command.key, command.attempt, state, may_repeat))

    def _committed_step(self, run: str, command: CallModel | CallTool) -> StepState | None:
        """The step of a command as the log has it; None when it has ended there."""
        step = self.accounts[run].state.steps.get(command.step)
        self.check(run, step is not None, f"{command.id} acts for a step that is committed")
        assert step is not None
        attempt = step.attempt >= command.attempt
        self.check(run, attempt, f"{command.id} acts for an attempt that is committed")
        return step if step.phase is StepPhase.ACTIVE else None

    # --- promises -------------------------------------------------------------------------

    def _check_move(self, run: str, state: RunState, event: Event) -> None:
        """Legal by the tables, about the attempt that is under way, and recorded once."""
        name = type(event).__name__
        if (state.phase, type(event)) in transitions.RUN:
            self.rows.add((state.phase, type(event)))
            return
        self.check(run, state.phase is RunPhase.RUNNING, f"{name} comes while it is {state.phase}")
        step = state.steps.get(getattr(event, "step", ""))
        phase = StepPhase.NEW if step is None else step.phase
        self.check(run, (phase, type(event)) in transitions.STEP, f"{name} meets a {phase} step")
        self.rows.add((phase, type(event)))
        match event:
            case StepScheduled() | StepSkipped():
                waiting = state.waiting[event.node]
                self.check(run, waiting == 0, f"{event.step} starts while it waits for {waiting}")
            case StepRetryScheduled():
                self._check_attempt(run, state, event.step, event.attempt - 1)
            case ToolCall() | PolicyDecided() | ToolCallStarted():
                self._check_attempt(run, state, event.step, event.attempt)
                self._check_open(run, state, event)
            case LlmCall():
                self._check_attempt(run, state, event.step, event.attempt)
                talk = state.steps[event.step].conversation
                told = talk is not None and event.call == talk.turns + 1
                self.check(run, told, f"model call {event.call} of {event.step} is the next one")
            case StepFailed() if step is None:
                waiting = state.waiting[event.step]
                self.check(run, waiting == 0, f"{event.step} fails while it waits for {waiting}")
            case StepCompleted() | StepFailed():
                self._check_attempt(run, state, event.step, event.attempt)
            case _:
                self.check(run, False, f"{name} is no event of a step")

    def _check_attempt(self, run: str, state: RunState, step: str, attempt: int) -> None:
        current = state.steps[step].attempt
        self.check(run, attempt == current, f"{step} is at attempt {current}, not {attempt}")

    def _check_open(
        self, run: str, state: RunState, event: ToolCall | PolicyDecided | ToolCallStarted
    ) -> None:
        id = f"{event.step}/{event.attempt}/tool/{event.call}"
        self.check(run, id in state.open, f"{type(event).__name__} answers {id}, which is open")

    def _check_seals(self, run: str, stored: Event, account: Account) -> None:
        """No body holds sealed data: what is sealed is a blob, and its label says so."""
        for digest in codec.references(stored):
            self.check(run, digest in account.blobs, f"the blob {digest} is written with its event")
        for name in stored.__struct_fields__:
            data = getattr(stored, name)
            if isinstance(data, Data):
                self.check(run, not data.sealed, f"{type(stored).__name__}.{name} holds a seal")

    def check_executions(self, run: str) -> None:
        """How often each call was made, once the run has ended."""
        account = self.accounts[run]
        for key, times in Counter(made.key for made in account.made).items():
            may_repeat = all(made.may_repeat for made in account.made if made.key == key)
            if may_repeat:
                attempts = max(made.attempt for made in account.made if made.key == key)
                most = account.epoch + attempts - 1
            else:
                most = 1 + sum(_is_known_failure(event, key) for event in account.events)
            self.check(run, times <= most, f"{key} is made at most {most} times, not {times}")

    def check(self, run: str, holds: bool, promise: str) -> None:
        """Raises unless the promise holds."""
        if not holds:
            raise Violation(f"seed {self._seed}, run {run}: broken: {promise}\n{self.story(run)}")

    def story(self, run: str) -> str:
        """The history of a run, for whoever looks for the reason."""
        account = self.accounts[run]
        lines = [f"{n:4} {event}" for n, event in enumerate(account.events, 1)]
        made = Counter((made.key, made.attempt) for made in account.made)
        opened = ", ".join(account.state.open)
        return "\n".join(
            [
                f"workflow {account.state.graph.name}, epoch {account.epoch}, open: {opened}",
                *lines,
                *(f"made {key} in attempt {n}: {times}" for (key, n), times in made.items()),
            ]
        )


def _is_known_failure(event: Event, key: str) -> bool:
    """Whether a call came back with a failure of which it is known that nothing was done."""
    return (
        isinstance(event, ToolCall)
        and event.key == key
        and event.failure is not None
        and event.failure.reason != Code.OUTCOME_UNKNOWN
    )


def picture(state: RunState) -> bytes:
    """All that a fold of the log must agree on, whoever folded it.

    What was handed out already, and whether data came inline or from a blob, differs between
    folds and is left out.
    """
    steps: list[Any] = [
        [
            step.id,
            step.node,
            step.phase,
            step.attempt,
            plain(step.input),
            plain(step.output),
            step.sealed,
            step.conversation,
            sorted(step.begun),
            sorted(step.open),
        ]
        for step in state.steps.values()
    ]
    run = [
        state.phase,
        state.principal,
        plain(state.input),
        state.waiting,
        state.ended,
        plain(state.output),
        state.failure,
        state.sequence,
    ]
    opened = sorted((id, _shape(command)) for id, command in state.open.items())
    return msgspec.json.encode([run, steps, opened])


def plain(data: Data) -> Any:
    """Data, whether it came inline or from a blob."""
    return [data.value, data.sealed]


def _shape(command: Command) -> Any:
    kind = type(command).__name__
    call = command.call if isinstance(command, JudgeLost) else command
    if isinstance(call, CallTool):
        return [kind, call.tool, call.key, plain(call.arguments), call.idempotent]
    return [kind]
