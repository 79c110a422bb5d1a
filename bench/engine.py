"""This engine as it is measured: the runtime as shipped, with one trivial tool.

Runs are started through the service, with policy, validation, journal and leases.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path

from bench.trial import STEPS, stored_bytes
from stepwell.bootstrap import open_runtime
from stepwell.config import load_settings
from stepwell.engine.values import Json
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import RunStatus
from stepwell.principals import LOCAL_USER

TOOLS = Path(__file__).with_name("tools.py")
CHAIN = "workflow: chain\nnodes:\n" + "".join(
    f"  - {{ id: s{n}, tool: step, with: {{ number: {n} }}{f', needs: [s{n - 1}]' if n else ''} }}\n"
    for n in range(STEPS)
)
VARIED = "workflow: varied\ninput: { type: object }\nnodes:\n" + "".join(
    f"  - {{ id: s{n}, tool: step, with: {{ number: '=input.first + {n}' }}"
    f"{f', needs: [s{n - 1}]' if n else ''} }}\n"
    for n in range(STEPS)
)
"""As `chain`, but no step of any run has the arguments of another."""
FAN = """\
workflow: fan
input: { type: object, required: [items], properties: { items: { type: array } } }
nodes:
  - { id: each, map: "=input.items", concurrency: 1000, do: { tool: step, with: { number: "=item" } } }
output: { done: "=size(each.output)" }
"""
HOLD = """\
workflow: hold
nodes:
  - { id: hold, signal: go }
"""
PATIENCE = timedelta(minutes=5)


@asynccontextmanager
async def open_engine(home: Path, url: str) -> AsyncIterator["Engine"]:
    """The engine on a database."""
    settings = load_settings(home, {}, {"tools.paths": [str(TOOLS)], "storage.url": url})
    async with open_runtime(settings) as runtime:
        for workflow in (CHAIN, VARIED, FAN, HOLD):
            await runtime.service.put_workflow(LOCAL_USER, workflow.encode())
        yield Engine(runtime.service, url)


class Engine:
    """Runs of the workflow `chain`, or `varied`, are what is measured; see `trial.Subject`."""

    def __init__(self, service: Service, url: str) -> None:
        self.service = service
        self.url = url
        self.limits: dict[str, int] = {}
        """What each run that begins may spend, by unit."""
        self.is_varied = False
        """Whether runs are those of `varied`."""
        self._numbers = count(0, STEPS)

    async def run(self) -> None:
        if self.is_varied:
            run = await self.start("varied", {"first": next(self._numbers)})
        else:
            run = await self.start("chain")
        await self.ended(run)

    async def start(self, workflow: str, input: Json = None) -> str:
        """Begins a run; it is committed when this tells its id."""
        run, _ = await self.service.start_run(LOCAL_USER, workflow, input or {}, limits=self.limits)
        return run.id

    async def ended(self, run: str) -> None:
        """Waits until it has completed."""
        view = await self.service.wait_run(LOCAL_USER, run, PATIENCE)
        assert view.status is RunStatus.COMPLETED, view

    async def fan_out(self, items: int) -> None:
        """One run with so many steps side by side."""
        await self.ended(await self.start("fan", {"items": list(range(items))}))

    def stored_bytes(self) -> int:
        return stored_bytes(self.url)
