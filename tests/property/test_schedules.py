"""However many processes let a schedule fire, however slow, and whenever they die: one run a fire.

The processes are real loops over one store in memory, in virtual time. The runs are not: what is
started is written down by `Starts`, which refuses what a store refuses.
"""

import asyncio
import random
from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise, takewhile
from typing import Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from tests.simulation.virtual_loop import LoopClock, VirtualLoop, run

from stepwell.definitions.compile import compile_definition
from stepwell.engine.instants import instant
from stepwell.engine.values import Json
from stepwell.errors import AlreadyExists, Code
from stepwell.orchestrator.approvals import NO_FACTORS
from stepwell.orchestrator.audit import Audit
from stepwell.orchestrator.queues import Queues
from stepwell.orchestrator.schedule_loop import ScheduleLoop
from stepwell.orchestrator.schedule_rules import Overlap, ScheduleSpec, fires_of
from stepwell.orchestrator.schedules import Schedules
from stepwell.orchestrator.views import Run, RunStatus
from stepwell.orchestrator.workflows import Workflows
from stepwell.principals import Caller
from stepwell.tools.registry import ToolRegistry
from stepwell_storage.memory import MemoryStorage
from stepwell_storage.records import DefinitionRow

ANN = Caller("default", "user:ann")
WORKFLOW = b"workflow: w\nnodes: [{ id: n, transform: '=1' }]\n"
SECOND = 1_000_000
SLACK = 20
"""Seconds that the delays of one fire may add up to."""


class Started(Struct):
    """A run as a store would have it; times in UTC microseconds."""

    fire: int
    key: str
    begun: int
    ends: int


class Starts:
    """Starts runs once for each request id, and no two of a key at once; slowly."""

    def __init__(self, clock: LoopClock, chance: random.Random, longest: int) -> None:
        self._clock = clock
        self._chance = chance
        self._longest = longest
        self.runs: dict[str, Started] = {}

    async def start_run(
        self,
        caller: Caller,
        workflow: str,
        input: Json,
        *,
        version: str | None = None,
        labels: Mapping[str, str] | None = None,
        request_id: str | None = None,
        run_key: str = "",
        on_conflict: Literal["fail", "cancel_existing"] = "fail",
        queue: str = "",
    ) -> tuple[Run, bool]:
        await self.delay()
        assert request_id is not None
        assert labels is not None
        now, is_new = self._clock.now(), request_id not in self.runs
        if is_new:
            for other in self.runs.values():
                if run_key and other.key == run_key and other.ends > now:
                    if on_conflict == "fail":
                        raise AlreadyExists("it goes on", code=Code.RUN_KEY_TAKEN)
                    other.ends = now
            ends = now + round(self._chance.random() * self._longest)
            self.runs[request_id] = Started(instant(labels["fire"]), run_key, now, ends)
        await self.delay()
        return _run(request_id), is_new

    async def delay(self) -> None:
        """As long as a database may take."""
        await asyncio.sleep(self._chance.choice([0, 0, 0.001, 0.3, 2]))


class SlowSchedules:
    """The schedules of a store that answers when it likes."""

    def __init__(self, schedules: Any, delay: Any) -> None:
        self._schedules = schedules
        self._delay = delay

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **kwargs: Any) -> Any:
            await self._delay()
            answer = await getattr(self._schedules, name)(*args, **kwargs)
            await self._delay()
            return answer

        return call


class Life(Struct, frozen=True):
    """When a process runs, in virtual seconds."""

    begins: float
    lasts: float

    @property
    def ends(self) -> float:
        return self.begins + self.lasts


END = 400.0
"""When all of them have begun."""
BEGIN = 1_000_000 * SECOND
"""When the virtual clock begins."""
LIVES = st.lists(st.builds(Life, st.floats(0, END), st.floats(1, END)), min_size=1, max_size=5)
SEEDS = st.integers(0, 2**32)
CRONS = st.sampled_from(["* * * * *", "*/5 * * * *", "*/20 * * * * *", "7 * * * *"])


