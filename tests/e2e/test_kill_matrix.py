"""Every way in which daemons and their database die, under a load of runs of every shape.

`make crash` plays it at length and writes the figures down; the suite plays it in short, for the
sake of its time.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest
from dev.postgres import PostgresServer, Shutdown, running_postgres
from tests.contract.proxy import Proxy, running_proxy
from tests.e2e.cluster import running
from tests.e2e.daemon import BOUND, Daemon, until
from tests.e2e.history import GOES_ON, Blow
from tests.e2e.kill_matrix import Matrix, Scene, undisturbed
from tests.e2e.load import MODELS, PLACES, QUEUE
from tests.e2e.stored_log import LeaseRow, leases

from stepwell.clock import SystemClock
from stepwell.config import WorkerSettings
from stepwell.errors import Code, Unavailable

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.crash,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("one_loop"),
]

KILLS = int(os.environ.get("STEPWELL_CRASH_KILLS", "2"))
AT_LENGTH = KILLS > 2
RUNS = 80 if AT_LENGTH else 20
"""Of the load; some of them start others."""

BLOWS = max(1, KILLS // 5)
"""Where each one costs the length of a lease."""

OUTAGE = 30.0 if AT_LENGTH else 3.0
"""Seconds."""

LEASE = WorkerSettings().lease.total_seconds()
SEED = 20
TAKEOVER, HANDOVER = 5.0, 1.0
"""Seconds: the goals for a daemon that is killed, and for one that is asked to stop."""

HELD_UP = 2 * BOUND
"""Seconds until others go on beside a daemon that is gone or frozen: one that hangs in the middle of a
commit stops them all for half a minute, which is when the database ends it."""

NOT_OURS = "is not ours any more"
"""What a daemon says that has lost a run."""

clock = SystemClock()


@pytest.fixture(scope="module")
async def matrix(tmp_path_factory: pytest.TempPathFactory, one_loop: None) -> AsyncIterator[Matrix]:
    async with running(tmp_path_factory.mktemp("calm"), MODELS) as cluster:
        made = Matrix(await undisturbed(cluster, RUNS))
    yield made
    if report := os.environ.get("STEPWELL_CRASH_REPORT"):
        made.write(Path(report))


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Callable[[object], None]:
    """Prints a row although its test passes."""

    def printed(row: object) -> None:
        with capsys.disabled():
            print(f"\n{row}")

    return printed


@pytest.fixture(scope="module")
def fragile_postgres() -> Iterator[PostgresServer]:
    """A server that may be restarted: nobody else uses it."""
    with running_postgres() as server:
        yield server


async def test_one_daemon_on_sqlite_is_killed_again_and_again(
    tmp_path: Path, matrix: Matrix, show: Callable[[object], None]
) -> None:
    async with running(tmp_path, MODELS) as cluster:
        show(await matrix.measure("SIGKILL", cluster, partial(_kill, KILLS)))


async def test_one_daemon_on_postgres_is_killed_again_and_again(
    tmp_path: Path, matrix: Matrix, postgres_url: str, show: Callable[[object], None]
) -> None:
    async with running(tmp_path, MODELS, url=postgres_url) as cluster:
        show(await matrix.measure("SIGKILL", cluster, partial(_kill, KILLS)))


async def test_another_daemon_goes_on_where_one_was_killed(
    tmp_path: Path, matrix: Matrix, postgres_url: str, show: Callable[[object], None]
) -> None:
    async with running(tmp_path, MODELS, url=postgres_url, size=2) as cluster:
        strike = partial(_kill, BLOWS)
        show(await matrix.measure("SIGKILL of one", cluster, strike, goal=TAKEOVER))


async def test_another_daemon_goes_on_where_one_was_asked_to_stop(
    tmp_path: Path, matrix: Matrix, postgres_url: str, show: Callable[[object], None]
) -> None:
    async with running(tmp_path, MODELS, url=postgres_url, size=2) as cluster:
        row = await matrix.measure("SIGTERM of one", cluster, _stop, goal=HANDOVER)
    show(row)
    assert (row.repeated, row.asked) == (0, 0), "something was cut off"


@pytest.mark.parametrize("how", list(Shutdown))
async def test_daemons_outlive_a_restart_of_their_database(
    tmp_path: Path,
    matrix: Matrix,
    fragile_postgres: PostgresServer,
    how: Shutdown,
    show: Callable[[object], None],
) -> None:
    url = fragile_postgres.create_database(f"restart_{how.name.lower()}")
    async with running(tmp_path, MODELS, url=url, size=2) as cluster:
        strike = partial(_restart, fragile_postgres, how)
        show(await matrix.measure(f"database restarted, {how.name.lower()}", cluster, strike))


@pytest.mark.parametrize("is_silent", [False, True])
async def test_daemons_outlive_a_network_that_is_cut(
    tmp_path: Path,
    matrix: Matrix,
    postgres: PostgresServer,
    postgres_url: str,
    is_silent: bool,
    show: Callable[[object], None],
) -> None:
    async with running_proxy(postgres.port) as proxy:
        way = postgres_url.replace(f":{postgres.port}/", f":{proxy.port}/")
        async with running(tmp_path, MODELS, url=postgres_url, way=way, size=2) as cluster:
            strike = partial(_cut, proxy, is_silent=is_silent)
            how = "silent" if is_silent else "refusing"
            show(await matrix.measure(f"network {how} for {OUTAGE:g} s", cluster, strike))


async def test_a_daemon_that_was_frozen_writes_nothing_of_what_it_has_lost(
    tmp_path: Path, matrix: Matrix, postgres_url: str, show: Callable[[object], None]
) -> None:
    async with running(tmp_path, MODELS, url=postgres_url, size=2) as cluster:
        show(await matrix.measure("SIGSTOP of one, SIGCONT later", cluster, _freeze))
        assert NOT_OURS in cluster.daemons[0].log, "it did not even try"


# --- blows ----------------------------------------------------------------------------------


async def _kill(times: int, scene: Scene) -> list[Blow]:
    """Kills one daemon after the other, and starts each again when its runs went on elsewhere."""
    blows = []
    async for victim, others in _victims(scene, times):
        before = _taken_over(others)
        blows.append(Blow(victim.name, victim.life, victim.kill()))
        if others:
            await _goes_on(others, before)
        await victim.start()
    return blows


async def _stop(scene: Scene) -> list[Blow]:
    """Asks one daemon after the other to stop, and starts it again."""
    blows = []
    async for victim, others in _victims(scene, BLOWS):
        before = _taken_over(others)
        blows.append(Blow(victim.name, victim.life, await victim.leave()))
        await _goes_on(others, before)
        await victim.start()
    return blows


async def _restart(server: PostgresServer, how: Shutdown, scene: Scene) -> list[Blow]:
    """Stops the database and starts it again."""
    blows: list[Blow] = []
    async for _ in _victims(scene, max(1, BLOWS // 2), goes_on=False):
        at = clock.now()
        await asyncio.to_thread(server.stop, how)
        await asyncio.to_thread(server.start)
        blows += await _over(scene, at)
    return blows


async def _cut(proxy: Proxy, scene: Scene, *, is_silent: bool) -> list[Blow]:
    """Lets nothing through to the database for a while: no answer at all, or a refusal at once."""
    await _next_victim(scene)
    at = clock.now()
    if is_silent:
        proxy.stall()
    else:
        await proxy.refuse()
        for daemon in scene.cluster.daemons:
            await _assert_callers_are_told_to_try_again(daemon)
    await asyncio.sleep(OUTAGE)
    if is_silent:
        proxy.resume()
    else:
        await proxy.accept()
    return await _over(scene, at)


async def _freeze(scene: Scene) -> list[Blow]:
    """Freezes a daemon until another has all its runs, and lets it wake up while that one sleeps."""
    url = scene.cluster.url
    victim, [other] = await _next_victim(scene)
    scene.correspondent.may_answer.clear()  # a frozen call may still have its effect
    lost_at = victim.freeze()
    held = leases(url)
    await _goes_on([other], _taken_over([other]))
    owners = _owners(held)
    await until(
        lambda: len(owners - _owners(leases(url))) == 1, "all of them to go on", bound=HELD_UP
    )
    (robbed,) = owners - _owners(leases(url))

    slept_at = other.freeze()
    before = leases(url)
    victim.thaw()
    await until(lambda: NOT_OURS in victim.log, "it to find out", bound=HELD_UP)
    after = leases(url)
    other.thaw()
    awake_at = clock.now()
    scene.correspondent.may_answer.set()

    lost = [run for run, lease in held.items() if lease.owner == robbed]
    assert lost, "it had nothing to lose"
    for run in lost:  # who has a new lease by now may write
        assert after[run].epoch > before[run].epoch or after[run] == before[run], run
    until_at = awake_at + _microseconds(LEASE)
    return [
        Blow(victim.name, victim.life, lost_at, up=awake_at, until=until_at),
        Blow(other.name, other.life, slept_at, up=awake_at, until=until_at, robs=False),
    ]


def _owners(held: Mapping[str, LeaseRow]) -> set[str]:
    """The processes that hold something."""
    return {lease.owner for lease in held.values() if lease.owner}


async def _assert_callers_are_told_to_try_again(daemon: Daemon) -> None:
    """UNAVAILABLE with RetryInfo, for who reads and for who writes."""
    async with daemon.client() as client:
        for asked in (client.list(), client.queues.put(QUEUE, concurrency=PLACES)):
            with pytest.raises(Unavailable) as refused:
                await asked
            assert (refused.value.code, refused.value.retryable) == (Code.STORAGE_UNAVAILABLE, True)


async def _over(scene: Scene, at: int) -> list[Blow]:
    """The database is there again. Leases may have expired, and runs may change hands."""
    up = clock.now()
    scene.up_again.append(up)
    await until(lambda: scene.watcher.heard_at[-1] > up, "work to go on")
    until_at = up + _microseconds(2 * LEASE)
    return [
        Blow(it.name, it.life, at, up=up, until=until_at, robs=False)
        for it in scene.cluster.daemons
    ]


async def _victims(
    scene: Scene, times: int, *, goes_on: bool = True
) -> AsyncIterator[tuple[Daemon, list[Daemon]]]:
    """The daemon whose turn it is, and the others, each time that enough has happened for it.

    Where the load `goes_on` with the others, they are given a share of it after each blow.
    """
    daemons = scene.cluster.daemons
    chance = random.Random(SEED)
    shares = times if goes_on and len(daemons) > 1 else 1
    most = scene.calls // (2 * times)
    for number in range(times):
        await scene.pace.let_begin(scene.runs * min(number + 1, shares) // shares)
        await _progress(scene, chance.randint(1, most), chance)
        victim = daemons[number % len(daemons)]
        yield victim, [daemon for daemon in daemons if daemon is not victim]


async def _next_victim(scene: Scene) -> tuple[Daemon, list[Daemon]]:
    return await anext(_victims(scene, 1))


async def _progress(scene: Scene, calls: int, chance: random.Random) -> None:
    """Waits for some more calls that had their effect, or for some more that were recorded.

    The first finds calls in flight whose effect is there and whose record is not, the second
    finds the log just after a commit.
    """
    count = chance.choice([scene.done, scene.recorded])
    enough = count() + calls
    await until(lambda: count() >= enough, f"{count.__name__} to be {enough}")


def _taken_over(daemons: list[Daemon]) -> int:
    """How many runs they have gone on with that others had left."""
    return sum(len(GOES_ON.findall(daemon.log)) for daemon in daemons)


async def _goes_on(daemons: list[Daemon], before: int) -> None:
    """Waits until they take over more."""
    await until(lambda: _taken_over(daemons) > before, "its runs to go on", bound=HELD_UP)


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)
