"""A load of runs of every shape, whose outputs follow from their number alone."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from tests.e2e.cluster import Cluster
from tests.e2e.ledger_tools import LONGEST_PAUSE

from stepwell.client import Client, Event, Run
from stepwell.clock import SystemClock
from stepwell.engine.events import ApprovalRequested, StepScheduled
from stepwell.errors import FailedPrecondition

AT_ONCE = 16
"""How many runs of a load are open at a time: so runs are started through all the kills."""

SLICE = timedelta(seconds=1)
"""How long one daemon is asked to wait for the end of a run."""

LATE = 2
"""One in so many messages is sent when nothing happens to the daemons any more."""

SCRIPT = """\
conversations:
  - when: "buy "
    turns:
      - tools:
          - { name: charge, arguments: { number: "=int(message.substring(4))" } }
          - { name: double, arguments: { number: "=int(message.substring(4))" } }
        delay: 20ms
      - tools: [{ name: charge, arguments: { number: "=results[1]" } }]
        delay: 20ms
      - json: { charged: "=results[0]", doubled: "=results[1]", last: "=results[2]" }
  - turns:
      - tools:
          - { name: double, arguments: { number: "=int(message)" } }
          - { name: square, arguments: { number: "=int(message)" } }
        delay: 20ms
      - tools: [{ name: double, arguments: { number: "=results[1]" } }]
        delay: 20ms
      - json: { doubled: "=results[0]", squared: "=results[1]", last: "=results[2]" }
        delay: 20ms
"""

MODELS = """\
[models]
scripted = "fake:script.yaml"
"""

NUMBER = "required: [number], properties: { number: { type: integer } }"
INPUT = f"input: {{ type: object, {NUMBER} }}"
ANSWERS = "{ charged: { type: integer }, doubled: { type: integer }, last: { type: integer } }"

QUEUE = "narrow"
PLACES = 2

WORKFLOWS = {
    "chain": f"""
workflow: chain
{INPUT}
nodes:
  - {{ id: n1, tool: double, with: {{ number: "=input.number" }} }}
  - {{ id: n2, tool: square, with: {{ number: "=n1.output" }} }}
  - {{ id: n3, transform: "=n2.output + 1" }}
  - {{ id: n4, tool: double, with: {{ number: "=n3.output" }} }}
  - {{ id: n5, tool: double, with: {{ number: "=n4.output" }} }}
  - {{ id: n6, tool: square, with: {{ number: "=n5.output % 100" }} }}
  - {{ id: n7, tool: double, with: {{ number: "=n6.output" }} }}
  - {{ id: n8, tool: double, with: {{ number: "=n7.output" }} }}
  - {{ id: n9, tool: stumble, with: {{ number: "=n8.output" }}, retry: {{ max: 2, initial: 50ms }} }}
output: {{ number: "=n9.output" }}
""",
    "branches": f"""
workflow: branches
{INPUT}
nodes:
  - {{ id: left, tool: double, with: {{ number: "=input.number" }} }}
  - {{ id: middle, tool: double, with: {{ number: "=input.number + 1" }} }}
  - {{ id: right, tool: square, with: {{ number: "=input.number" }} }}
  - id: size
    switch:
      - {{ if: "=left.output + right.output > 500", then: large }}
      - {{ else: small }}
  - {{ id: large, tool: double, with: {{ number: "=right.output" }} }}
  - {{ id: small, tool: square, with: {{ number: "=left.output" }} }}
  - {{ id: join, transform: {{ large: "=large.output", small: "=small.output" }} }}
output: {{ joined: "=join.output", middle: "=middle.output" }}
""",
    "stumbling": f"""
workflow: stumbling
{INPUT}
nodes:
  - {{ id: first, tool: double, with: {{ number: "=input.number" }} }}
  - {{ id: second, tool: stumble, with: {{ number: "=first.output" }}, retry: {{ max: 3, initial: 50ms }} }}
  - {{ id: third, tool: double, with: {{ number: "=second.output" }} }}
  - {{ id: fourth, tool: stumble, with: {{ number: "=third.output" }}, retry: {{ max: 3, initial: 50ms }} }}
  - {{ id: fifth, tool: double, with: {{ number: "=fourth.output" }} }}
output: {{ number: "=fifth.output" }}
""",
    "agent": f"""