class World:
    """One schedule, and the processes that let it fire."""

    def __init__(self, loop: VirtualLoop, spec: ScheduleSpec, seed: int, longest: int) -> None:
        self.clock = LoopClock(loop)
        self.spec = spec
        self.storage = MemoryStorage()
        self.starts = Starts(self.clock, random.Random(seed), longest)
        audit = Audit(self.storage, self.clock)
        self.schedules = Schedules(
            self.storage,
            workflows=Workflows(self.storage, tools=lambda: (), clock=self.clock),
            tools=ToolRegistry(),
            queues=Queues(self.storage, self.clock, audit),
            start_run=self.starts.start_run,
            audit=audit,
            factors=NO_FACTORS,
            clock=self.clock,
            ids=None,  # type: ignore[arg-type]
        )

    async def live(self, lives: list[Life]) -> list[Started]:
        """What was started when all lives are over, by fire."""
        await self.storage.definitions.put(ANN.namespace, _definition())
        await self.schedules.put_schedule(ANN, "s", self.spec)
        self.storage.schedules = SlowSchedules(self.storage.schedules, self.starts.delay)  # type: ignore[assignment]
        await asyncio.gather(*map(self._process, lives))
        return sorted(self.starts.runs.values(), key=lambda one: one.fire)

    async def _process(self, life: Life) -> None:
        loop = ScheduleLoop(
            self.storage, self.schedules, clock=self.clock, poll=timedelta(seconds=0.5)
        )
        await asyncio.sleep(life.begins)
        try:
            async with asyncio.timeout(life.lasts):
                await loop.run()
        except TimeoutError:
            return


def played(spec: ScheduleSpec, lives: list[Life], seed: int, longest: int = 0) -> list[Started]:
    loop = VirtualLoop()
    return run(loop, World(loop, spec, seed, longest).live(lives))


def due(spec: ScheduleSpec, begin: int, end: int) -> list[int]:
    """The fires between two times."""
    fires = fires_of(ANN.namespace, "s", spec)
    return list(takewhile(lambda at: at <= end, fires.following(begin)))


@settings(max_examples=50, deadline=None)
@given(CRONS, LIVES, SEEDS, st.integers(0, 90))
def test_in_the_end_every_fire_has_started_exactly_one_run(
    cron: str, lives: list[Life], seed: int, jitter: int
) -> None:
    spec = ScheduleSpec(
        cron=cron,
        workflow="w",
        overlap="allow",
        catch_up=timedelta(days=1),
        jitter=timedelta(seconds=jitter),
    )
    last = Life(END, 600)
    started = [one.fire for one in played(spec, [*lives, last], seed)]
    assert len(started) == len(set(started))
    made_up_for = BEGIN + round(END + last.lasts - SLACK) * SECOND
    assert [fire for fire in started if fire <= made_up_for] == due(spec, BEGIN, made_up_for)


@settings(max_examples=50, deadline=None)
@given(CRONS, LIVES, SEEDS, st.sampled_from([10, 60]))
def test_no_run_is_started_for_a_fire_that_no_process_saw_in_time(
    cron: str, lives: list[Life], seed: int, catch_up: int
) -> None:
    spec = ScheduleSpec(
        cron=cron, workflow="w", overlap="allow", catch_up=timedelta(seconds=catch_up)
    )
    for one in played(spec, lives, seed):
        fire = (one.fire - BEGIN) / SECOND
        latest = fire + catch_up + SLACK
        assert any(life.begins <= latest and life.ends >= fire for life in lives)


@settings(max_examples=50, deadline=None)
@given(CRONS, LIVES, SEEDS, st.sampled_from(["skip", "queue", "cancel_other"]), st.integers(0, 200))
def test_no_two_runs_overlap_that_may_not_and_none_is_started_twice(
    cron: str, lives: list[Life], seed: int, overlap: Overlap, longest: int
) -> None:
    spec = ScheduleSpec(cron=cron, workflow="w", overlap=overlap, catch_up=timedelta(minutes=5))
    started = played(spec, lives, seed, longest * SECOND)
    fires = [one.fire for one in started]
    assert len(set(fires)) == len(fires)
    assert set(fires) <= set(due(spec, BEGIN, BEGIN + 2 * round(END) * SECOND))
    in_time = sorted(started, key=lambda one: one.begun)
    assert all(one.ends <= other.begun for one, other in pairwise(in_time))


def _run(id: str) -> Run:
    return Run(
        id="01930000-0000-7000-8000-000000000001",
        workflow="w",
        version="",
        principal="",
        status=RunStatus.RUNNING,
        created_at=0,
        updated_at=0,
        labels={"request": id},
    )


def _definition() -> DefinitionRow:
    graph = compile_definition(WORKFLOW, tools=None)
    return DefinitionRow("w", graph.version, WORKFLOW, "user:ann", 0)
