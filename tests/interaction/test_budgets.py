"""Budgets, from a client to the store and back: what would be too much waits, and goes on when raised."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from stepwell.bootstrap import open_runtime
from stepwell.client import Client, Run, RunStatus, WaitingOn
from stepwell.config import load_settings
from stepwell.engine.events import BudgetExhausted, BudgetRaised, LlmCall
from stepwell.errors import Code, Denied, FailedPrecondition, InvalidRequest, NotFound
from stepwell_server.grpc_server import GrpcServer

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("one_loop")]

SOON = timedelta(seconds=20)
TOOLS = '''
from pathlib import Path
from stepwell import tool


@tool(idempotent=True)
async def count(n: int) -> int:
    """Leaves a mark for each call."""
    with Path({marks!r}).open("a") as marks:
        marks.write(f"{{n}}\\n")
    return n
'''
FAN = """\
workflow: fan
input: { type: object, properties: { n: { type: integer } } }
nodes:
  - { id: each, map: "=[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]", concurrency: 10, do: { tool: count, with: { n: "=item" } } }
output: "=size(each.output)"
"""
OVER = """\
workflow: over
nodes:
  - { id: below, workflow: fan, with: { n: 1 } }
  - { id: more, workflow: fan, with: { n: 2 } }
output: "=below.output + more.output"
"""
ASK = """\
workflow: ask
limits: { usd: "1.00" }
agents: { clerk: { model: small, tools: [count] } }
nodes: [{ id: ask, agent: clerk, with: { message: How many } }]
output: =ask.output
"""
SCRIPT = """\
conversations:
  - turns:
      - { tools: [{ name: count, arguments: { n: 1 } }], usage: { input: 1000, output: 500 } }
      - { text: One., usage: { input: 2000, output: 100 } }
