"""What can go wrong in a world."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from msgspec import Struct
from tests.simulation.calm import Calm
from tests.simulation.cluster import Cluster
from tests.simulation.ledger import Ledger
from tests.simulation.links import Mood
from tests.simulation.members import LEASE
from tests.simulation.virtual_loop import LoopClock

from stepwell.engine.graph import Graph
from stepwell.engine.inputs import Cancel, Publish, Start
from stepwell.engine.state import RunPhase
from stepwell.engine.values import NOTHING
from stepwell.orchestrator.owned import NotWritten, OwnedRun
from stepwell_storage.errors import Full, Unavailable

LATEST = 60.0
"""Virtual seconds after which no fault begins."""


class Planned(Struct):
    """A run of a world, and how it goes when nothing disturbs it."""

    id: str
    graph: Graph
    start: Start
    calm: Calm
    is_cancelled: bool = False
    """Whether somebody asked for it."""


class Faults:
    """Draws what goes wrong, and when."""

    def __init__(
        self,
        cluster: Cluster,
        ledger: Ledger,
        clock: LoopClock,
        dice: random.Random,
        runs: Sequence[Planned],
    ) -> None:
        self._cluster = cluster
        self._ledger = ledger
        self._clock = clock
        self._dice = dice
        self._runs = runs

    def draw(self) -> list[Coroutine[Any, Any, None]]:
        """Everything that will go wrong; each part waits for its time."""
        kinds = [self._kill, self._kill, self._refuse, self._jump, self._restart, self._ask]
        if not self._cluster.is_home:
            kinds += [self._hang, self._join]
        drawn = self._dice.choices(kinds, k=self._dice.randint(1, 6))
        drawn += [self._repeat] * self._dice.randint(0, 8)
        return [self._at_some_time(fault) for fault in drawn]

    async def _at_some_time(self, fault: Callable[[], Awaitable[None]]) -> None:
        mean = self._dice.choice((0.3, 1.5, 8.0))
        await asyncio.sleep(min(self._dice.expovariate(1 / mean), LATEST))
        await fault()

    async def _kill(self) -> None:
        """A process is gone from one moment to the next."""
        member = self._cluster.anyone()
        if member is not None:
            self._cluster.kill(member)
            await self._cluster.replace()

    async def _hang(self) -> None:
        """A process renews no lease for a while, and works on; then it is gone."""
        member = self._cluster.anyone()
        if member is not None:
            member.link.keeps_leases = False
            await asyncio.sleep(self._dice.uniform(0, 3 * LEASE.total_seconds()))
            if member.is_alive:
                self._cluster.kill(member)
            await self._cluster.replace()

    async def _restart(self) -> None:
        """A process is stopped as it should be."""
        member = self._cluster.anyone()
        if member is not None:
            member.stop()
            await member.gone.wait()
            await self._cluster.replace()

    async def _refuse(self) -> None:
        """The store refuses one process for a while."""
        member = self._cluster.anyone()
        if member is not None:
            member.link.mood = self._dice.choice((Mood.AWAY, Mood.FULL, Mood.FLAKY, Mood.FLAKY))
            await asyncio.sleep(self._dice.choice((0.2, 2, 40)) * self._dice.random())
            member.link.mood = Mood.WELL

    async def _join(self) -> None:
        """One more process appears, while the store is not at its best."""
        member = self._cluster.appear()
        member.link.mood = Mood.FLAKY
        await asyncio.sleep(self._dice.uniform(0, 40))
        member.link.mood = Mood.WELL

    async def _jump(self) -> None:
        """A clock is set: leases of others seem to have expired, or timers to be far away."""
        member = self._cluster.anyone()
        if member is not None:
            member.clock.skew += round(self._dice.uniform(-60, 60) * 1e6)

    async def _repeat(self) -> None:
        """A report comes again, to whoever owns the run by now."""
        if self._cluster.reports:
            run, given = self._dice.choice(self._cluster.reports)
            for owned in self._cluster.owners(run):
                owned.give(given)

    async def _ask(self) -> None:
        """Somebody cancels a run, or writes an event of their own into its log."""
        held = [(run, owned) for run in self._runs for owned in self._cluster.owners(run.id)]
        if held:
            planned, owned = self._dice.choice(held)
            is_cancel = self._dice.random() < 0.5
            planned.is_cancelled |= is_cancel
            await self._tell(planned, owned, is_cancel=is_cancel)

    async def _tell(self, planned: Planned, owned: OwnedRun, *, is_cancel: bool) -> None:
        """What is answered with yes is in the log, whatever happens to the owner."""
        at = self._clock.now()
        asked = owned.ask(
            Cancel(at=at, principal="user:bob", reason="enough")
            if is_cancel
            else Publish(at=at, type=f"note {at}", payload=NOTHING)
        )
        try:
            # An owner that is killed answers nobody.
            is_recorded = await asyncio.wait_for(asked, timeout=LATEST)
        except (Full, Unavailable, NotWritten, TimeoutError):
            return
        state = self._ledger.accounts[planned.id].state
        if is_recorded and is_cancel:
            is_cancelled = state.phase is RunPhase.CANCELLED
            self._ledger.check(planned.id, is_cancelled, "a cancel that is answered is committed")
