"""The log, seen from outside: each commit is checked against what was promised.

The ledger folds every run a second time, from the bytes of the log alone, and knows of leases,
letters and calls only what passes through the ports. It trusts nothing that a worker says of
itself.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from msgspec import Struct, field
from tests.simulation import documents
from tests.simulation.moves import Move, Row, granted, is_meddling, misfit
from tests.simulation.pictures import picture
from tests.simulation.places import Places

from stepwell.engine import codec
from stepwell.engine.commands import CallModel, CallTool, child_id, child_run
from stepwell.engine.events import (
    ApprovalDecided,
    Event,
    QuestionAnswered,
    RunForked,
    RunStarted,
    StepScheduled,
    ToolCall,
)
from stepwell.engine.evolve import evolve
from stepwell.engine.graph import Graph
from stepwell.engine.inputs import Input, ToolAnswered
from stepwell.engine.state import RunState, StepPhase, StepState
from stepwell.engine.values import Data
from stepwell.errors import Code
from stepwell.orchestrator.asked import take_rows
from stepwell_storage.records import Append, Blob, Lease, QueueRow

MEDDLER = "user:carol"
"""Who changes the outcome of runs."""

OnCommit: TypeAlias = Callable[[str, Sequence[Event]], None]


class Violation(Exception):
    """A promise was broken; the message has the seed, the promise, and the history."""


class Made(Struct, frozen=True):
    """A call that a tool really saw. `fold` is the state that it was handed out by."""

    key: str
    attempt: int
    fold: RunState
    may_repeat: bool


class Account(Struct):
    """What is known of one run. `before` are the events of others that a fork goes on from."""

    state: RunState
    origin: str
    """Whose script it follows: its own, or that of the run that it was forked from."""
    before: list[Event] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    epoch: int = 1
    blobs: dict[str, Blob] = field(default_factory=dict)
    made: list[Made] = field(default_factory=list)
    scheduled: set[str] = field(default_factory=set)
    """Every step that there ever was."""
    answered: dict[str, str] = field(default_factory=dict)
    """What was said to each subject."""
    used: Counter[str] = field(default_factory=Counter)
    """How often a call was made by the yes to a subject."""
    granted: Counter[str] = field(default_factory=Counter)
    """How often somebody let a step be tried again, or a call be made again, by its key."""
    is_unwanted: bool = False
    """Whether its parent did not wait for it any more when it was started."""
    is_meddled_with: bool = False
    """Whether it may end otherwise than the undisturbed run, because a person said so."""
    newest: Append | None = None
    writer: RunState | None = None
    """The live state of who wrote last."""

    @property
    def history(self) -> list[Event]:
        """All that made the run what it is."""
        return self.before + self.events


class Ledger:
    """Every run of a world. Each `check` raises `Violation`."""

    def __init__(self, seed: int, *, on_commit: OnCommit, queues: Sequence[QueueRow] = ()) -> None:
        """`on_commit` is told what was added to a run; `queues` are those that have limits."""
        self._seed = seed
        self._on_commit = on_commit
        self._taken: set[str] = set()
        self.accounts: dict[str, Account] = {}
        self.places = Places(queues)
        self.rows: set[Row] = set()
        """The rows of the transition tables that were seen."""

    def open(self, run: str, graph: Graph) -> None:
        """A run that may be started from now on."""
        self.accounts[run] = Account(RunState(run, graph), run)

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
        account = self.accounts.get(append.run) or self._open_new(append)
        if append == account.newest:
            return  # it was asked for again, and is there once
        account.newest, account.writer = append, live
        self.check(
            append.run,
            append.epoch == account.epoch,
            f"fenced: epoch {append.epoch} wrote when the lease had {account.epoch}",
        )
        account.epoch = append.then_epoch
        account.blobs.update((blob.digest, blob) for blob in append.blobs)
        before = len(account.events)
        for event, principal in self._events_of(append, account):
            self._fold(append.run, account, event, principal)
        self._check_letters(append)
        self._check_list(append, account.state)
        if live is not None and live.sequence == account.state.sequence:
            self.check(
                append.run,
                picture(live) == picture(account.state),
                "the fold of the log is the owner's live state",
            )
        crowd = self.places.moved(account.state)
        self.check(append.run, not crowd, f"a queue lets in no more than it may: {crowd}")
        self._on_commit(append.run, account.events[before:])

    def asked(self, state: RunState, command: CallModel) -> None:
        """A model is asked."""
        step = self._committed_step(state, command)
        if step is not None and step.conversation is not None:
            told = step.conversation.turns >= command.call - 1
            self.check(state.run, told, f"{command.id} follows from what is committed")

    def made(self, state: RunState, command: CallTool, *, may_repeat: bool) -> None:
        """A tool begins to act."""
        account = self.accounts[state.run]
        again = sum(
            made.fold is state and (made.key, made.attempt) == (command.key, command.attempt)
            for made in account.made
        )
        once = again <= self._grants(account, command.key)
        self.check(state.run, once, f"{command.id} is handed out once per fold")
        step = self._committed_step(state, command)
        if step is not None:
            if step.conversation is not None:
                told = step.conversation.turns >= int(command.call.partition(".")[0])
                self.check(state.run, told, f"{command.id} follows from what is committed")
            begun = may_repeat or command.call in step.begun or step.attempt > command.attempt
            self.check(state.run, begun, f"{command.id} is begun before it acts")
        if command.approval is not None:
            self._check_use(account, command, command.approval.subject, may_repeat=may_repeat)
        account.made.append(Made(command.key, command.attempt, state, may_repeat))

    def _committed_step(self, state: RunState, command: CallModel | CallTool) -> StepState | None:
        """The step of a command as the log has it; None when it has ended there."""
        run, account = state.run, self.accounts[state.run]
        scheduled = command.step in account.scheduled
        self.check(run, scheduled, f"{command.id} acts for a step that is committed")
        step = account.state.steps.get(command.step)
        if step is None:
            return None
        attempt = step.attempt >= command.attempt
        self.check(run, attempt, f"{command.id} acts for an attempt that is committed")
        if account.writer is state:
            is_begun = isinstance(command, CallTool) and command.call in step.begun
            in_time = is_begun or not account.state.is_paused
            self.check(run, in_time, f"{command.id} begins after the pause")
            self.check(run, not step.in_queue, f"{command.id} begins before it has its place")
            owner = account.state.steps.get(step.owner, step)
            goes_on = owner.phase is StepPhase.ACTIVE
            self.check(run, goes_on, f"{command.id} acts for {owner.id}, which is {owner.phase}")
        return step if step.phase is StepPhase.ACTIVE else None

    # --- accounts -------------------------------------------------------------------------

    def _open_new(self, append: Append) -> Account:
        """A run that another one has started, or that goes on from another one."""
        record = append.records[0]
        first = codec.decode(record.kind, record.body)
        self.check_known(append, isinstance(first, RunStarted | RunForked))
        assert isinstance(first, RunStarted | RunForked)
        state = RunState(append.run, documents.graph_of(first.workflow))
        account = Account(state, append.run)
        self.accounts[append.run] = account
        if isinstance(first, RunForked):
            other = self.accounts[first.run]
            account.origin = other.origin
            account.before = other.before + other.events[: first.sequence]
            account.is_meddled_with = other.is_meddled_with
            for event in account.before:
                self._note(account, event)
                evolve(state, event)
            state.ask_changes.clear()
        elif first.parent is not None:
            above = self.accounts[first.parent.run]
            account.origin = child_run(above.origin, first.parent.step, first.parent.attempt)
            own = child_run(above.state.run, first.parent.step, first.parent.attempt)
            self.check(append.run, append.run == own, "a step is one run for each attempt")
            waits = child_id(first.parent.step, first.parent.attempt) in above.state.open
            account.is_unwanted = not waits
        return account

    def check_known(self, append: Append, holds: bool) -> None:
        """A run that nobody has announced begins as the child or the fork of another."""
        if not holds:
            raise Violation(f"seed {self._seed}: the run {append.run} came from nowhere: {append}")

    def _events_of(self, append: Append, account: Account) -> Iterable[tuple[Event, str]]:
        for record in append.records:
            expected = len(account.events) + 1
            no_gap = record.sequence == expected
            self.check(append.run, no_gap, f"no gap: {record.sequence} comes, not {expected}")
            stored = codec.decode(record.kind, record.body)
            self._check_seals(append.run, stored, account)
            yield codec.fill(stored, account.blobs), record.principal

    def _fold(self, run: str, account: Account, event: Event, principal: str) -> None:
        move = Move(account.state, event, is_first=not account.events)
        self.rows.add(move.row)
        wrong = misfit(move, account.events[-1] if account.events else None)
        self.check(run, not wrong, wrong)
        account.granted.update(granted(move))
        self._note_answer(run, account, move)
        account.is_meddled_with |= principal == MEDDLER and is_meddling(move)
        self._note(account, event)
        account.events.append(event)
        evolve(account.state, event)

    def _note(self, account: Account, event: Event) -> None:
        if isinstance(event, StepScheduled):
            account.scheduled.add(event.step)

    # --- promises -------------------------------------------------------------------------

    def _check_letters(self, append: Append) -> None:
        for id in append.taken:
            # A step that enters a queue again is told again that it has its place.
            once = id.startswith("admitted/") or id not in self._taken
            self.check(append.run, once, f"the letter {id} teaches once")
            self._taken.add(id)

    def _note_answer(self, run: str, account: Account, move: Move) -> None:
        event, step = move.event, move.step
        if isinstance(event, QuestionAnswered) and step is not None:
            found = step.questions.get((event.call, event.key))
            once = found is not None and found.answer is None and found.asked.id == event.id
            self.check(run, once, "a question is answered once")
        if not isinstance(event, ApprovalDecided) or step is None:
            return
        asked = step.asks[event.call].asked
        if asked.about == "call":
            self.check(run, asked.subject not in account.answered, "a subject is answered once")
            in_time = asked.expires_at is None or event.at < asked.expires_at
            self.check(run, in_time, "nobody answers when the time is over")
            account.answered[asked.subject] = event.decision

    def _check_use(
        self, account: Account, command: CallTool, subject: str, *, may_repeat: bool
    ) -> None:
        """A held call is made by a yes that is committed, and by none of another call."""
        run = account.state.run
        said = account.answered.get(subject)
        self.check(run, said == "approve", f"{command.id} is made by a yes that was given: {said}")
        account.used[subject] += 1
        once = may_repeat or account.used[subject] == 1
        self.check(run, once, f"the yes to {command.id} is used once")

    def _check_list(self, append: Append, state: RunState) -> None:
        """The list of approvals says what the log says."""
        rows = take_rows(state)
        same = append.withdraws is not None or rows == append.approvals
        self.check(append.run, same, f"the list of approvals says {rows}, not {append.approvals}")

    def _check_seals(self, run: str, stored: Event, account: Account) -> None:
        """No body holds sealed data: what is sealed is a blob, and its label says so."""
        for digest in codec.references(stored):
            self.check(run, digest in account.blobs, f"the blob {digest} is written with its event")
        for name in stored.__struct_fields__:
            data = getattr(stored, name)
            if isinstance(data, Data):
                self.check(run, not data.sealed, f"{type(stored).__name__}.{name} holds a seal")

    def was_let_again(self, run: str, given: Input) -> bool:
        """Whether a person has let the call be made again that a report is about."""
        if not isinstance(given, ToolAnswered):
            return False
        key = f"{given.step}/{given.call}" if given.call else given.step
        return self._grants(self.accounts[run], key) > 0

    @staticmethod
    def _grants(account: Account, key: str) -> int:
        """How often a person let a call be made again, or the whole step that it is of."""
        return sum(account.granted[it] for it in {key, key.partition("/")[0]})

    def check_executions(self, run: str) -> None:
        """How often each call was made, once the run has ended."""
        account = self.accounts[run]
        for key, times in Counter(made.key for made in account.made).items():
            may_repeat = all(made.may_repeat for made in account.made if made.key == key)
            most = 1 + self._grants(account, key)
            if may_repeat:
                attempts = max(made.attempt for made in account.made if made.key == key)
                most += account.epoch + attempts - 2
            else:
                most += sum(_is_known_failure(event, key) for event in account.history)
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
        name, opened = account.state.graph.name, ", ".join(account.state.open)
        return "\n".join(
            [
                f"{run}: workflow {name}, epoch {account.epoch}, open: {opened}",
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
