"""A worker over a store in memory, whose calls are answered by the test, in virtual time."""

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cached_property
from typing import Any

from tests.simulation.virtual_loop import LoopClock, VirtualLoop, run

from stepwell.config import WorkerSettings
from stepwell.definitions.compile import compile_definition
from stepwell.engine import codec
from stepwell.engine.commands import CallModel, CallTool
from stepwell.engine.decide import decide
from stepwell.engine.events import NAMES, Event
from stepwell.engine.evolve import evolve
from stepwell.engine.graph import Graph
from stepwell.engine.inputs import Input, Start, ToolAnswered
from stepwell.engine.state import RunState
from stepwell.engine.values import Data, Failure
from stepwell.orchestrator.effects import AskRun, Begin
from stepwell.orchestrator.journal import Journal
from stepwell.orchestrator.owned import OwnedRun
from stepwell.orchestrator.spans import NO_SPANS
from stepwell.orchestrator.spending import Spending
from stepwell.orchestrator.worker import Worker
from stepwell.orchestrator.workflows import Workflows
from stepwell.tools.registry import ToolRegistry
from stepwell_storage.errors import StorageError, Unavailable
from stepwell_storage.memory import MemoryClaims, MemoryLog, MemoryStorage
from stepwell_storage.records import Append, Head, Lease, NewRun, Record, Rest

NAMESPACE = "default"
TOOLS = ("look", "pay")
PATIENCE = 60.0
"""Virtual seconds that a test waits for anything."""
LEASE = timedelta(seconds=15)


def on_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs an asynchronous test on a loop whose time jumps; what the loop hears of fails it."""

    @functools.wraps(test)
    def play(*args: Any, **kwargs: Any) -> None:
        loop = VirtualLoop()
        heard: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: heard.append(context))
        run(loop, test(*args, **kwargs))
        assert not heard, heard

    play.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    return play


async def until(holds: Callable[[], object]) -> None:
    """Waits for a fact, in steps of a virtual millisecond."""
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.001)


async def until_async(ask: Callable[[], Awaitable[Any]], wanted: Any) -> None:
    """Waits until the answer is the one that is wanted."""
    async with asyncio.timeout(PATIENCE):
        while await ask() != wanted:
            await asyncio.sleep(0.001)


class Call:
    """A tool call or model call in flight."""

    def __init__(
        self,
        command: CallTool | CallModel,
        begin: Begin | None = None,
        ask: AskRun | None = None,
    ) -> None:
        self.command = command
        self.begin = begin
        self.ask = ask
        self.is_cancelled = False
        self.answer: asyncio.Future[Input | None] = asyncio.get_running_loop().create_future()

    def returns(self, value: Any = None, **given: Any) -> None:
        """Answers a tool call."""
        self.answer.set_result(self._answered(result=Data(value=value), **given))

    def fails(self, failure: Failure) -> None:
        """Answers a tool call with a failure."""
        self.answer.set_result(self._answered(failure=failure))

    def _answered(self, **given: Any) -> ToolAnswered:
        command = self.command
        assert isinstance(command, CallTool)
        at = asyncio.get_running_loop()
        assert isinstance(at, VirtualLoop)
        values = {
            "at": LoopClock(at).now(),
            "step": command.step,
            "attempt": command.attempt,
            "call": command.call,
            **given,
        }
        return ToolAnswered(**values)


class HandEffects:
    """Effects that wait for the test; `pay` may not be repeated."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.at_once: Exception | None = None
        """What every tool call raises without waiting."""
        self.cleans_up = asyncio.Event()
        """Cleared, a call that is stopped takes until it is set to come to its end."""
        self.cleans_up.set()

    async def call_model(self, namespace: str, state: RunState, command: CallModel) -> Input | None:
        assert namespace == NAMESPACE
        return await self._wait(Call(command))

    async def call_tool(
        self, namespace: str, state: RunState, command: CallTool, begin: Begin, ask: AskRun
    ) -> Input | None:
        assert namespace == NAMESPACE
        if self.at_once is not None:
            raise self.at_once
        if command.tool == "pay" and not await begin("allow: tools"):
            return None
        return await self._wait(Call(command, begin, ask))

    async def _wait(self, call: Call) -> Input | None:
        self.calls.append(call)
        try:
            return await call.answer
        except asyncio.CancelledError:
            call.is_cancelled = True
            await self.cleans_up.wait()
            raise

    async def next(self) -> Call:
        """The first call that is in flight, once there is one."""
        await until(lambda: self._open())
        return self._open()[0]

    def _open(self) -> list[Call]:
        return [call for call in self.calls if not call.answer.done()]


class RefusingLog(MemoryLog):
    """A log that refuses with `refusal` while there is one: every append, or some kinds only."""

    refusal: StorageError | None = None
    kinds: frozenset[str] = frozenset()
    refused = 0
    is_mute = False
    """Whether it writes, and cannot say so."""

    def append(self, append: Append) -> asyncio.Future[int]:
        concerned = not self.kinds or any(it.kind in self.kinds for it in append.records)
        if self.is_mute:
            super().append(append)
        elif self.refusal is None or not concerned:
            return super().append(append)
        self.refused += 1
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        answer.set_exception(self.refusal or Unavailable())
        return answer

    async def read(
        self, namespace: str, run: str, *, after: int = 0, limit: int = 1000
    ) -> list[Record]:
        if isinstance(self.refusal, Unavailable):
            raise self.refusal
        return await super().read(namespace, run, after=after, limit=limit)


