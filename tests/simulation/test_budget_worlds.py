"""Seeded worlds with a budget: three processes, runs that change hands with calls in flight.

What is driven is what is shipped: `Worker`, `WorldEffects`, `Spending` and the store in memory. The
budget is too small, is raised by a person when runs wait for that, and is never exceeded.
"""

import asyncio
import random
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest
from tests.simulation.virtual_loop import LoopClock, VirtualLoop, run

from stepwell.config import WorkerSettings
from stepwell.engine.budgets import CALLS
from stepwell.engine.events import BudgetExhausted, ToolCall
from stepwell.engine.inputs import Start
from stepwell.engine.values import Data, Json
from stepwell.llm.router import ModelRouter
from stepwell.orchestrator.approvals import NO_FACTORS
from stepwell.orchestrator.audit import Audit
from stepwell.orchestrator.budgets import Budgets
from stepwell.orchestrator.controls import Controls
from stepwell.orchestrator.effects import WorldEffects
from stepwell.orchestrator.journal import Journal
from stepwell.orchestrator.spending import NAMESPACE_DAY, Spending, account_of, run_scope
from stepwell.orchestrator.views import Run, run_of_row
from stepwell.orchestrator.worker import Worker
from stepwell.orchestrator.workflows import Workflows
from stepwell.policy.book import PolicyBook
from stepwell.principals import Caller
from stepwell.tools.port import CallContext, ToolSpec
from stepwell.tools.registry import ToolRegistry
from stepwell_storage.memory import MemoryStorage
from stepwell_storage.records import BudgetRow

ANN = Caller("default", "user:ann")
ITEMS = 8
LEAF = f"""
workflow: leaf
nodes:
  - {{ id: each, map: "={list(range(ITEMS))}", concurrency: 5, do: {{ tool: work, with: {{ n: "=item" }} }} }}
output: "=size(each.output)"
"""
ROOT = """
workflow: root
nodes:
  - { id: left, workflow: leaf }
  - { id: right, workflow: leaf }
  - { id: own, tool: work, with: { n: 99 } }
output: "=left.output + right.output"
"""
ALL = 2 * ITEMS + 1
LEASE = timedelta(seconds=4)


class Work:
    """A tool that takes its time."""

    spec = ToolSpec(
        name="work",
        description="Works.",
        input_schema={"type": "object", "properties": {"n": {}}},
        idempotent=True,
    )

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    async def call(self, arguments: dict[str, Json], context: CallContext) -> Data:
        await asyncio.sleep(self._dice.choice((0.0, 0.1, 1.0, 3.0)))
        return Data(value=1)


class World:
    """One seed."""

    def __init__(self, seed: int, loop: VirtualLoop) -> None:
        self.dice = random.Random(seed)
        self.clock = LoopClock(loop)
        self.storage = MemoryStorage()
        self.journal = Journal(self.storage, inline_limit=16 * 1024)
        self.tools = ToolRegistry()
        self.tools.add(Work(self.dice))
        self.workflows = Workflows(self.storage, tools=self.tools.names, clock=self.clock)
        self.workers: list[Worker] = []
        self.lost = 0
        self._ids = 0

    def new_id(self) -> str:
        """The id of the next run, or letter."""
        self._ids += 1
        return f"01930000-0000-7000-8000-{self._ids:012x}"

    async def join(self, stack: AsyncExitStack, owner: str) -> None:
        """One more process."""
        spending = Spending(self.storage, clock=self.clock, poll=timedelta(seconds=1))
        await spending.refresh()
        effects = WorldEffects(
            tools=self.tools,
            models=ModelRouter(),
            policy=PolicyBook(),
            clock=self.clock,
            max_result=1 << 20,
            spending=spending,
        )
        worker = Worker(
            self.storage,
            owner=owner,
            journal=self.journal,
            workflows=self.workflows,
            effects=effects,
            tools=self.tools,
            clock=self.clock,
            settings=WorkerSettings(lease=LEASE, poll=timedelta(milliseconds=200)),
            spending=spending,
            jitter=self.dice.random,
        )
        await stack.enter_async_context(worker.working(alone=False))
        self.workers.append(worker)

    def budgets(self) -> Budgets:
        """What a person asks, at any of the processes."""
        controls = Controls(
            self.storage,
            worker=self.dice.choice(self.workers),
            journal=self.journal,
            clock=self.clock,
            ids=self,
            get_run=self._get_run,
            audit=Audit(self.storage, self.clock),
            factors=NO_FACTORS,
        )
        return Budgets(
            self.storage,
            spending=None,
            tell=controls.tell,
            audit=Audit(self.storage, self.clock),
            clock=self.clock,
            factors=NO_FACTORS,
        )

    async def _get_run(self, caller: Caller, id: str) -> Run:
        return run_of_row(await self.storage.runs.get(caller.namespace, id))

    async def lose_a_run(self) -> None:
        """Some run is lost by its owner with all that is in flight; the lease runs out at once."""
        held = [owned for worker in self.workers for owned in worker._runs.values()]
        if not held:
            return
        owned = self.dice.choice(held)
        owned.drop()
        self.lost += 1
        kept = self.storage.claims._database["default"].runs[owned.state.run]
        if kept.expires_at is not None:
            kept.owner, kept.expires_at = None, self.clock.now()
            self.storage.claims._database.bell.ring()

    async def disturb(self) -> None:
        """Runs change hands, for a while."""
        for _ in range(self.dice.randint(0, 8)):
            await asyncio.sleep(self.dice.uniform(0, 3))
            await self.lose_a_run()

    async def check(self, accounts: list[str]) -> None:
        """No account has more than its limit, spent and reserved together."""
        for used in await self.storage.budgets.used("default", accounts):
            rows = await self.storage.budgets.list("default")
            assert used.used >= 0
            assert used.reserved >= 0
            limits = {row.scope: row.amount for row in rows}
            most = limits.get(NAMESPACE_DAY) if "namespace" in used.account else None
            if used.account.startswith("run:"):
                [row] = await self.storage.budgets.of_run("default", used.account[4:])
                most = row.amount
            assert most is not None
            assert used.used + used.reserved <= most


