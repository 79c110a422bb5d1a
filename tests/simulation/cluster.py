"""The processes of a world: they appear, are killed, stopped, and replaced."""

import asyncio
import random
from collections.abc import Callable

from tests.simulation.ledger import Ledger
from tests.simulation.links import Mood
from tests.simulation.members import Member
from tests.simulation.script import Script
from tests.simulation.virtual_loop import LoopClock

from stepwell.clock import IdSource
from stepwell.engine.inputs import Input
from stepwell.orchestrator.owned import OwnedRun
from stepwell_storage.memory import MemoryStorage


class Cluster:
    """All processes that ever were on one store.

    With `is_home` there is one at a time, as on SQLite, and each takes over at once what the
    last one left; else there are several, which wait for each other's leases to expire.
    """

    def __init__(
        self,
        *,
        store: MemoryStorage,
        ledger: Ledger,
        script: Script,
        clock: LoopClock,
        ids: IdSource,
        dice: random.Random,
        is_home: bool,
        on_defect: Callable[[str, BaseException], None],
    ) -> None:
        self.is_home = is_home
        self.latency = dice.choice((0.0, 0.002, 0.05))
        """Seconds of the way to the store, give or take."""
        self.reports: list[tuple[str, Input]] = []
        """Every report that an effect has made, with its run."""
        self._store = store
        self._ledger = ledger
        self._script = script
        self._clock = clock
        self._ids = ids
        self._dice = dice
        self._on_defect = on_defect
        self._members: list[Member] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def appear(self) -> Member:
        """One more process."""
        member = Member(
            f"worker {len(self._members)}",
            store=self._store,
            ledger=self._ledger,
            script=self._script,
            clock=self._clock,
            ids=self._ids,
            dice=self._dice,
            latency=self.latency,
            on_report=lambda run, given: self.reports.append((run, given)),
        )
        self._members.append(member)
        work = member.run(alone=self.is_home, on_defect=self._on_defect)
        self._tasks[member.name] = asyncio.get_running_loop().create_task(work)
        return member

    def kill(self, member: Member) -> None:
        """Ends a process from one moment to the next; what it has queued may be written or not."""
        member.kill(delivers=self._dice.random() < 0.5)
        self._tasks[member.name].cancel()

    async def replace(self) -> None:
        """After a while there is another process; in a home only when the last one is gone."""
        await asyncio.sleep(self._dice.choice((0.0, 0.5, 20)) * self._dice.random())
        if not self.is_home or self._is_deserted:
            self.appear()

    def anyone(self) -> Member | None:
        """A process that can be asked for something."""
        alive = [member for member in self._members if member.is_alive]
        return self._dice.choice(alive) if alive else None

    def owners(self, run: str) -> list[OwnedRun]:
        """Whoever believes to own the run."""
        found = (member.find(run) for member in self._members)
        return [owned for owned in found if owned is not None]

    def heal(self) -> None:
        """From now on nothing goes wrong."""
        skew = max(member.clock.skew for member in self._members)
        if self._is_deserted:
            self.appear()
        for member in self._members:
            member.link.mood = Mood.WELL
            member.link.keeps_leases = True
            member.clock.skew = skew

    async def stop(self) -> None:
        """Every process is stopped as it should be."""
        for member in self._members:
            member.stop()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    @property
    def _is_deserted(self) -> bool:
        return all(member.gone.is_set() for member in self._members)