"""
OWNER = "secret"


class Home:
    """A server, its client, and the marks that its tool leaves."""

    def __init__(self, folder: Path, client: Client, address: str) -> None:
        self.folder = folder
        self.client = client
        self.address = address

    @property
    def marks(self) -> list[str]:
        file = self.folder / "marks"
        return file.read_text().split() if file.exists() else []

    async def until(self, run: str, holds: Callable[[Run], object]) -> Run:
        async with asyncio.timeout(SOON.total_seconds()):
            while not holds(found := await self.client.get(run)):
                await asyncio.sleep(0.01)
            return found

    async def paused(self, run: str) -> Run:
        return await self.until(run, lambda it: it.status is RunStatus.PAUSED)


@asynccontextmanager
async def opened(folder: Path, **settings: object) -> AsyncIterator[Home]:
    (folder / "home").mkdir(exist_ok=True)
    (folder / "home" / "script.yaml").write_text(SCRIPT)
    (folder / "tools.py").write_text(TOOLS.format(marks=str(folder / "marks")))
    overrides = {
        "storage.url": "memory:",
        "tools.paths": [str(folder / "tools.py")],
        "models.small": "fake:script.yaml",
    }
    loaded = load_settings(folder / "home", {}, overrides)

    loaded = msgspec.structs.replace(loaded, **settings)
    async with open_runtime(loaded) as runtime:
        server = GrpcServer(runtime.service, host="127.0.0.1", port=0, owner_token=OWNER)
        address = f"127.0.0.1:{await server.start()}"
        try:
            async with Client(address, token=OWNER) as client:
                for source in (FAN, OVER, ASK):
                    await client.workflows.put(source.encode())
                yield Home(folder, client, address)
        finally:
            await server.stop(timedelta(0))


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    async with opened(tmp_path) as made:
        yield made


async def test_ten_parallel_branches_cannot_exceed_a_budget(home: Home) -> None:
    started = await home.client.run("fan", {}, limits={"calls": 4})
    paused = await home.paused(started.id)

    assert len(home.marks) == 4
    [waiting] = paused.waiting_for
    assert (waiting.on, waiting.about) == (WaitingOn.BUDGET, f"run:{started.id}")
    assert waiting.reason == (
        f"count may need 1 call, and of the 4 calls of run:{started.id} 4 calls are taken"
    )
    [budget] = await home.client.budgets.of_run(started.id)
    assert (budget.unit, budget.limit, budget.used, budget.reserved) == ("calls", 4, 4, 0)

    await home.client.budgets.raise_run(started.id, {"calls": 10})
    ended = await home.client.wait(started.id, SOON)
    assert (ended.status, ended.output) == (RunStatus.COMPLETED, 10)
    assert sorted(map(int, home.marks)) == list(range(1, 11))
    events = (await home.client.events(run=started.id)).events
    told = [it.fact for it in events if isinstance(it.fact, BudgetExhausted | BudgetRaised)]
    assert [type(it) for it in told] == [BudgetExhausted, BudgetRaised]
    assert isinstance(told[1], BudgetRaised)
    assert told[1].limits == {"calls": 10}


async def test_runs_below_share_the_budget_of_the_run_above(home: Home) -> None:
    started = await home.client.run("over", {}, limits={"calls": 13})
    async with asyncio.timeout(SOON.total_seconds()):
        while True:
            listed = (await home.client.list()).runs
            if any(it.status is RunStatus.PAUSED for it in listed) and len(home.marks) == 13:
                break
            await asyncio.sleep(0.01)
    [budget] = await home.client.budgets.of_run(started.id)
    assert (budget.limit, budget.used) == (13, 13)

    await home.client.budgets.raise_run(started.id, {"calls": 20})
    ended = await home.client.wait(started.id, SOON)
    assert (ended.status, ended.output, len(home.marks)) == (RunStatus.COMPLETED, 20, 20)


async def test_a_day_of_the_namespace_and_of_a_principal_are_limited_over_all_runs(
    home: Home,
) -> None:
    set_to = await home.client.budgets.set("namespace/day", {"calls": 12, "tokens": None})
    assert [(it.unit, it.limit) for it in set_to] == [("calls", 12), ("tokens", None)]
    await home.client.budgets.set("principal:*/day", {"calls": 100})
    runs = [(await home.client.run("fan", {})).id for _ in range(2)]
    for run in runs:
        await home.until(run, lambda it: it.status is not RunStatus.RUNNING)
    assert len(home.marks) == 12
    calls, _, _ = await home.client.budgets.list()
    assert (calls.scope, calls.used, calls.limit) == ("namespace/day", 12, 12)

    await home.client.budgets.set("principal:user:local/day", {"calls": 15})
    await home.client.budgets.delete("namespace/day", "calls")
    statuses = {
        (await home.until(run, lambda it: it.status is not RunStatus.RUNNING)).status
        for run in runs
    }
    assert statuses == {RunStatus.COMPLETED, RunStatus.PAUSED}
    assert len(home.marks) == 15
    await home.client.budgets.set("principal:user:local/day", {"calls": 20})
    for run in runs:
        assert (await home.client.wait(run, SOON)).status is RunStatus.COMPLETED


async def test_money_is_counted_by_the_price_of_the_model(tmp_path: Path) -> None:
    """A million tokens cost 100 dollars in and 200 out, so the answers cost 0.20 and 0.22."""
    async with opened(tmp_path, prices={"fake:*": "100/200"}) as home:
        started = await home.client.run("ask", {}, limits={"usd_micros": 5_000_000})
        paused = await home.paused(started.id)
        [waiting] = paused.waiting_for
        assert waiting.reason.startswith("small may need $0.8")
        assert "of the $1.00 of run:" in waiting.reason  # what the workflow says is less
        assert waiting.reason.endswith("$0.20 are taken")

        await home.client.budgets.raise_run(started.id, {"usd_micros": 2_000_000})
        assert (await home.client.wait(started.id, SOON)).output == "One."
        [budget] = await home.client.budgets.of_run(started.id)
        assert (budget.used, budget.reserved) == (420_000, 0)
        [step] = await home.client.steps(started.id)
        assert (step.tokens, step.cost, step.unpriced_answers) == (3600, 420_000, 0)
        events = (await home.client.events(run=started.id)).events
        costs = [it.fact.cost for it in events if isinstance(it.fact, LlmCall)]
        assert costs == [200_000, 220_000]


async def test_a_model_without_a_price_is_not_asked_where_money_is_limited(home: Home) -> None:
    started = await home.client.run("ask", {})
    paused = await home.paused(started.id)
    [waiting] = paused.waiting_for
    assert waiting.reason == (
        f"nobody knows what small costs, and run:{started.id} has a budget of $1.00; "
        "set its price under prices"
    )
    [step] = await home.client.steps(started.id)
    assert (step.cost, step.unpriced_answers) == (0, 0)


async def test_what_is_no_budget_is_refused(home: Home) -> None:
    started = await home.client.run("fan", {}, limits={"calls": 10})
    await home.client.wait(started.id, SOON)
    budgets = home.client.budgets
    for scope in ("month", "principal:/day", "principal:ann/month", "run:x"):
        with pytest.raises(InvalidRequest, match="scope is"):
            await budgets.set(scope, {"calls": 1})
    with pytest.raises(InvalidRequest):
        await budgets.set("namespace/day", {"euros": 1})
    with pytest.raises(InvalidRequest):
        await home.client.run("fan", {}, limits={"calls": -1})
    with pytest.raises(NotFound) as refused:
        await budgets.delete("namespace/day", "calls")
    assert refused.value.code is Code.BUDGET_NOT_FOUND
    with pytest.raises(FailedPrecondition, match="no budget of tokens"):
        await budgets.raise_run(started.id, {"tokens": 5})
    with pytest.raises(FailedPrecondition, match="only raised"):
        await budgets.raise_run(started.id, {"calls": 5})


async def test_an_agent_sets_and_raises_nothing(home: Home) -> None:
    started = await home.client.run("fan", {}, limits={"calls": 2})
    await home.paused(started.id)
    async with Client(home.address) as agent:
        for ask in (
            agent.budgets.raise_run(started.id, {"calls": 100}),
            agent.budgets.set("namespace/day", {"calls": 100}),
            agent.budgets.delete("namespace/day", "calls"),
        ):
            with pytest.raises(Denied):
                await ask
    assert len(home.marks) == 2
