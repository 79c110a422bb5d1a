"""A run in the hands of its one owner: what it is told, committed, and set going.

The order is always the same: an input is decided, its events are folded and queued, and
only after their commit the commands that follow from them are carried out. One append of a
run is in flight at a time; what happens meanwhile waits and goes into the next one.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from stepwell.clock import Clock
from stepwell.engine.commands import (
    CallModel,
    CallTool,
    Command,
    EnterQueue,
    ExpireAsk,
    ExpireQuestion,
    ExpireStep,
    FireTimer,
    JudgeLost,
    StartChild,
    Stop,
    WakeAt,
    child_run,
)
from stepwell.engine.decide import decide
from stepwell.engine.due import due, lull, put_back
from stepwell.engine.events import Event, QuestionAnswered, RunFailed
from stepwell.engine.evolve import evolve
from stepwell.engine.inputs import (
    Asked,
    AskExpired,
    AskQuestions,
    CallLost,
    Expire,
    Fired,
    Input,
    QuestionExpired,
    ToolBegun,
)
from stepwell.engine.objections import objection
from stepwell.engine.state import RunState
from stepwell.engine.values import Failure
from stepwell.errors import Code
from stepwell.orchestrator import letters
from stepwell.orchestrator.asked import take_rows
from stepwell.orchestrator.calls import Calls
from stepwell.orchestrator.effects import AskRun, Begin, Effect, Effects, broken, cancelled
from stepwell.orchestrator.journal import Journal
from stepwell.orchestrator.meter import RunMeter
from stepwell.orchestrator.peers import Peers
from stepwell.orchestrator.spending import Spending
from stepwell.orchestrator.standing import RUNNING, Standing, standing_of
from stepwell.tools.port import ToolFailed
from stepwell.vault.sealer import Sealer
from stepwell_storage.errors import Full as StorageFull
from stepwell_storage.errors import StorageError
from stepwell_storage.errors import Unavailable as StorageUnavailable
from stepwell_storage.records import ApprovalRow, Letter, Spent

T = TypeVar("T")

LOOK_AGAIN = 5.0
"""Seconds until the clock is looked at again: it may be set while a timer waits."""
RETRY_APPEND = 0.5
"""Seconds until an append is tried again that found the disk full or the database away."""

log = logging.getLogger(__name__)


class NotWritten(Exception):
    """The run was told, but not the log: that follows as soon as the database can be written.

    The cause is why it cannot be. A process that ends before forgets what the run was told.
    """


class _Commit(NamedTuple):
    """Somebody who waits until the log holds an event; the impatient do not wait for room."""

    sequence: int
    done: asyncio.Future[bool]
    is_patient: bool


class Outgoing(Struct):
    """What an append of a run holds, and what is carried out when it is committed."""

    events: list[tuple[Event, str]] = []
    commands: list[Command] = []
    letters: list[Letter] = []
    taken: list[str] = []
    left: list[str] = []
    approvals: list[ApprovalRow] = []
    withdraws: bool = False
    """Whether nobody is asked anything any more, whatever was asked."""
    spent: list[Spent] = []
    frees: bool = False
    """Whether nothing stays reserved for the run."""
    standing: Standing = RUNNING
    """Where the run stands then."""


class OwnedRun:
    """Drives one run for as long as its lease is ours."""

    def __init__(
        self,
        namespace: str,
        state: RunState,
        *,
        epoch: int,
        journal: Journal,
        effects: Effects,
        peers: Peers,
        clock: Clock,
        calls: Calls,
        jitter: Callable[[], float],
        on_end: Callable[["OwnedRun"], None],
        on_standing: Callable[["OwnedRun"], None],
        seal: Sealer | None = None,
        meter: RunMeter | None = None,
        spending: Spending | None = None,
    ) -> None:
        """`on_end` is called once: when the run has ended, or its lease is lost.

        `on_standing` is called whenever the list of runs shows another standing of it. `jitter`
        draws a number in [0, 1) that spreads the retries of many.
        """
        self.namespace = namespace
        self.state = state
        self.epoch = epoch
        self.committed = state.sequence
        self._journal = journal
        self._effects = effects
        self._peers = peers
        self._clock = clock
        self._calls = calls
        self._jitter = jitter
        self._on_end = on_end
        self._on_standing = on_standing
        self._seal = seal
        self._meter = meter
        self._spending = spending
        self._next = Outgoing()
        """What the append after the one under way will hold."""
        self._sent: Outgoing | None = None
        """What is under way. It is sent again as it was until the store has answered: a store that
        has written it, and could not say so, takes the same again for what it is."""
        self._told: set[str] = set()
        """The ids of letters that the run has been told and that the store still has."""
        self.standing = standing_of(state)
        """Where the run stands, as the list of runs shows it."""
        self._appending = False
        self._is_draining = False
        self._gone = False
        self.is_lost = False
        """Whether the store has said that the run is not ours any more."""
        self._is_broken = False
        self._in_flight: dict[str, asyncio.Task[None]] = {}
        self._asking: list[CallTool] = []
        """Calls that wait for the answers to what they asked."""
        self._news: asyncio.Future[None] | None = None
        """Ends with the next commit; only calls that wait for an answer want to know."""
        self._commits: list[_Commit] = []
        self._blocked_by: StorageError | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def has_ended(self) -> bool:
        """Whether the run has ended, and the log says so."""
        if self._is_broken:
            return False  # the log says so in the end, and the state never will
        return self.state.has_ended and self.committed == self.state.sequence

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is in flight and all is written: others may hold it as well as we."""
        return (
            not (self._sent or self._next.events or self._in_flight or self._commits)
            and self._blocked_by is None
            and not self._is_broken
            and (self.state.is_at_rest or self._is_draining)
        )

    def drain(self) -> None:
        """Begins nothing new; what is in flight ends, and then the run is at rest.

        A call that only waits for an answer is let go of: it is made again when that has come.
        """
        self._is_draining = True
        for command in tuple(self._asking):
            self._let_go_of(command)

    def _let_go_of(self, command: CallTool) -> None:
        if lull(self.state, command) and (task := self._in_flight.pop(command.id, None)):
            self._calls.stop(task)

    def go_on(self) -> None:
        """Sets going whatever should be in flight, as the state stands."""
        self._carry_out(due(self.state, self._clock.now()))

    def give(self, given: Input) -> bool:
        """Tells the run something; False when that teaches it nothing."""
        if self._gone or self._is_broken:
            return False
        try:
            return self._learn(given)
        except Exception as error:  # noqa: BLE001 - the other runs here are not to blame
            self._break_off(error, type(given).__name__)
            return False

    def take(self, letter: str, given: Input) -> bool:
        """Tells the run what a letter says; False when the letter is to be dropped.

        What it teaches is written in one transaction with the removal of the letter.
        """
        if letter in self._told:
            return True
        self._next.taken.append(letter)
        if not self.give(given):
            if letter in self._next.taken:
                self._next.taken.remove(letter)
            return self._gone or self._is_broken
        self._told.add(letter)
        return True

    async def record(self, given: Input) -> bool:
        """Tells the run something and waits for its commit; False when it was not recorded.

        What meets the end of the run is answered when the log has that end.
        """
        return await self._record(given, is_patient=True)

    async def ask(self, given: Input) -> bool:
        """As `record`, for a caller who is answered although the database cannot be written.

        Raises:
            Full, Unavailable: the run waits for the database already; it was not told.
            NotWritten: the database could not be written when the run had been told.
        """
        if self._blocked_by is not None:
            raise type(self._blocked_by)(str(self._blocked_by))
        return await self._record(given, is_patient=False)

    def drop(self) -> None:
        """Lets go of the run: nothing is written any more, effects in flight are cancelled."""
        if self._gone:
            return
        self._gone = True
        self._stop_all()
        for commit in self._commits:
            if not commit.done.done():
                commit.done.set_result(False)
        self._commits.clear()
        self._on_end(self)

    async def _record(self, given: Input, *, is_patient: bool) -> bool:
        is_told = self.give(given)
        is_ending = self.state.has_ended or self._is_broken
        if self._gone or not (is_told or is_ending):
            return False
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._commits.append(_Commit(self.state.sequence, done, is_patient))
        try:
            return await done and is_told
        except NotWritten as error:
            if is_told or error.__cause__ is None:
                raise
            # Nothing was told, so nothing is kept either: only the store's refusal is true.
            raise error.__cause__ from None

    def _break_off(self, error: BaseException, over: str) -> None:
        """Ends a run that a defect of ours keeps from going on.

        Half a fold is worth nothing, so the end is written from what is committed alone. Left
        as its log has it, the run would break again at every start and could not be cancelled.
        """
        log.error("run %s broke over %s", self.state.run, over, exc_info=error)
        if self._is_broken:
            self.drop()
            return
        self._is_broken = True
        self._stop_all()
        for command in self.state.open.values():
            if isinstance(command, StartChild):
                self.state.orphans.append(child_run(self.state.run, command.step, command.attempt))
        failed = RunFailed(at=self._clock.now(), failure=_defect(error, over))
        self.state.ask_changes.clear()
        self._next = Outgoing(
            [(failed, self.state.principal)], left=list(self.state.tickets), withdraws=True
        )
        self._flush()

    def _stop_all(self) -> None:
        while self._in_flight:
            _, task = self._in_flight.popitem()
            self._calls.stop(task)
        if self._timer is not None:
            self._timer.cancel()

    def _learn(self, given: Input) -> bool:
        events = decide(self.state, given)
        if not events:
            return False
        principal = given.principal or self.state.principal
        for event in events:
            evolve(self.state, event)
            self._next.events.append((event, principal))
        self._next.commands += due(self.state, given.at)
        self._flush()
        return True

    # --- committing -----------------------------------------------------------------------

    def _flush(self) -> None:
        if self._appending or self._gone:
            return
        if self._sent is None and self._next.events:
            self._sent, self._next = self._next, Outgoing()
            self._post(self._sent)
        if self._sent is not None:
            self._send(self._sent)

    def _send(self, outgoing: Outgoing) -> None:
        is_news = outgoing.standing != self.standing
        try:
            append = self._journal.append(
                self.namespace,
                self.state.run,
                epoch=self.epoch,
                after=self.committed,
                events=outgoing.events,
                standing=outgoing.standing if is_news else None,
                letters=outgoing.letters,
                taken=outgoing.taken,
                left=outgoing.left,
                approvals=outgoing.approvals,
                withdraws=outgoing.withdraws,
                spent=outgoing.spent,
                frees=outgoing.frees,
                seal=self._seal,
            )
        except Exception as error:  # noqa: BLE001 - an event that has no bytes, and never will
            self._sent = None
            self._break_off(error, "what it had to write")
            return
        self._appending = True
        append.add_done_callback(partial(self._appended, outgoing))

    def _post(self, outgoing: Outgoing) -> None:
        """Adds where the run stands, what others are told, and which places are free again."""
        state, at = self.state, self._clock.now
        outgoing.standing = standing_of(state)
        if state.left:
            outgoing.left += state.left
            state.left.clear()
        if state.ask_changes:
            outgoing.approvals += take_rows(state)
        if self._spending is not None and self._spending.is_limited(self.namespace, state):
            outgoing.spent = self._spending.spent(self.namespace, state, outgoing.events)
            outgoing.frees = state.has_ended or self._is_broken
        if state.orphans:
            outgoing.letters += (
                letters.cancel_child(child, state, at()) for child in state.orphans
            )
            state.orphans.clear()
        if state.parent is not None and (state.has_ended or self._is_broken):
            outgoing.letters.append(letters.child_ended(state, at()))

    def _appended(self, outgoing: Outgoing, append: asyncio.Future[int]) -> None:
        self._appending = False
        error = append.exception() if not append.cancelled() else None
        if self._gone or append.cancelled():
            return
        if error is not None:
            self._not_appended(error)
            return
        self._sent = None
        self.committed += len(outgoing.events)
        if self._meter is not None:
            self._meter.committed(self.state, outgoing.events)
        is_news = outgoing.standing != self.standing
        self.standing = outgoing.standing
        self._blocked_by = None
        if outgoing.taken:
            self._told.difference_update(outgoing.taken)
        while self._commits and self._commits[0].sequence <= self.committed:
            commit = self._commits.pop(0)
            if not commit.done.done():
                commit.done.set_result(True)
        if is_news:
            self._on_standing(self)
        if self._news is not None:
            self._news.set_result(None)
            self._news = None
        self._carry_out(outgoing.commands)
        if self._next.events:
            self._flush()
            return
        late, self._next.commands = self._next.commands, []
        self._carry_out(late)
        if self.has_ended or (self._is_broken and not self._appending):
            self.drop()

    def _not_appended(self, error: BaseException) -> None:
        if isinstance(error, StorageFull | StorageUnavailable):
            # What happened stays in memory and is written once there is room again.
            log.warning("run %s waits for the database: %s", self.state.run, error)
            self._blocked_by = error
            self._answer_the_impatient(error)
            asyncio.get_running_loop().call_later(RETRY_APPEND, self._flush)
            return
        if isinstance(error, StorageError):
            log.warning("run %s is not ours any more: %s", self.state.run, error)
            self.is_lost = True
        else:
            log.error("run %s cannot be written", self.state.run, exc_info=error)
        self.drop()

    def _answer_the_impatient(self, error: StorageError) -> None:
        for commit in self._commits:
            if not commit.is_patient and not commit.done.done():
                not_written = NotWritten()
                not_written.__cause__ = error
                commit.done.set_exception(not_written)

    # --- carrying out ---------------------------------------------------------------------

    def _carry_out(self, commands: list[Command]) -> None:
        now = self._clock.now
        for command in commands:
            if self._is_broken:
                return
            match command:
                case CallTool() | CallModel() | StartChild() | EnterQueue():
                    if self.state.is_paused:  # that came after it was due, and before the commit
                        put_back(self.state, command)
                    elif not self._is_draining:
                        id = command.id
                        self._in_flight[id] = self._calls.begin(id, self._perform(id, command))
                case JudgeLost(call=it):
                    self.give(CallLost(at=now(), step=it.step, attempt=it.attempt, call=it.call))
                case ExpireAsk(step=step, attempt=attempt, call=call, at=until):
                    self.give(
                        AskExpired(at=now(), step=step, attempt=attempt, call=call, until=until)
                    )
                case ExpireQuestion(step=step, attempt=attempt, question=id, at=until):
                    self.give(
                        QuestionExpired(
                            at=now(), step=step, attempt=attempt, question=id, until=until
                        )
                    )
                case ExpireStep(step=step, attempt=attempt):
                    jitter = self._jitter()
                    self.give(Expire(at=now(), step=step, attempt=attempt, jitter=jitter))
                case FireTimer(step=step, attempt=attempt):
                    self.give(Fired(at=now(), step=step, attempt=attempt))
                case Stop():
                    stopped = self._in_flight.pop(command.id, None)
                    if stopped is not None:
                        self._calls.stop(stopped)
                case WakeAt():
                    self._wake_at(command.at)

    async def _perform(self, id: str, command: Effect) -> None:
        try:
            given = None
            if not self._gone and id in self.state.open:  # else nobody waits any more
                given = await self._answer_to(command)
        except asyncio.CancelledError:
            if self._gone or isinstance(command, EnterQueue) or not self._is_mine(id):
                raise  # it was stopped by us
            given = cancelled(command, self._clock.now())
        except BaseException as error:  # out of here it would end every other run
            log.exception("run %s: %s could not be carried out", self.state.run, id)
            if isinstance(command, EnterQueue):
                self._break_off(error, "its place in a queue")
                return
            given = broken(command, error, self._clock.now())
        finally:
            if self._is_mine(id):
                del self._in_flight[id]
        if given is not None:
            self.give(replace(given, jitter=self._jitter()))

    def _is_mine(self, id: str) -> bool:
        """Whether the task that asks is the one that carries the command of this id out.

        One that was stopped may take its time to end, while the call is made again.
        """
        return self._in_flight.get(id) is self._calls.current

    def _answer_to(self, command: Effect) -> Awaitable[Input | None]:
        match command:
            case CallTool():
                begin: Begin = partial(self._begin, command)
                ask: AskRun = partial(self._ask_questions, command)
                return self._effects.call_tool(self.namespace, self.state, command, begin, ask)
            case CallModel():
                return self._effects.call_model(self.namespace, self.state, command)
            case StartChild():
                return self._start_child(command)
            case EnterQueue():
                return self._enter_queue(command)

    async def _start_child(self, command: StartChild) -> Input | None:
        """Starts the run that a step is; and stops it when the step has ended meanwhile."""
        ask = partial(self._peers.start_child, self.namespace, self.state, command)
        begun = await self._insist(ask, lambda: self.state.awaits(command.id))
        if not self.state.awaits(command.id):
            stop = partial(self._peers.stop_child, self.namespace, self.state, command)
            await self._insist(stop, lambda: True)
        return begun

    async def _enter_queue(self, command: EnterQueue) -> Input | None:
        ask = partial(self._peers.enter_queue, self.namespace, self.state, self.epoch, command)
        return await self._insist(ask, lambda: self.state.awaits(command.id))

    async def _insist(
        self, ask: Callable[[], Awaitable[T]], is_wanted: Callable[[], bool]
    ) -> T | None:
        """Asks until the database has answered, or nobody wants to know any more."""
        while is_wanted():
            try:
                return await ask()
            except (StorageFull, StorageUnavailable) as error:
                log.warning("run %s waits for the database: %s", self.state.run, error)
                await asyncio.sleep(RETRY_APPEND)
        return None

    async def _begin(self, command: CallTool, decision: str) -> bool:
        if self.state.is_paused:
            put_back(self.state, command)
            return False
        return await self._record_begun(command, decision)

    async def _record_begun(self, command: CallTool, decision: str) -> bool:
        return await self.record(
            ToolBegun(
                at=self._clock.now(),
                step=command.step,
                attempt=command.attempt,
                call=command.call,
                decision=decision,
            )
        )

    # --- questions ------------------------------------------------------------------------

    async def _ask_questions(
        self, command: CallTool, asked: tuple[Asked, ...], decision: str | None
    ) -> Mapping[str, QuestionAnswered]:
        """What a call asks, by its keys, when all of it is answered and the log says so.

        In a pause no answer is handed out. `decision` is what policy said of a call that may not be
        repeated: it is begun again before it hears of anything.

        Raises:
            ToolFailed: LIMIT_EXCEEDED, the call has asked too much.
        """
        given = AskQuestions(
            at=self._clock.now(),
            step=command.step,
            attempt=command.attempt,
            call=command.call,
            questions=asked,
        )
        if self.state.awaits(command.id) and (found := objection(self.state, given)) is not None:
            raise ToolFailed(found.message, code=found.code, retryable=False)
        await self.record(given)
        self._asking.append(command)
        try:
            if self._is_draining:
                self._let_go_of(command)
            while True:
                answers = self._answers(command, [it.key for it in asked])
                if answers is not None and await self._goes_on(command, decision):
                    return answers
                await self._next_commit()
        finally:
            self._asking.remove(command)

    def _answers(
        self, command: CallTool, keys: Sequence[str]
    ) -> Mapping[str, QuestionAnswered] | None:
        """The answers that the log has; None while one is missing, or the call waits in vain."""
        if self.state.is_paused or not self.state.awaits(command.id):
            return None
        questions, answers = self.state.steps[command.step].questions, {}
        for key in keys:
            question = questions.get((command.call, key))
            if question is None or question.answer is None or question.answered > self.committed:
                return None
            answers[key] = question.answer
        return answers

    async def _goes_on(self, command: CallTool, decision: str | None) -> bool:
        """Begins a call again that may not be repeated and has been waiting; False when it waits on."""
        if decision is None or command.call in self.state.steps[command.step].begun:
            return True
        return await self._record_begun(command, decision)

    async def _next_commit(self) -> None:
        if self._news is None:
            self._news = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._news)

    def _wake_at(self, at: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        delay = min(max(0, at - self._clock.now()) / 1_000_000, LOOK_AGAIN)
        self._timer = asyncio.get_running_loop().call_later(delay, self._wake)

    def _wake(self) -> None:
        if self._gone or self._is_draining:
            return
        commands = due(self.state, self._clock.now())
        if self._sent or self._next.events:
            self._next.commands += commands
        else:
            self._carry_out(commands)


def _defect(error: BaseException, over: str) -> Failure:
    """Why a run was broken off. What the error says may quote data, so its type alone is told."""
    return Failure(
        Code.INTERNAL,
        f"the run broke over {over} ({type(error).__name__}), which is a defect of Stepwell; "
        "report it with what the daemon logged, then start a new run",
    )