class RefusingClaims(MemoryClaims):
    """Leases that cannot be written with `refusal` while there is one."""

    refusal: StorageError | None = None
    is_mute = False
    """Whether they are written, and nobody can say so."""

    @cached_property
    def is_awake(self) -> asyncio.Event:
        """Cleared while whoever beats is asleep."""
        awake = asyncio.Event()
        awake.set()
        return awake

    async def claim(
        self, owner: str, *, now: int, expires_at: int, limit: int, only_free: bool = False
    ) -> list[Lease]:
        self._refuse()
        leases = await super().claim(
            owner, now=now, expires_at=expires_at, limit=limit, only_free=only_free
        )
        if self.is_mute:
            raise Unavailable
        return leases

    async def park(self, owner: str, rests: Sequence[Rest]) -> list[Rest]:
        parked = await super().park(owner, rests)
        if self.is_mute:
            raise Unavailable
        return parked

    async def heartbeat(self, owner: str, *, expires_at: int) -> int:
        await self.is_awake.wait()
        self._refuse()
        return await super().heartbeat(owner, expires_at=expires_at)

    async def release(self, owner: str, *, now: int) -> int:
        self._refuse()
        return await super().release(owner, now=now)

    def _refuse(self) -> None:
        if self.refusal is not None:
            raise self.refusal


class RefusingStorage(MemoryStorage):
    """A store that can be told to refuse."""

    def __init__(self) -> None:
        super().__init__()
        database = self.log._database
        self.log: RefusingLog = RefusingLog(database)
        self.claims: RefusingClaims = RefusingClaims(database)


class Rig:
    """A store, and workers on it. Runs have ids that count up."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.clock = LoopClock(loop)
        self.storage = RefusingStorage()
        self.storage.log.open()
        self.journal = Journal(self.storage, inline_limit=16 * 1024)
        self.effects = HandEffects()
        self.workflows = Workflows(self.storage, tools=lambda: TOOLS, clock=self.clock)
        self.spending: Spending | None = None
        self.spans = NO_SPANS
        self._runs = 0

    def worker(self, owner: str = "one") -> Worker:
        """A worker that is not working yet."""
        return Worker(
            self.storage,
            owner=owner,
            journal=self.journal,
            workflows=self.workflows,
            effects=self.effects,
            tools=ToolRegistry(),
            clock=self.clock,
            settings=WorkerSettings(lease=LEASE),
            jitter=lambda: 0.0,
            spending=self.spending,
            spans=self.spans,
        )

    @asynccontextmanager
    async def working(self, owner: str = "one", *, alone: bool = True) -> AsyncIterator[Worker]:
        """A worker at work."""
        worker = self.worker(owner)
        async with worker.working(alone=alone):
            yield worker

    async def put(self, source: str) -> Graph:
        """Stores a workflow."""
        graph = compile_definition(source.encode(), tools=None)
        await self.workflows.put(NAMESPACE, source.encode(), principal="user:ann", now=0)
        return graph

    def new_id(self) -> str:
        """The id of the next run."""
        self._runs += 1
        return f"01930000-0000-7000-8000-{self._runs:012x}"

    async def start(self, worker: Worker, graph: Graph, input: Any = None, **more: Any) -> str:
        """Starts a run; its id."""
        id = self.new_id()
        await worker.start(NAMESPACE, id, graph, self.given(input, **more))
        return id

    def given(self, input: Any = None, **more: Any) -> Start:
        """What a run is started with now."""
        data = Data(value=input or {})
        return Start(at=self.clock.now(), principal="user:ann", input=data, **more)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Does something beside the test."""
        return asyncio.get_running_loop().create_task(work)

    async def pass_time(self, length: timedelta) -> None:
        """Lets virtual time pass; what is due meanwhile happens."""
        await asyncio.sleep(length.total_seconds())

    async def orphan(self, graph: Graph, *, owner: str) -> Append:
        """A run that a process holds which does nothing."""
        state = RunState(self.new_id(), graph)
        given = self.given()
        records = []
        for event in decide(state, given):
            evolve(state, event)
            body, _ = codec.encode(event, 1 << 20)
            records.append(Record(state.sequence, NAMES[type(event)], "user:ann", body))
        expires_at = self.clock.now() + LEASE // timedelta(microseconds=1)
        new = NewRun(graph.name, graph.version, "user:ann", given.at, owner, expires_at)
        head = Head("running", given.at)
        return Append(NAMESPACE, state.run, 1, 0, tuple(records), head=head, new=new)

    async def give_away(self, worker: Worker, run: str) -> None:
        """Lets go of a run in the middle, as if its lease had expired."""
        owned = self.owned(worker, run)
        owned.drop()
        kept = self.storage.claims._database[NAMESPACE].runs[run]
        kept.owner, kept.expires_at = None, self.clock.now()
        self.storage.claims._database.bell.ring()

    def owned(self, worker: Worker, run: str) -> OwnedRun:
        """The run, which has to be in the hands of the worker."""
        owned = worker.find(NAMESPACE, run)
        assert owned is not None
        return owned

    async def log(self, run: str) -> list[Event]:
        """The events of a run, as the store has them."""
        return await self.journal.load(NAMESPACE, run)

    async def kinds(self, run: str) -> list[str]:
        """The kinds of the events of a run."""
        return [NAMES[type(event)] for event in await self.log(run)]

    async def status(self, run: str) -> str:
        """What the list of runs shows."""
        return (await self.storage.runs.get(NAMESPACE, run)).status
