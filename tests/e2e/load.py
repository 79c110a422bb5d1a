"""A load of runs of every shape, whose outputs follow from their number alone."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from tests.e2e.daemon import Daemon

from stepwell.client import Client, Event, Run
from stepwell.engine.values import Json
from stepwell.errors import Unavailable

AT_ONCE = 16
"""How many runs of a load are open at a time: so runs are started through all the kills."""

SCRIPT = """\
conversations:
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

INPUT = "input: { type: object, required: [number], properties: { number: { type: integer } } }"

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
}


async def prepare(daemon: Daemon) -> None:
    """Puts everything that the load needs."""
    (daemon.home.path / "script.yaml").write_text(SCRIPT)
    async with daemon.client() as client:
        for source in WORKFLOWS.values():
            await client.workflows.put(source)


async def run_load(daemon: Daemon, runs: int) -> list[Run]:
    """Starts that many runs and waits for their ends, through whatever happens to the daemon."""
    places = asyncio.Semaphore(AT_ONCE)
    names = tuple(WORKFLOWS)

    async def run(client: Client, number: int) -> Run:
        async with places:
            begun = await begin(
                daemon, client, names[number % len(names)], {"number": number}, f"load-{number}"
            )
            return await end(daemon, client, begun.id)

    async with daemon.client() as client, asyncio.TaskGroup() as tasks:
        begun = [tasks.create_task(run(client, number)) for number in range(runs)]
        return [await task for task in begun]


async def begin(daemon: Daemon, client: Client, workflow: str, given: Json, request_id: str) -> Run:
    """Starts one run; a daemon that is gone is asked again when it is back."""
    while True:
        await daemon.listening()
        with suppress(Unavailable):
            return await client.run(workflow, given, request_id=request_id)


async def end(daemon: Daemon, client: Client, run: str) -> Run:
    """The end of a run; a client waits for no daemon that is gone when it begins to wait."""
    while True:
        await daemon.listening()
        with suppress(Unavailable):
            return await client.wait(run)


class Watcher:
    """Sees every event of the namespace, in the order of the log."""

    def __init__(self) -> None:
        self.seen: list[Event] = []

    async def watch(self, client: Client) -> None:
        """Watches from the beginning, for ever, through every restart."""
        async for batch in client.watch():
            self.seen += batch.events

    def count(self, kind: str) -> int:
        """How many events of a kind there were."""
        return sum(event.kind == kind for event in self.seen)


def outputs(runs: Sequence[Run]) -> list[Json]:
    """What the runs of a load gave, in their order."""
    return [run.output for run in runs]
