"""Tasks of MCP clients that outlive their daemon, and that another daemon tells of."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import ElicitResult
from mcp_types.version import LATEST_MODERN_VERSION
from tests.e2e.cluster import running
from tests.e2e.daemon import Daemon, started
from tests.interaction.mcp.task_client import Heard, TakesTasks, ask, call, ended, listening, until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

SETTINGS = 'mcp.task_after = "50ms"\nworker.lease = "1s"\n'
BOUND = 30.0
WORKFLOW = b"""
workflow: another
nodes:
  - { id: say, transform: "hello" }
"""


@asynccontextmanager
async def connected(daemon: Daemon, heard: Heard | None = None) -> AsyncIterator[Client]:
    """A client that takes tasks, over HTTP."""
    endpoints = daemon.home.endpoints()
    assert endpoints is not None
    extensions = [TakesTasks(None if heard is None else heard.note)]
    async with Client(
        endpoints.mcp,
        mode=LATEST_MODERN_VERSION,
        extensions=extensions,
        elicitation_callback=answers,
    ) as client:
        yield client


async def answers(context: object, params: object) -> ElicitResult:
    raise NotImplementedError  # tasks are answered by the tests


def is_asking(state: dict[str, Any]) -> bool:
    return bool(state["status"] == "input_required")


def is_ended(state: dict[str, Any]) -> bool:
    return bool(state["status"] == "completed")


async def test_a_task_survives_its_daemon_and_is_answered_by_the_next(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with started(tmp_path, SETTINGS) as daemon:
        async with connected(daemon) as client:
            task = (await call(client, "wait_for", {"gate": str(gate)}))["taskId"]
            daemon.kill()
        await daemon.start()
        heard = Heard()
        async with connected(daemon, heard) as client:
            assert (await ask(client, "tasks/get", task))["status"] == "working"
            async with listening(client, task):
                gate.touch()
                told = await heard.until(is_ended)
            done = await ended(client, task)
    assert done["result"]["structuredContent"] == "passed gate"
    assert told["result"] == done["result"]


async def test_what_a_task_asked_before_its_daemon_died_is_answered_at_the_next(
    tmp_path: Path,
) -> None:
    async with started(tmp_path, SETTINGS) as daemon:
        async with connected(daemon) as client:
            task = (await call(client, "confirm", {"what": "Go on"}))["taskId"]
            before = await until(client, task, is_asking)
            daemon.kill()
        await daemon.start()
        async with connected(daemon) as client:
            after = await until(client, task, is_asking)
            [key] = after["inputRequests"]
            await ask(client, "tasks/update", task, inputResponses={key: {"action": "accept"}})
            done = await ended(client, task)
    assert before["inputRequests"] == after["inputRequests"]
    assert done["result"]["structuredContent"] == "Go on: accept"


async def test_a_daemon_tells_of_the_task_that_another_one_works_on(
    tmp_path: Path, postgres_url: str
) -> None:
    gate, heard = tmp_path / "gate", Heard()
    async with (
        running(tmp_path, SETTINGS, url=postgres_url, size=2) as cluster,
        connected(cluster.daemons[0]) as caller,
        connected(cluster.daemons[1], heard) as listener,
    ):
        task = (await call(caller, "wait_for", {"gate": str(gate)}))["taskId"]
        async with listening(listener, task):
            await heard.until(lambda state: state["status"] == "working")
            gate.touch()
            told = await heard.until(is_ended)
        polled = await ask(listener, "tasks/get", task)
        done = await ended(caller, task)
    assert told["result"]["structuredContent"] == "passed gate"
    assert told["result"] == polled["result"] == done["result"]


async def test_a_task_whose_daemon_dies_is_gone_on_with_and_told_by_another(
    tmp_path: Path, postgres_url: str
) -> None:
    gate, heard = tmp_path / "gate", Heard()
    async with running(tmp_path, SETTINGS, url=postgres_url, size=2) as cluster:
        first, second = cluster.daemons
        async with connected(first) as caller:
            task = (await call(caller, "wait_for", {"gate": str(gate)}))["taskId"]
            first.kill()
        async with connected(second, heard) as listener, listening(listener, task):
            await heard.until(lambda state: state["status"] == "working")
            gate.touch()
            told = await heard.until(is_ended)
            await ask(listener, "tasks/cancel", task)
            assert (await ask(listener, "tasks/get", task))["status"] == "completed"
    assert told["result"]["structuredContent"] == "passed gate"


async def test_what_one_daemon_publishes_the_clients_of_another_hear_of(
    tmp_path: Path, postgres_url: str
) -> None:
    async with (
        running(tmp_path, SETTINGS, url=postgres_url, size=2) as cluster,
        connected(cluster.daemons[1]) as listener,
        cluster.daemons[0].client() as owner,
        listener.listen(tools_list_changed=True) as changes,
        asyncio.timeout(BOUND),
    ):
        before = {tool.name for tool in (await listener.list_tools()).tools}
        await owner.workflows.put(WORKFLOW)
        await anext(changes)
        after = {tool.name for tool in (await listener.list_tools()).tools}
    assert after - before == {"another"}
