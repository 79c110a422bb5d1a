"""A seeded world: processes on one store, runs on their way, and whatever can go wrong.

Everything is drawn from the seed, time is virtual, and what drives the runs is what is
shipped: `decide`, `evolve`, `due`, `OwnedRun`, `Worker` and `Controls`. The faults end after a
while; then every run must reach its end.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from tests.simulation import documents
from tests.simulation.callers import Callers
from tests.simulation.calm import Calm, undisturbed
from tests.simulation.cluster import Cluster
from tests.simulation.effects import PlannedDefect
from tests.simulation.faults import LATEST, Faults
from tests.simulation.ledger import Ledger, Violation
from tests.simulation.members import NAMESPACE, Member
from tests.simulation.moves import Row
from tests.simulation.people import People
from tests.simulation.pictures import picture
from tests.simulation.script import Script
from tests.simulation.verdict import Verdict
from tests.simulation.virtual_loop import LoopClock, VirtualLoop, run

from stepwell.engine.events import Event, PolicyDecided
from stepwell.engine.graph import Graph
from stepwell.engine.inputs import Start
from stepwell.engine.state import RunPhase
from stepwell.engine.values import Data
from stepwell_storage.errors import Conflict, Full, Unavailable
from stepwell_storage.memory import MemoryStorage
from stepwell_storage.records import ApprovalRow

PATIENCE = 7200.0
"""Virtual seconds after which a run that has not ended is called stuck."""
LAST_WISHES = 2.0
"""Virtual seconds for what is still on its way when all have ended: a run may be taken up again."""


class Planned(Struct):
    """A run of a world, and how it goes when nothing disturbs it."""

    id: str
    graph: Graph
    start: Start
    calm: Calm


class Ids:
    """Ids that are the same in every play of a seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._made = 0

    def new_id(self) -> str:
        """The next id."""
        self._made += 1
        return f"{self._seed:08x}-0000-7000-8000-{self._made:012x}"


