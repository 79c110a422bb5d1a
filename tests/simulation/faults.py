"""What can go wrong in a world."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

from tests.simulation.cluster import Cluster
from tests.simulation.ledger import Ledger
from tests.simulation.links import Mood
from tests.simulation.members import LEASE

LATEST = 60.0
"""Virtual seconds after which no fault begins."""
MOODS = (Mood.AWAY, Mood.FULL, Mood.FLAKY, Mood.FLAKY, Mood.MUTE, Mood.MUTE)


class Faults:
    """Each of them is a coroutine that finds somebody to happen to."""

    def __init__(self, cluster: Cluster, ledger: Ledger, dice: random.Random) -> None:
        self._cluster = cluster
        self._ledger = ledger
        self._dice = dice

    def draw(self) -> Sequence[Callable[[], Awaitable[None]]]:
        """What will go wrong."""
        kinds = [self._kill, self._kill, self._refuse, self._refuse, self._jump, self._restart]
        if not self._cluster.is_home:
            kinds += [self._hang, self._join]
        drawn = self._dice.choices(kinds, k=self._dice.randint(1, 5))
        return drawn + [self._repeat] * self._dice.randint(0, 8)

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
            if self._dice.random() < 0.5:
                await member.drain(self._dice.choice((0.1, 5.0)))
            member.stop()
            await member.gone.wait()
            await self._cluster.replace()

    async def _refuse(self) -> None:
        """The store refuses one process for a while, or does not answer it."""
        member = self._cluster.anyone()
        if member is not None:
            member.link.mood = self._dice.choice(MOODS)
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
        """A report comes again, to whoever owns the run by now.

        Not where a person has let the call be made again: that has the same name, and nobody can
        tell the two apart.
        """
        if self._cluster.reports:
            run, given = self._dice.choice(self._cluster.reports)
            if not self._ledger.was_let_again(run, given):
                for owned in self._cluster.owners(run):
                    owned.give(given)
