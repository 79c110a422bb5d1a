"""The kill matrix: one load, the ways in which its daemons die, and what was left of it each time."""

import asyncio
import os
import platform
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import median

import msgspec
from msgspec import Struct
from tests.e2e.cluster import Cluster
from tests.e2e.daemon import until
from tests.e2e.history import (
    ENDS,
    Blow,
    History,
    assert_all_completed,
    assert_log_is_whole,
    assert_only_calls_in_flight_were_repeated,
)
from tests.e2e.load import Correspondent, Pace, Watcher, prepare, run_load
from tests.e2e.stored_log import entries

from stepwell.client import Run


class Row(Struct, frozen=True, kw_only=True):
    """What was left. Times are in seconds, from a blow to the first new event of a run."""

    what: str
    processes: int
    database: str
    governed: bool = False
    blows: int
    runs: int
    lost: int
    unequal: int
    steps_lost: int
    events: int
    calls: int
    in_flight: int
    """Calls that had their effect, or had it to come, while a blow lasted."""
    repeated: int
    repeated_unsafe: int
    """Calls made again that may not be repeated."""
    asked: int
    """Calls of unknown outcome that a person was asked about."""
    refused: int
    """How often a caller got no answer but an error that passes."""
    resumed: list[float]
    goal: float | None = None

    def __str__(self) -> str:
        times = "never"
        if self.resumed:
            times = f"{median(self.resumed):.2f} s (at most {max(self.resumed):.2f} s)"
        goal = f", goal {self.goal:g} s" if self.goal is not None else ""
        return (
            f"{self.what}, {self.database}, {self.processes} processes: {self.blows} blows, "
            f"{self.runs} runs, {self.lost} lost, {self.unequal} unequal, {self.steps_lost} steps "
            f"lost; {self.calls} calls, {self.in_flight} in flight, {self.repeated} repeated, "
            f"{self.repeated_unsafe} of those that may not be, {self.asked} asked about; "
            f"{self.refused} refusals; went on after {times}{goal}"
        )


class Scene:
    """A load in progress, as whoever strikes sees it."""

    def __init__(
        self,
        cluster: Cluster,
        watcher: Watcher,
        correspondent: Correspondent,
        *,
        runs: int,
        calls: int,
    ) -> None:
        """`runs` is how many the load has, `calls` about as many as they make."""
        self.cluster = cluster
        self.watcher = watcher
        self.correspondent = correspondent
        self.runs = runs
        self.calls = calls
        self.pace = Pace()
        self.up_again: list[int] = []
        """When the database was there again; UTC microseconds."""

    def done(self) -> int:
        """How many calls had their effect."""
        return self.cluster.ledger.size()

    def recorded(self) -> int:
        """How many calls the watcher knows of."""
        return self.watcher.count("tool_call")

    def resumed(self) -> list[float]:
        """Seconds from each return of the database to the next event that the watcher heard of."""
        heard = self.watcher.heard_at
        return [(min(at for at in heard if at > up) - up) / 1e6 for up in self.up_again]


Strike = Callable[[Scene], Awaitable[list[Blow]]]


class Matrix:
    """The rows that were measured, beside an undisturbed load."""

    def __init__(self, calm: History) -> None:
        self.calm = calm
        self.rows: list[Row] = []

    async def measure(
        self, what: str, cluster: Cluster, strike: Strike, *, goal: float | None = None
    ) -> Row:
        """Strikes while the load runs, and sees that everything holds that must."""
        runs = len(self.calm.runs)
        scene, ended, blows = await _play(cluster, runs, strike, calls=len(self.calm.by_key))
        history = History(ended, scene.watcher.seen, cluster.ledger.lines())
        row = Row(
            what=what,
            processes=len(cluster.daemons),
            database=cluster.url.partition(":")[0],
            blows=len({blow.at for blow in blows if blow.robs} or scene.up_again),
            runs=len(history.by_run),
            lost=len(history.unended),
            unequal=sum(
                mine != calm for mine, calm in zip(history.outputs, self.calm.outputs, strict=True)
            ),
            steps_lost=len(self.calm.steps - history.steps),
            events=len(history.seen),
            calls=len(history.by_key),
            in_flight=history.in_flight(blows),
            repeated=history.repeated,
            repeated_unsafe=history.repeats(history.unrepeatable & set(history.by_key)),
            asked=scene.correspondent.asked,
            refused=len(cluster.refusals),
            resumed=scene.resumed() or history.taken_over(cluster.log, blows),
            goal=goal,
        )
        self.rows.append(row)
        assert_log_is_whole(entries(cluster.url), history.seen)
        assert_all_completed(history)
        assert_only_calls_in_flight_were_repeated(history, blows)
        assert (row.lost, row.unequal, row.repeated_unsafe) == (0, 0, 0), row
        assert (history.steps, history.calls) == (self.calm.steps, self.calm.calls)
        return row

    def write(self, path: Path) -> None:
        """Writes the rows down, with what they were measured on."""
        setting = {
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0],
        }
        content = msgspec.json.encode({"setting": setting, "rows": self.rows})
        path.write_bytes(msgspec.json.format(content) + b"\n")


async def undisturbed(cluster: Cluster, runs: int) -> History:
    """The load while nothing happens."""

    async def strike(scene: Scene) -> list[Blow]:
        await scene.pace.let_begin(runs)
        return []

    scene, ended, _ = await _play(cluster, runs, strike, calls=0)
    return History(ended, scene.watcher.seen, cluster.ledger.lines())


async def _play(
    cluster: Cluster, runs: int, strike: Strike, *, calls: int
) -> tuple[Scene, Sequence[Run], list[Blow]]:
    await prepare(cluster)
    async with cluster.daemons[-1].client() as client, asyncio.TaskGroup() as tasks:
        correspondent = Correspondent(cluster, tasks)
        watcher = Watcher(correspondent.read)
        scene = Scene(cluster, watcher, correspondent, runs=runs, calls=calls)

        async def struck() -> list[Blow]:
            blows = await strike(scene)
            correspondent.is_calm.set()
            return blows

        watching = tasks.create_task(watcher.watch(client))
        striking = tasks.create_task(struck())
        ended = await run_load(cluster, runs, scene.pace)
        wanted = {run.id for run in ended}
        await until(
            lambda: wanted <= {event.run for event in watcher.seen if event.kind in ENDS},
            "the watcher to see every end",
        )
        watching.cancel()
    return scene, ended, striking.result()