class World:
    """One seed. `play` raises `Violation` when a promise is broken."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._dice = random.Random(seed)
        self._script = Script(seed)
        self._loop = VirtualLoop()
        self._clock = LoopClock(self._loop)
        self._ids = Ids(seed)
        self._store = MemoryStorage()
        self._ledger = Ledger(seed, on_commit=self._on_commit, queues=documents.QUEUES)
        self._is_calm = self._dice.random() < 0.1
        self._cluster = Cluster(
            store=self._store,
            ledger=self._ledger,
            script=self._script,
            clock=self._clock,
            ids=self._ids,
            dice=self._dice,
            is_home=self._dice.random() < 0.3,
            on_defect=self._defect,
        )
        self._people = People(self._cluster, self._ledger, self._script, self._dice)
        self._runs = [self._plan() for _ in range(self._dice.randint(1, 3))]
        self._all_ended = asyncio.Event()
        self._waiting: list[asyncio.Task[None]] = []
        self._defects: list[Violation] = []
        self._play: asyncio.Task[None] | None = None

    def play(self) -> set[Row]:
        """The rows of the transition tables that this world went through."""
        self._loop.set_exception_handler(self._on_exception)
        with _listening(self._on_log):
            try:
                run(self._loop, self._main())
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
        return "\n".join(self._ledger.story(run) for run in self._ledger.accounts)

    @property
    def approvals(self) -> Iterable[ApprovalRow]:
        """What was asked, and what came of it."""
        return self._store.log._database[NAMESPACE].approvals.values()

    @property
    def effects(self) -> set[str]:
        """What policy said."""
        logs = (account.events for account in self._ledger.accounts.values())
        return {it.effect for log in logs for it in log if isinstance(it, PolicyDecided)}

    def _plan(self) -> Planned:
        graph = documents.graph(self._dice.randrange(documents.COUNT))
        id = self._ids.new_id()
        given = Data(value={"n": self._dice.randrange(100)})
        queue = self._dice.choice(("runs2", "slow")) if self._dice.random() < 0.05 else ""
        start = Start(at=self._clock.now(), principal="user:ann", input=given, queue=queue)
        self._ledger.open(id, graph)
        return Planned(id, graph, start, undisturbed(id, graph, start, self._script))

    # --- the play -------------------------------------------------------------------------

    async def _main(self) -> None:
        self._play = asyncio.current_task()
        try:
            await self._live()
            await self._judge()
        finally:
            for task in asyncio.all_tasks() - {self._play}:
                task.cancel()

    async def _live(self) -> None:
        await self._store.open()
        for queue in documents.queues_of([it.graph for it in self._runs]):
            await self._store.queues.put(NAMESPACE, queue)
        self._cluster.appear()
        if not self._cluster.is_home and self._dice.random() < 0.7:
            self._cluster.appear()
        async with asyncio.TaskGroup() as tasks:
            faults = [tasks.create_task(self._at_some_time(it)) for it in self._faults()]
            async with asyncio.TaskGroup() as others:
                for planned in self._runs:
                    others.create_task(self._begin(planned))
                for wish in self._wishes():
                    others.create_task(self._at_some_time(wish))
            await self._see_ends_or(faults)
        self._cluster.heal()
        await self._see_all_end()
        await self._cluster.stop()
        await asyncio.gather(*self._waiting)

    def _faults(self) -> Sequence[Callable[[], Awaitable[None]]]:
        return [] if self._is_calm else Faults(self._cluster, self._ledger, self._dice).draw()

    def _wishes(self) -> Sequence[Callable[[], Awaitable[None]]]:
        callers = Callers(self._cluster, self._ledger, self._script, self._dice)
        return [] if self._is_calm else callers.draw()

    async def _at_some_time(self, act: Callable[[], Awaitable[None]]) -> None:
        mean = self._dice.choice((0.3, 1.5, 8.0))
        await asyncio.sleep(min(self._dice.expovariate(1 / mean), LATEST))
        await act()

    async def _see_ends_or(self, faults: Sequence[asyncio.Task[None]]) -> None:
        """Waits while something can still go wrong for a run."""
        ended, pending = self._loop.create_task(self._all_ended.wait()), {*faults}
        while pending and not ended.done():
            await asyncio.wait((ended, *pending), return_when=asyncio.FIRST_COMPLETED)
            pending = {fault for fault in pending if not fault.done()}
        for task in (ended, *pending):
            task.cancel()

    async def _begin(self, planned: Planned) -> None:
        """Starts a run, again and again until it is in the log."""
        await asyncio.sleep(self._dice.choice((0.0, 0.5, 5.0)) * self._dice.random())
        account = self._ledger.accounts[planned.id]
        while account.state.phase is RunPhase.NEW:
            member = self._cluster.anyone()
            if member is not None:
                await self._start(planned, member)
            if account.state.phase is RunPhase.NEW:
                await asyncio.sleep(1)

    async def _start(self, planned: Planned, member: Member) -> None:
        """Asks for the run; who asks may be gone before the answer comes."""
        start = replace(planned.start, at=member.clock.now())
        asked = self._loop.create_task(
            member.worker.start(NAMESPACE, planned.id, planned.graph, start)
        )
        gone = self._loop.create_task(member.gone.wait())
        hurry = None
        if not self._is_calm and self._dice.random() < 0.3:
            hurry = self._cluster.latency * self._dice.random() * 2
        await asyncio.wait((asked, gone), timeout=hurry, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        asked.cancel()
        try:
            await asked
        except (Full, Unavailable, Conflict, asyncio.CancelledError):
            return  # it may be in the log all the same, or reach it yet
        phase = self._ledger.accounts[planned.id].state.phase
        accepted = phase is not RunPhase.NEW
        self._ledger.check(planned.id, accepted, "what is accepted is committed")
        self._waiting.append(self._loop.create_task(self._wait(planned, member)))

    async def _wait(self, planned: Planned, member: Member) -> None:
        """Somebody waits for the end where the run was started."""
        told = await member.worker.wait_ended(NAMESPACE, planned.id, PATIENCE)
        account = self._ledger.accounts[planned.id]
        if told is not None and not account.is_meddled_with:
            same = picture(told) == picture(account.state)
            self._ledger.check(planned.id, same, "an end is told after its commit")

    async def _see_all_end(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                is_over = False
                while not is_over:
                    await self._all_ended.wait()
                    await asyncio.sleep(LAST_WISHES)
                    is_over = not self._ledger.unended
        except TimeoutError:
            for run in self._ledger.unended:
                self._ledger.check(run, False, "every run ends; this one is stuck")

    async def _judge(self) -> None:
        verdict = Verdict(self._store, self._ledger, [it.calm for it in self._runs])
        for id in self._ledger.accounts:
            await verdict.judge(id)
        verdict.judge_store()
        if self._is_calm:
            verdict.judge_calm()

    # --- what the others tell -------------------------------------------------------------

    def _on_commit(self, run: str, events: Sequence[Event]) -> None:
        self._people.notice(run)
        if self._ledger.unended:
            self._all_ended.clear()
        else:
            self._all_ended.set()

    def _defect(self, what: str, error: BaseException | None) -> None:
        """Something went wrong where nobody could raise it to."""
        if isinstance(error, Violation):
            self._defects.append(error)
        else:
            defect = Violation(f"seed {self._seed}: {what}: {error!r}\n{self.history}")
            defect.__cause__ = error
            self._defects.append(defect)
        if self._play is not None:
            self._play.cancel()

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._defect(context["message"], context.get("exception"))

    def _on_log(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, PlannedDefect):
            self._defect(record.getMessage(), error)


class _Listener(logging.Handler):
    """Hands errors on."""

    def __init__(self, on_log: Callable[[logging.LogRecord], None]) -> None:
        super().__init__(logging.ERROR)
        self._on_log = on_log

    def emit(self, record: logging.LogRecord) -> None:
        self._on_log(record)


@contextmanager
def _listening(on_log: Callable[[logging.LogRecord], None]) -> Iterator[None]:
    """Hears the errors that the orchestrator logs. Its warnings go nowhere: faults are planned."""
    log = logging.getLogger("stepwell.orchestrator")
    listener = _Listener(on_log)
    level, propagates = log.level, log.propagate
    log.addHandler(listener)
    log.setLevel(logging.ERROR)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(listener)
        log.setLevel(level)
        log.propagate = propagates
