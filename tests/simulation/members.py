"""The processes of a world: each a shipped worker with its own link, clock and effects."""

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta

from tests.simulation import documents
from tests.simulation.effects import ScriptedEffects
from tests.simulation.ledger import Ledger
from tests.simulation.links import Link
from tests.simulation.script import Script
from tests.simulation.virtual_loop import LoopClock

from stepwell.config import WorkerSettings
from stepwell.engine.graph import Graph
from stepwell.engine.inputs import Input
from stepwell.engine.state import RunState
from stepwell.orchestrator.journal import Journal
from stepwell.orchestrator.owned import OwnedRun
from stepwell.orchestrator.worker import Worker
from stepwell.orchestrator.workflows import Workflows
from stepwell.tools.registry import ToolRegistry
from stepwell_storage.memory import MemoryStorage

NAMESPACE = "default"
LEASE = timedelta(seconds=15)
INLINE_LIMIT = 150
"""Bytes: small, so that many results are blobs."""


class SkewedClock:
    """A process's own clock, which may be wrong."""

    def __init__(self, clock: LoopClock) -> None:
        self._clock = clock
        self.skew = 0

    def now(self) -> int:
        """UTC microseconds, as this process believes."""
        return self._clock.now() + self.skew


class Library(Workflows):
    """The documents, by number; nothing has to be stored."""

    def __init__(self, store: MemoryStorage, link: Link, clock: SkewedClock) -> None:
        super().__init__(store, tools=lambda: documents.TOOLS, clock=clock)
        self._link = link

    async def graph(self, namespace: str, name: str, version: str | None = None) -> Graph:
        """The graph of the document of this name."""
        await self._link.pass_through(writes=False)
        return documents.graph(int(name.removeprefix("w")))


class Member:
    """One process."""

    def __init__(
        self,
        name: str,
        *,
        store: MemoryStorage,
        ledger: Ledger,
        script: Script,
        clock: LoopClock,
        dice: random.Random,
        latency: float,
        on_report: Callable[[str, Input], None],
    ) -> None:
        self.name = name
        self.clock = SkewedClock(clock)
        self.link = Link(store, ledger, dice, latency=latency, live=self._live)
        self.worker = Worker(
            self.link,
            owner=name,
            journal=Journal(self.link, inline_limit=INLINE_LIMIT),
            workflows=Library(store, self.link, self.clock),
            effects=ScriptedEffects(
                script,
                clock=self.clock,
                witness=ledger,
                is_cut=lambda: self.link.is_cut,
                on_report=on_report,
            ),
            tools=ToolRegistry(),
            clock=self.clock,
            settings=WorkerSettings(lease=LEASE),
            jitter=dice.random,
        )
        self.is_alive = False
        """Whether it can be asked for something."""
        self.gone = asyncio.Event()
        """Set when nobody gets an answer from it any more."""
        self._stopping = asyncio.Event()

    async def run(self, *, alone: bool, on_defect: Callable[[str, BaseException], None]) -> None:
        """Works until it is stopped or killed."""
        try:
            async with self.worker.working(alone=alone):
                self.is_alive = True
                await self._stopping.wait()
        except Exception as error:  # noqa: BLE001 - a worker raises nothing
            if not self.link.is_cut:
                on_defect(f"the worker {self.name} ended by itself", error)
        finally:
            self.is_alive = False
            self.gone.set()

    def stop(self) -> None:
        """Asks it to give back what it holds, and to end; then it is `gone`."""
        self.is_alive = False
        self._stopping.set()

    def kill(self, *, delivers: bool) -> None:
        """From now on nothing of it reaches anybody."""
        self.is_alive = False
        self.link.cut(delivers=delivers)
        self.gone.set()

    def find(self, run: str) -> OwnedRun | None:
        """The run, if this process holds it and can be asked."""
        return self.worker.find(NAMESPACE, run) if self.is_alive else None

    def _live(self, run: str, epoch: int) -> RunState | None:
        owned = self.worker.find(NAMESPACE, run)
        return owned.state if owned is not None and owned.epoch == epoch else None