workflow: agent
{INPUT}
agents:
  clerk:
    model: scripted
    tools: [double, square]
    output:
      type: object
      required: [doubled, squared, last]
      properties: {{ doubled: {{ type: integer }}, squared: {{ type: integer }}, last: {{ type: integer }} }}
nodes:
  - {{ id: ask, agent: clerk, with: {{ message: "=string(input.number)" }} }}
  - {{ id: after, tool: double, with: {{ number: "=ask.output.last" }} }}
  - {{ id: again, agent: clerk, with: {{ message: "=string(after.output)" }} }}
output: {{ said: "=ask.output", again: "=again.output" }}
""",
    "fan": f"""
workflow: fan
{INPUT}
nodes:
  - id: each
    map: "=[1, 2, 3, 4, 5, 6].map(step, step + input.number)"
    concurrency: 3
    do: {{ tool: square, with: {{ number: "=item" }} }}
output: {{ squares: "=each.output" }}
""",
    "queueing": f"""
workflow: queueing
{INPUT}
nodes:
  - id: each
    map: "=[1, 2, 3, 4].map(step, step + input.number)"
    do: {{ tool: double, with: {{ number: "=item" }}, queue: {QUEUE} }}
output: {{ doubles: "=each.output" }}
""",
    "family": f"""
workflow: family
{INPUT}
nodes:
  - {{ id: one, workflow: short, with: {{ number: "=input.number" }} }}
  - id: many
    map: "=[1, 2, 3].map(step, step + one.output.number)"
    do: {{ workflow: short, with: {{ number: "=item" }} }}
output: {{ one: "=one.output", many: "=many.output" }}
""",
    "listening": f"""
workflow: listening
{INPUT}
nodes:
  - {{ id: before, tool: double, with: {{ number: "=input.number" }} }}
  - {{ id: word, signal: word, needs: [before] }}
  - {{ id: after, tool: double, with: {{ number: "=word.output.said + before.output" }} }}
output: {{ number: "=after.output" }}
""",
    "napping": f"""
workflow: napping
{INPUT}
nodes:
  - {{ id: before, tool: double, with: {{ number: "=input.number" }} }}
  - {{ id: nap, wait: 400ms, needs: [before] }}
  - {{ id: after, tool: square, with: {{ number: "=before.output" }}, needs: [nap] }}
  - {{ id: long, wait: 2s, needs: [after] }}
  - {{ id: late, tool: double, with: {{ number: "=after.output" }}, needs: [long] }}
output: {{ number: "=late.output" }}
""",
    "paying": f"""
workflow: paying
{INPUT}
nodes:
  - {{ id: first, tool: charge, with: {{ number: "=input.number" }} }}
  - {{ id: second, tool: charge_apart, with: {{ number: "=first.output" }} }}
  - {{ id: third, tool: charge, with: {{ number: "=second.output" }} }}
output: {{ number: "=third.output" }}
""",
    "buying": f"""
workflow: buying
{INPUT}
agents:
  buyer:
    model: scripted
    tools: [charge, double]
    output: {{ type: object, required: [charged, doubled, last], properties: {ANSWERS} }}
nodes:
  - {{ id: buy, agent: buyer, with: {{ message: "='buy ' + string(input.number)" }} }}
output: {{ bought: "=buy.output" }}
""",
}
"""One run of each in turn."""

CHILD = f"""
workflow: short
{INPUT}
nodes:
  - {{ id: doubled, tool: double, with: {{ number: "=input.number" }} }}
  - {{ id: squared, tool: square, with: {{ number: "=doubled.output" }} }}