async def play(world: World) -> tuple[int, int]:
    """How often a run waited for more, and how often one changed hands."""
    await world.storage.open()
    for source in (LEAF, ROOT):
        await world.workflows.put("default", source.encode(), principal="user:ann", now=0)
    day = world.dice.choice((ALL, 2 * ALL))
    row = BudgetRow(NAMESPACE_DAY, CALLS, day, "user:ann", 0)
    await world.storage.budgets.put("default", row)
    async with AsyncExitStack() as stack:
        for owner in ("one", "two", "three"):
            await world.join(stack, owner)
        limits = {CALLS: world.dice.randint(0, ALL)}
        root = world.new_id()
        given = Start(
            at=world.clock.now(), principal="user:ann", input=Data(value={}), limits=limits
        )
        graph = await world.workflows.graph("default", "root")
        await world.workers[0].start("default", root, graph, given)
        disturbing = asyncio.get_running_loop().create_task(world.disturb())
        await follow(world, root, limits[CALLS])
        await disturbing
    return await judge(world, root), world.lost


async def follow(world: World, root: str, limit: int) -> None:
    """Looks again and again, and raises the budget when somebody waits for that."""
    accounts = [run_scope(root), account_of(NAMESPACE_DAY, world.clock.now())]
    async with asyncio.timeout(3600):
        while (await world.storage.runs.get("default", root)).status != "completed":
            await world.check(accounts)
            rows = await world.storage.runs.list("default", limit=99)
            if limit < ALL and any(row.status == "paused" for row in rows):
                await asyncio.sleep(world.dice.uniform(0, 10))
                limit = min(limit + world.dice.randint(1, 6), ALL)
                await world.budgets().raise_budget(ANN, root, {CALLS: limit})
            await asyncio.sleep(0.25)
        await world.check(accounts)


async def judge(world: World, root: str) -> int:
    """Each call is recorded and counted once, and nothing stays reserved; how often a run waited."""
    calls, waits = 0, 0
    for row in await world.storage.runs.list("default", limit=99):
        assert row.status == "completed"
        events: list[Any] = await world.journal.load("default", row.run)
        calls += sum(isinstance(event, ToolCall) for event in events)
        waits += sum(isinstance(event, BudgetExhausted) for event in events)
    assert calls == ALL
    accounts = [run_scope(root), account_of(NAMESPACE_DAY, world.clock.now())]
    for used in await world.storage.budgets.used("default", accounts):
        assert (used.used, used.reserved) == (ALL, 0)
    return waits


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_a_budget_holds_whoever_dies_and_whoever_takes_over(first: int) -> None:
    waits = lost = 0
    for seed in range(first, first + 20):
        loop = VirtualLoop()
        try:
            waited, changed = run(loop, play(World(seed, loop)))
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
        waits += waited
        lost += changed
    assert waits > 20, "the budgets are too large to matter"
    assert lost > 20, "too few runs change hands"
