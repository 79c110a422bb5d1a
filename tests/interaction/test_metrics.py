"""What Prometheus reads from a process that works: every number answers its question."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from stepwell.bootstrap import Runtime, open_runtime
from stepwell.config import load_settings
from stepwell.orchestrator.views import Run
from stepwell.principals import LOCAL_USER
from stepwell_server.http import HttpServer, MetricsPage
from stepwell_storage.errors import Unavailable
from stepwell_storage.records import QueueRow

pytestmark = pytest.mark.anyio

PATIENCE = timedelta(seconds=5)
TOOLS = '''
from stepwell import tool

@tool(read_only=True)
async def look() -> str:
    """Looks."""
    return "seen"

@tool(read_only=True)
async def fail() -> str:
    """Fails."""
    raise ValueError("no")
'''
SCRIPT = """
conversations:
  - when: go
    turns: [{ text: done }]
"""
WORK = b"""
workflow: work
agents: { helper: { model: small } }
nodes:
  - { id: ask, agent: helper, with: { message: go } }
  - { id: look, tool: look }
  - { id: never, tool: look, if: "=1 > 2" }
"""
BREAK = b"""
workflow: break
nodes:
  - { id: bad, tool: fail, retry: { max: 1, initial: 1ms } }
"""
HOLD = b"""
workflow: hold
nodes:
  - { id: hold, signal: go }
"""


class Watched(NamedTuple):
    """A runtime, and where its numbers are."""

    runtime: Runtime
    url: str

    async def read(self) -> dict[str, float]:
        """The numbers by name and labels."""
        async with httpx2.AsyncClient() as client:
            answer = await client.get(self.url)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain")
        return {
            " ".join([sample.name, *(f"{k}={v}" for k, v in sorted(sample.labels.items()))]): (
                sample.value
            )
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }

    async def ended(self, workflow: str) -> Run:
        service = self.runtime.service
        run, _ = await service.start_run(LOCAL_USER, workflow, {})
        return await service.wait_run(LOCAL_USER, run.id, PATIENCE)


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[Watched]:
    home.mkdir(exist_ok=True)
    (home / "tools.py").write_text(TOOLS)
    (home / "script.yaml").write_text(SCRIPT)
    overrides = {"tools.paths": ["tools.py"], "models.small": "fake:script.yaml"}
    async with open_runtime(load_settings(home, {}, overrides), environ={}) as runtime:
        for source in (WORK, BREAK, HOLD):
            await runtime.service.put_workflow(LOCAL_USER, source)
        http = HttpServer(MetricsPage(runtime.survey).routes(), drain=timedelta(seconds=1))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with http.draining():
                await http.listen(listener)
                port = listener.getsockname()[1]
                yield Watched(runtime, f"http://127.0.0.1:{port}/metrics")


async def test_what_runs_do_is_counted_once_it_is_committed(tmp_path: Path) -> None:
    async with opened(tmp_path) as watched:
        await watched.ended("work")
        await watched.ended("break")
        read = await watched.read()
    expected = {
        "stepwell_runs_started_total workflow=work": 1,
        "stepwell_runs_ended_total status=completed workflow=work": 1,
        "stepwell_runs_ended_total status=failed workflow=break": 1,
        "stepwell_run_seconds_count workflow=work": 1,
        "stepwell_runs_held": 0,
        "stepwell_steps_ended_total kind=agent status=completed": 1,
        "stepwell_steps_ended_total kind=tool status=completed": 1,
        "stepwell_steps_ended_total kind=tool status=skipped": 1,
        "stepwell_steps_ended_total kind=tool status=failed": 1,
        "stepwell_step_seconds_count kind=agent": 1,
        "stepwell_step_retries_total kind=tool": 1,
        "stepwell_tool_calls_total outcome=ok tool=look": 1,
        "stepwell_tool_calls_total outcome=TOOL_ERROR tool=fail": 2,
        "stepwell_tool_call_seconds_count tool=fail": 2,
        "stepwell_storage_refusals_total": None,
    }
    assert {name: read.get(name) for name in expected} == expected
    assert read["stepwell_commit_seconds_count"] == read["stepwell_commit_group_size_count"] > 0
    assert read["process_resident_memory_bytes"] > 0


async def test_what_waits_is_told_from_the_database(tmp_path: Path) -> None:
    async with opened(tmp_path) as watched:
        service, storage = watched.runtime.service, watched.runtime.service._storage
        await storage.queues.put("default", QueueRow("narrow", 1, None, None, 1))
        for _ in range(2):
            await service.start_run(LOCAL_USER, "hold", {}, queue="narrow")
        wanted = {
            "stepwell_queue_running namespace=default queue=narrow": 1,
            "stepwell_queue_waiting namespace=default queue=narrow": 1,
            "stepwell_runs_open status=waiting": 2,
            "stepwell_runs_open status=running": 0,
            "stepwell_runs_open status=paused": 0,
            "stepwell_letters_waiting": 0,
        }
        async with asyncio.timeout(5):
            while {name: it for name, it in (await watched.read()).items() if name in wanted} != (
                wanted
            ):
                await asyncio.sleep(0.01)
        assert (await watched.read())["stepwell_runs_held"] == 2
    async with opened(tmp_path) as watched:
        assert (await watched.read())["stepwell_runs_claimed_total"] == 2


async def test_without_the_database_the_other_numbers_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_: object) -> None:
        raise Unavailable("gone")

    async with opened(tmp_path) as watched:
        await watched.ended("work")
        await watched.read()
        monkeypatch.setattr(watched.runtime.service._storage.counts, "take", fails)
        read = await watched.read()
    assert "stepwell_runs_open status=waiting" not in read
    assert read["stepwell_runs_ended_total status=completed workflow=work"] == 1