output: {{ number: "=squared.output" }}
"""


async def prepare(cluster: Cluster) -> None:
    """Puts everything that the load needs."""
    for daemon in cluster.daemons:
        (daemon.home.path / "script.yaml").write_text(SCRIPT)
    async with cluster.daemons[0].client() as client:
        await client.queues.put(QUEUE, concurrency=PLACES)
        for source in (CHILD, *WORKFLOWS.values()):
            await client.workflows.put(source)


class Pace:
    """How many runs of a load may have begun: so a long series of blows does not outlast it."""

    def __init__(self) -> None:
        self._runs = 0
        self._more = asyncio.Condition()

    async def let_begin(self, runs: int) -> None:
        """So many may have begun from now on."""
        async with self._more:
            self._runs = runs
            self._more.notify_all()

    async def turn(self, number: int) -> None:
        """Waits until the run of this number may begin."""
        async with self._more:
            await self._more.wait_for(lambda: number < self._runs)


async def run_load(cluster: Cluster, runs: int, pace: Pace) -> list[Run]:
    """Starts that many runs and waits for their ends, through whatever happens to the daemons."""
    places = asyncio.Semaphore(AT_ONCE)
    names = tuple(WORKFLOWS)

    async def run(number: int) -> Run:
        await pace.turn(number)
        async with places:
            begun = await begin(cluster, names[number % len(names)], number)
            return await end(cluster, begun.id)

    async with asyncio.TaskGroup() as tasks:
        begun = [tasks.create_task(run(number)) for number in range(runs)]
    return [task.result() for task in begun]


async def begin(cluster: Cluster, workflow: str, number: int) -> Run:
    """Starts one run; whoever is asked again is asked for the same."""

    async def ask(client: Client) -> Run:
        return await client.run(workflow, {"number": number}, request_id=f"load-{number}")

    return await cluster.ask(ask)


async def end(cluster: Cluster, run: str) -> Run:
    """The end of a run, whoever carries it out."""

    async def ask(client: Client) -> Run:
        return await client.wait(run, SLICE)

    while not (found := await cluster.ask(ask)).status.ended:
        pass
    return found


class Watcher:
    """Sees every event of the namespace, in the order of the log, and tells whoever wants to know."""

    def __init__(self, *readers: Callable[[Event], None]) -> None:
        self.seen: list[Event] = []
        self.heard_at: list[int] = []
        """When each of them came; UTC microseconds."""
        self._readers = readers
        self._clock = SystemClock()

    async def watch(self, client: Client) -> None:
        """Watches from the beginning, for ever, through every restart."""
        async for batch in client.watch():
            self.seen += batch.events
            self.heard_at += [self._clock.now()] * len(batch.events)
            for event in batch.events:
                for read in self._readers:
                    read(event)

    def count(self, kind: str) -> int:
        """How many events of a kind there were."""
        return sum(event.kind == kind for event in self.seen)


class Correspondent:
    """Sends the messages that runs wait for, and answers what they ask, as people would."""

    def __init__(self, cluster: Cluster, tasks: asyncio.TaskGroup) -> None:
        self.is_calm = asyncio.Event()
        """Set when nothing happens to the daemons any more: late messages are sent then."""
        self.may_answer = asyncio.Event()
        """Whether what is in the ledger is all that will be there."""
        self.may_answer.set()
        self.asked = 0
        """How many calls there were whose outcome nobody knew."""
        self._cluster = cluster
        self._tasks = tasks
        self._words = 0

    def read(self, event: Event) -> None:
        """Does what an event calls for."""
        match event.fact:
            case StepScheduled(node="word"):
                self._words += 1
                self._tasks.create_task(self._send(event.run, is_late=self._words % LATE == 0))
            case ApprovalRequested() as asked:
                self.asked += 1
                self._tasks.create_task(self._find_out(event.run, asked))

    async def _send(self, run: str, *, is_late: bool) -> None:
        if is_late:
            await self.is_calm.wait()
        said = {"said": 1000}

        async def send(client: Client) -> None:
            await client.signal(run, "word", said, id=f"word-{run}")

        await self._ask_once(send)

    async def _find_out(self, run: str, asked: ApprovalRequested) -> None:
        """Looks the key up where the call leaves its traces, not before it can have come so far."""
        await self.may_answer.wait()
        await asyncio.sleep(2 * LONGEST_PAUSE)
        assert isinstance(asked.message.value, dict), "it says which call is meant"
        line = self._cluster.ledger.line_of(str(asked.message.value["key"]))

        async def answer(client: Client) -> None:
            if line is None:
                await client.resolve(run, asked.step, "retry", call=asked.call)
            else:
                await client.resolve(run, asked.step, "done", call=asked.call, value=line.result)

        await self._ask_once(answer)

    async def _ask_once(self, what: Callable[[Client], Awaitable[None]]) -> None:
        """As the cluster's `ask`; what had arrived when nobody could say so may be too late now."""
        with suppress(FailedPrecondition):
            await self._cluster.ask(what)
