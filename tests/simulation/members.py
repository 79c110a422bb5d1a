"""The processes of a world: each a shipped worker with its own link, clock and effects."""

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta

from msgspec.structs import replace
from tests.simulation import documents
from tests.simulation.bodies import TOOLS
from tests.simulation.effects import ScriptedEffects
from tests.simulation.ledger import Ledger
from tests.simulation.links import Link
from tests.simulation.script import Script
from tests.simulation.virtual_loop import LoopClock

from stepwell.clock import IdSource
from stepwell.config import WorkerSettings
from stepwell.engine.graph import Graph
from stepwell.engine.inputs import Input
from stepwell.engine.state import RunState
from stepwell.orchestrator.approvals import NO_FACTORS, Approvals, Proof
from stepwell.orchestrator.audit import Audit
from stepwell.orchestrator.controls import Controls
from stepwell.orchestrator.journal import Journal
from stepwell.orchestrator.owned import OwnedRun
from stepwell.orchestrator.questions import Questions
from stepwell.orchestrator.refusals import no_run, refusals
from stepwell.orchestrator.views import Run, run_of_row
from stepwell.orchestrator.worker import Worker
from stepwell.orchestrator.workflows import Workflows
from stepwell.principals import Caller
from stepwell.tools.registry import ToolRegistry
from stepwell_storage.memory import MemoryStorage

NAMESPACE = "default"
LEASE = timedelta(seconds=15)
POLL = timedelta(seconds=5)
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
        super().__init__(store, tools=lambda: TOOLS, clock=clock)
        self._link = link

    async def graph(self, namespace: str, name: str, version: str | None = None) -> Graph:
        """The graph of the document of this name."""
        await self._link.pass_through(writes=False)
        return documents.graph_of(name)


class Anybody:
    """Everybody has shown his factor."""

    async def is_enrolled(self, caller: Caller) -> bool:
        """Whoever asks."""
        return True

    async def is_wanted(self, caller: Caller) -> bool:
        """Whoever asks."""
        return True

    async def verify(self, caller: Caller, proof: Proof | None, subject: str) -> None:
        """It is right."""


class Member:
    """One process. Callers ask its `controls`."""

    def __init__(
        self,
        name: str,
        *,
        store: MemoryStorage,
        ledger: Ledger,
        script: Script,
        clock: LoopClock,
        ids: IdSource,
        dice: random.Random,
        latency: float,
        on_report: Callable[[str, Input], None],
    ) -> None:
        self.name = name
        self.clock = SkewedClock(clock)
        self.link = Link(store, ledger, dice, latency=latency, live=self._live)
        journal = Journal(self.link, inline_limit=INLINE_LIMIT)
        self.worker = Worker(
            self.link,
            owner=name,
            journal=journal,
            workflows=Library(store, self.link, self.clock),
            effects=ScriptedEffects(
                script,
                clock=self.clock,
                witness=ledger,
                origin=lambda run: ledger.accounts[run].origin,
                is_cut=lambda: self.link.is_cut,
                on_report=on_report,
            ),
            tools=ToolRegistry(),
            clock=self.clock,
            settings=WorkerSettings(lease=LEASE, poll=POLL),
            max_depth=documents.MAX_DEPTH,
            jitter=dice.random,
        )
        self.controls = Controls(
            self.link,
            worker=self.worker,
            journal=journal,
            clock=self.clock,
            ids=ids,
            get_run=self._get_run,
            audit=Audit(self.link, self.clock),
            factors=NO_FACTORS,
        )
        self.approvals = Approvals(
            self.link,
            journal=journal,
            tell=self.controls.tell,
            clock=self.clock,
            factors=Anybody(),
            audit=Audit(self.link, self.clock),
        )
        self.questions = Questions(
            journal=journal,
            get_run=self._asked_run,
            tell=self.controls.tell,
            audit=Audit(self.link, self.clock),
            clock=self.clock,
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

    async def drain(self, timeout: float) -> None:
        """Asks it to hand over what it holds, when that has come to an end."""
        self.is_alive = False
        await self.worker.drain(timeout)

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

    async def _get_run(self, caller: Caller, run: str) -> Run:
        with refusals(no_run(run)):
            return run_of_row(await self.link.runs.get(caller.namespace, run))

    async def _asked_run(self, caller: Caller, run: str) -> Run:
        view = await self._get_run(caller, run)
        return replace(view, questions=await self.questions.of(NAMESPACE, view))

    def _live(self, run: str, epoch: int) -> RunState | None:
        owned = self.worker.find(NAMESPACE, run)
        return owned.state if owned is not None and owned.epoch == epoch else None
