"""A seeded world: processes on one store, runs on their way, and whatever can go wrong.

Everything is drawn from the seed, time is virtual, and what drives the runs is what is
shipped: `decide`, `evolve`, `due`, `OwnedRun` and `Worker`. The faults end after a while; then
every run must reach its end.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from tests.simulation import documents
from tests.simulation.calm import Calm, undisturbed
from tests.simulation.effects import PlannedDefect
from tests.simulation.ledger import Ledger, Row, Violation, picture, plain
from tests.simulation.links import Mood
from tests.simulation.members import INLINE_LIMIT, LEASE, NAMESPACE, Member
from tests.simulation.script import Script
from tests.simulation.virtual_loop import LoopClock, VirtualLoop, run

from stepwell.engine.events import Event, StepFailed, StepRetryScheduled
from stepwell.engine.graph import Graph
from stepwell.engine.inputs import Cancel, Input, Publish, Start
from stepwell.engine.state import RunPhase, RunState, evolve
from stepwell.engine.values import NOTHING, Data
from stepwell.errors import Code
from stepwell.orchestrator.journal import Journal
from stepwell_storage.errors import Conflict, Full, Unavailable
from stepwell_storage.memory import MemoryStorage

DOCUMENTS = 400
"""How many workflows all worlds share, so that they do not spend their time compiling."""
TROUBLE = 60.0
"""Virtual seconds in which faults begin."""
PATIENCE = 7200.0
"""Virtual seconds after which a run that has not ended is called stuck."""


class Planned(Struct):
    """A run of this world, and how it goes when nothing disturbs it."""

    id: str
    graph: Graph
    start: Start
    calm: Calm
    is_cancelled: bool = False


class World:
    """One seed. `play` raises `Violation` when a promise is broken."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._dice = random.Random(seed)
        self._script = Script(seed)
        self._all_ended = asyncio.Event()
        self._ledger = Ledger(seed, on_end=self._on_end)
        self._latency = self._dice.choice((0.0, 0.002, 0.05))
        self._loop = VirtualLoop()
        self._clock = LoopClock(self._loop)
        self._store = MemoryStorage()
        self._members: list[Member] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._waiting: list[asyncio.Task[None]] = []
        self._reports: list[tuple[str, Input]] = []
        self._defects: list[Violation] = []
        self._is_calm = self._dice.random() < 0.1
        self._is_home = self._dice.random() < 0.3
        """One process at a time, as on SQLite: each takes over at once what the last one left."""
        self._runs = [self._plan(index) for index in range(self._dice.randint(1, 4))]

    def play(self) -> set[Row]:
        """The rows of the transition tables that this world went through."""
        self._loop.set_exception_handler(self._on_exception)
        with _listening(self._on_log):
            return self._play_out()

    def _play_out(self) -> set[Row]:
        self._play = self._loop.create_task(self._main())
        try:
            run(self._loop, self._play)
        except asyncio.CancelledError:
            assert self._defects, "only a defect cancels the play"
        except Exception as error:  # noqa: BLE001 - whatever it is, the seed belongs to it
            self._defect("the world broke", error)
        if self._defects:
            raise self._defects[0]
        return self._ledger.rows

    @property
    def history(self) -> str:
        """What every run went through."""
        return "\n".join(self._ledger.story(planned.id) for planned in self._runs)

    def _plan(self, index: int) -> Planned:
        graph = documents.graph(self._dice.randrange(DOCUMENTS))
        id = f"{self._seed:08x}-0000-7000-8000-{index:012x}"
        given = Data(value={"n": self._dice.randrange(100)})
        start = Start(at=self._clock.now(), principal="user:ann", input=given)
        self._ledger.open(id, graph)
        return Planned(id, graph, start, undisturbed(id, graph, start, self._script))

    async def _main(self) -> None:
        try:
            await self._live()
            for planned in self._runs:
                await self._judge(planned)
        finally:
            for task in asyncio.all_tasks() - {self._play}:
                task.cancel()

    async def _live(self) -> None:
        await self._store.open()
        self._appear()
        if not self._is_home and self._dice.random() < 0.7:
            self._appear()
        async with asyncio.TaskGroup() as tasks:
            for planned in self._runs:
                tasks.create_task(self._begin(planned))
            if not self._is_calm:
                for _ in range(self._dice.randint(1, 6)):
                    tasks.create_task(self._at_some_time(self._dice.choice(self._faults)))
                for _ in range(self._dice.randint(0, 8)):
                    tasks.create_task(self._at_some_time(self._repeat))
        self._heal()
        await self._see_all_end()
        await self._stop()
        await asyncio.gather(*self._waiting)

    # --- what goes wrong ------------------------------------------------------------------

    @property
    def _faults(self) -> list[Callable[[], Awaitable[None]]]:
        shared = [self._kill, self._kill, self._refuse, self._jump, self._restart, self._ask]
        return shared if self._is_home else [*shared, self._hang, self._appear_late]

    async def _at_some_time(self, fault: Callable[[], Awaitable[None]]) -> None:
        mean = self._dice.choice((0.3, 1.5, 8.0))
        await asyncio.sleep(min(self._dice.expovariate(1 / mean), TROUBLE))
        await fault()

    async def _kill(self) -> None:
        """A process is gone from one moment to the next."""
        member = self._anyone()
        if member is not None:
            self._end(member)
            await self._replace()

    async def _hang(self) -> None:
        """A process gives no sign of life for a while, and works on; then it is gone."""
        member = self._anyone()
        if member is not None:
            member.link.keeps_leases = False
            await asyncio.sleep(self._dice.uniform(0, 3 * LEASE.total_seconds()))
            if member.is_alive:
                self._end(member)
            await self._replace()

    async def _restart(self) -> None:
        """A process is stopped as it should be."""
        member = self._anyone()
        if member is not None:
            member.stop()
            await member.gone.wait()
            await self._replace()

    async def _refuse(self) -> None:
        """The store refuses one process for a while."""
        member = self._anyone()
        if member is not None:
            member.link.mood = self._dice.choice((Mood.AWAY, Mood.FULL, Mood.FLAKY, Mood.FLAKY))
            await asyncio.sleep(self._dice.choice((0.2, 2, 40)) * self._dice.random())
            member.link.mood = Mood.WELL

    async def _jump(self) -> None:
        """A clock is set: leases of others seem to have expired, or timers to be far away."""
        member = self._anyone()
        if member is not None:
            member.clock.skew += round(self._dice.uniform(-60, 60) * 1e6)

    async def _ask(self) -> None:
        """Somebody cancels a run, or writes an event of their own into its log."""
        held = [
            (planned, owned)
            for planned in self._runs
            for member in self._members
            if (owned := member.find(planned.id)) is not None
        ]
        if not held:
            return
        planned, owned = self._dice.choice(held)
        if self._dice.random() < 0.5:
            planned.is_cancelled = True
            owned.give(Cancel(at=self._clock.now(), principal="user:bob", reason="enough"))
        else:
            owned.give(Publish(at=self._clock.now(), type="note", payload=NOTHING))

    async def _repeat(self) -> None:
        """A report comes again, to whoever owns the run by now."""
        if self._reports:
            run, given = self._dice.choice(self._reports)
            for member in self._members:
                owned = member.find(run)
                if owned is not None:
                    owned.give(given)

    async def _appear_late(self) -> None:
        """One more process joins, while the store is not at its best."""
        member = self._appear()
        member.link.mood = Mood.FLAKY
        await asyncio.sleep(self._dice.uniform(0, 40))
        member.link.mood = Mood.WELL

    # --- processes ------------------------------------------------------------------------

    def _appear(self) -> Member:
        member = Member(
            f"worker {len(self._members)}",
            store=self._store,
            ledger=self._ledger,
            script=self._script,
            clock=self._clock,
            dice=self._dice,
            latency=self._latency,
            on_report=lambda run, given: self._reports.append((run, given)),
        )
        self._members.append(member)
        work = member.run(alone=self._is_home, on_defect=self._defect)
        self._tasks.append(self._loop.create_task(work))
        return member

    def _end(self, member: Member) -> None:
        member.kill(delivers=self._dice.random() < 0.5)
        self._tasks[self._members.index(member)].cancel()

    async def _replace(self) -> None:
        await asyncio.sleep(self._dice.choice((0.0, 0.5, 20)) * self._dice.random())
        if not self._is_home or all(member.gone.is_set() for member in self._members):
            self._appear()

    def _anyone(self) -> Member | None:
        alive = [member for member in self._members if member.is_alive]
        return self._dice.choice(alive) if alive else None

    # --- the play -------------------------------------------------------------------------

    async def _begin(self, planned: Planned) -> None:
        """Starts a run, again and again until it is in the log."""
        await asyncio.sleep(self._dice.choice((0.0, 0.5, 5.0)) * self._dice.random())
        account = self._ledger.accounts[planned.id]
        while account.state.phase is RunPhase.NEW:
            member = self._anyone()
            if member is None:
                await asyncio.sleep(1)
                continue
            start = replace(planned.start, at=member.clock.now())
            asked = self._loop.create_task(
                member.worker.start(NAMESPACE, planned.id, planned.graph, start)
            )
            gone = self._loop.create_task(member.gone.wait())
            hurry = None
            if not self._is_calm and self._dice.random() < 0.3:
                hurry = self._latency * self._dice.random() * 2
            await asyncio.wait((asked, gone), timeout=hurry, return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()
            asked.cancel()
            await self._answered(planned, member, asked)

    async def _answered(
        self, planned: Planned, member: Member, asked: asyncio.Task[RunState]
    ) -> None:
        try:
            await asked
        except (Unavailable, Full):
            await asyncio.sleep(1)
        except (Conflict, asyncio.CancelledError):
            await asyncio.sleep(1)  # it may be in the log, or reach it yet
        else:
            phase = self._ledger.accounts[planned.id].state.phase
            self._check(planned, phase is not RunPhase.NEW, "what is accepted is committed")
            self._waiting.append(self._loop.create_task(self._wait(planned, member)))

    async def _wait(self, planned: Planned, member: Member) -> None:
        """Somebody waits for the end where they started the run."""
        told = await member.worker.wait_ended(NAMESPACE, planned.id, PATIENCE)
        if told is not None:
            committed = self._ledger.accounts[planned.id].state
            same = picture(told) == picture(committed)
            self._check(planned, same, "an end is told after its commit")

    def _heal(self) -> None:
        """From now on nothing goes wrong."""
        skew = max((member.clock.skew for member in self._members), default=0)
        for member in self._members:
            member.link.mood = Mood.WELL
            member.clock.skew = skew
        if all(member.gone.is_set() for member in self._members):
            self._appear()
            self._members[-1].clock.skew = skew

    def _on_end(self) -> None:
        if not self._ledger.unended:
            self._all_ended.set()

    async def _see_all_end(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._all_ended.wait()
        except TimeoutError:
            for run in self._ledger.unended:
                self._ledger.check(run, False, "every run ends; this one is stuck")

    async def _stop(self) -> None:
        for member in self._members:
            member.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- the verdict ----------------------------------------------------------------------

    async def _judge(self, planned: Planned) -> None:
        """What must hold of a run that has ended."""
        account = self._ledger.accounts[planned.id]
        row = await self._store.runs.get(NAMESPACE, planned.id)
        shown = (row.status, row.ended_at) == (account.state.phase, account.events[-1].at)
        self._check(planned, shown, "the list of runs shows how it ended")
        again = RunState(planned.id, planned.graph)
        journal = Journal(self._store, inline_limit=INLINE_LIMIT)
        for event in await journal.load(NAMESPACE, planned.id):
            evolve(again, event)
        same = picture(again) == picture(account.state)
        self._check(planned, same, "what is read from the log is what was written")
        self._ledger.check_executions(planned.id)
        self._judge_end(planned, account.state, account.events)
        if self._is_calm:
            self._check(planned, account.epoch == 1, "nobody takes a run that is in good hands")

    def _judge_end(self, planned: Planned, got: RunState, events: Iterable[Event]) -> None:
        """The end is that of the undisturbed run, where only time or a death can change it."""
        calm = planned.calm.state
        if got.phase is RunPhase.CANCELLED:
            self._check(planned, planned.is_cancelled, "nobody has cancelled it")
        elif got.phase is calm.phase:
            same = got.phase is not RunPhase.COMPLETED or plain(got.output) == plain(calm.output)
            self._check(planned, same, f"the output is the undisturbed one: {calm.output}")
        else:
            late = _ran_out_of_time(events) or _ran_out_of_time(planned.calm.events)
            self._check(planned, late, f"undisturbed it is {calm.phase}, {calm.failure}")

    def _check(self, planned: Planned, holds: bool, promise: str) -> None:
        self._ledger.check(planned.id, holds, promise)

    def _defect(self, what: str, error: BaseException | None) -> None:
        """Something went wrong where nobody could raise it to."""
        if isinstance(error, Violation):
            self._defects.append(error)
        else:
            defect = Violation(f"seed {self._seed}: {what}: {error!r}\n{self.history}")
            defect.__cause__ = error
            self._defects.append(defect)
        self._play.cancel()

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._defect(context["message"], context.get("exception"))

    def _on_log(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, PlannedDefect):
            self._defect(record.getMessage(), error)


@contextmanager
def _listening(on_log: Callable[[logging.LogRecord], None]) -> Iterator[None]:
    """Hears the errors that the orchestrator logs; its warnings go nowhere: faults are planned."""
    log = logging.getLogger("stepwell.orchestrator")
    listener = logging.Handler(logging.ERROR)
    listener.emit = on_log  # type: ignore[method-assign]
    before = log.level, log.propagate
    log.addHandler(listener)
    log.level, log.propagate = logging.ERROR, False
    try:
        yield
    finally:
        log.removeHandler(listener)
        log.level, log.propagate = before


def _ran_out_of_time(events: Iterable[Event]) -> bool:
    """Whether an attempt met its deadline, or a call was lost with a process."""
    return any(
        isinstance(event, StepFailed | StepRetryScheduled)
        and event.failure.reason in (Code.STEP_TIMEOUT, Code.OUTCOME_UNKNOWN)
        for event in events
    )
