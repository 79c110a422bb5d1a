"""A disk that is full, for real: SQLITE_FULL under load, and space that comes back.

The database may not grow past its size (`storage.max_page_count`), and a table of ballast
fills it up. Dropping the ballast from another connection gives the space back while the daemon
runs, as deleting somebody else's file would.
"""

import asyncio
import sqlite3
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from tests.e2e.daemon import Daemon, until

from stepwell.bootstrap import open_runtime
from stepwell.client import Client, RunStatus
from stepwell.config import load_settings
from stepwell.errors import Code, Unavailable
from stepwell.principals import LOCAL_USER

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("one_loop")]

WORKFLOW = """\
workflow: held
input:
  type: object
  required: [gate]
  properties: { gate: { type: string }, filling: { type: string } }
nodes:
  - { id: hold, tool: hold, with: { gate: "=input.gate" } }
  - { id: after, tool: double, with: { number: 21 }, needs: [hold] }
output: { held: "=hold.output", number: "=after.output" }
"""

PAGE = 4096
ROOM = 40
"""Pages that are left for the load before the disk is full."""

FILLING = "x" * 3 * PAGE


@asynccontextmanager
async def nearly_full(folder: Path) -> AsyncIterator[Daemon]:
    """A daemon with the workflow, whose database has little room left; it is running."""
    daemon = Daemon(folder)
    async with open_runtime(load_settings(daemon.home.path)) as runtime:
        await runtime.service.put_workflow(LOCAL_USER, WORKFLOW.encode())
    try:
        daemon.configure(f"[storage]\nmax_page_count = {_put_ballast(daemon) + ROOM}\n")
        await daemon.start()
        yield daemon
    finally:
        daemon.stop()


def _put_ballast(daemon: Daemon) -> int:
    """Fills 500 pages; tells how many the database has now."""
    with closing(sqlite3.connect(daemon.database)) as database:
        database.execute("CREATE TABLE ballast (filling BLOB)")
        database.execute("INSERT INTO ballast VALUES (zeroblob(?))", (500 * PAGE,))
        database.commit()
        ((count,),) = database.execute("PRAGMA page_count")
        return int(count)


def _drop_ballast(daemon: Daemon) -> None:
    with closing(sqlite3.connect(daemon.database, timeout=10)) as database:
        database.execute("DROP TABLE ballast")
        database.commit()


async def _fill(client: Client, gate: Path) -> tuple[list[str], Unavailable]:
    """Starts runs until one is refused: those that were accepted, and why no more are."""
    accepted: list[str] = []
    while True:
        try:
            run = await client.run("held", {"gate": str(gate), "filling": FILLING})
        except Unavailable as refused:
            return accepted, refused
        accepted.append(run.id)


async def _health(daemon: Daemon) -> tuple[int, str, int]:
    """What gRPC health says, and the readiness probe with its status."""
    async with grpc.aio.insecure_channel(daemon.target) as channel:
        grpc_says = await HealthStub(channel).Check(HealthCheckRequest())
    found = daemon.home.endpoints()
    assert found is not None
    said, status = await asyncio.to_thread(_get, f"{found.http}/readyz")
    return grpc_says.status, said, status


def _get(url: str) -> tuple[str, int]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read().decode(), answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode(), error.code


async def test_a_full_disk_refuses_clearly_and_forgets_nothing(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with nearly_full(tmp_path) as daemon, daemon.client() as client:
        accepted, refused = await _fill(client, gate)
        await until(lambda: daemon.size() == len(accepted), "every accepted run to be under way")
        gate.touch()  # the calls that are held end now, and their outcome cannot be written
        await until(lambda: "waits for the database" in daemon.log, "a run to find the disk full")
        status, readiness, ready = await _health(daemon)

        assert accepted
        assert (refused.code, refused.retryable) == (Code.STORAGE_FULL, True)
        assert "Free some space" in refused.message
        assert status == HealthCheckResponse.NOT_SERVING
        assert ready == 503
        assert "Free some space" in readiness
        assert await _listed(client) == set(accepted)

        _drop_ballast(daemon)
        ended = [await client.wait(run) for run in accepted]

        assert {run.status for run in ended} == {RunStatus.COMPLETED}
        await until(lambda: "health is SERVING" in daemon.log, "health to tell the good news")
        assert (await _health(daemon))[0] == HealthCheckResponse.SERVING
    keys = [line.key for line in daemon.lines()]
    assert len(keys) == len(set(keys)) == 2 * len(accepted), "a call was lost, or made again"


@pytest.mark.parametrize("way", ["stopped", "killed"])
async def test_a_daemon_that_ends_on_a_full_disk_goes_on_with_more_room(
    tmp_path: Path, way: str
) -> None:
    gate = tmp_path / "gate"
    async with nearly_full(tmp_path) as daemon, daemon.client() as client:
        accepted, _ = await _fill(client, gate)
        if way == "stopped":
            daemon.stop()
        else:
            daemon.kill()
        await daemon.start()
        assert "Traceback" not in daemon.log
        with pytest.raises(Unavailable) as refused:
            await client.run("held", {"gate": str(gate), "filling": FILLING})
        assert refused.value.code is Code.STORAGE_FULL

        daemon.stop()
        daemon.configure("")
        gate.touch()
        await daemon.start()
        ended = [await client.wait(run) for run in accepted]

        assert {run.status for run in ended} == {RunStatus.COMPLETED}
        assert "Traceback" not in daemon.log
    lives = {line.key: line.life for line in daemon.lines()}
    assert set(lives.values()) == {3}


async def test_whoever_asks_is_told_what_became_of_it_on_a_full_disk(tmp_path: Path) -> None:
    async with nearly_full(tmp_path) as daemon, daemon.client() as client:
        (run, *_), _ = await _fill(client, tmp_path / "gate")

        with pytest.raises(Unavailable) as stored:
            await client.workflows.put(f"description: {FILLING * 5}\n{WORKFLOW}")
        with pytest.raises(Unavailable) as told:
            await client.publish(run, "note", FILLING)
        with pytest.raises(Unavailable) as refused:
            await client.cancel(run)
        kinds_meanwhile = await _kinds(client, run)
        _drop_ballast(daemon)
        await until(lambda: "health is SERVING" in daemon.log, "health to tell the good news")
        async for batch in client.watch(run):  # the note comes by itself
            if "custom" in [event.kind for event in batch.events]:
                break
        kinds_afterwards = await _kinds(client, run)
        cancelled = await client.cancel(run)

    assert {error.value.code for error in (stored, told, refused)} == {Code.STORAGE_FULL}
    assert "kept in memory" in told.value.message
    assert "nothing was changed" in stored.value.message
    assert "nothing was changed" in refused.value.message
    assert "custom" not in kinds_meanwhile
    assert "run_cancelled" not in kinds_afterwards
    assert cancelled.status is RunStatus.CANCELLED


async def _kinds(client: Client, run: str) -> list[str]:
    return [event.kind for event in (await client.events(run)).events]


async def _listed(client: Client) -> set[str]:
    return {run.id for run in (await client.list(page_size=1000)).runs}
