"""Two runtimes on one PostgreSQL: whoever is there goes on with what is open."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from stepwell.bootstrap import Runtime, open_runtime
from stepwell.config import Settings, load_settings
from stepwell.orchestrator.views import RunStatus
from stepwell.principals import LOCAL_USER

pytestmark = pytest.mark.anyio

PATIENCE = 20.0
TOOLS = """
import asyncio
from pathlib import Path

from stepwell import tool


@tool(idempotent=True)
async def wait_for(file: str) -> str:
    \"\"\"Ends when there is a file.\"\"\"
    while not Path(file).exists():
        await asyncio.sleep(0.01)
    return file
"""
WORKFLOW = """
workflow: waiting
input: { type: object, properties: { file: { type: string } }, required: [file] }
nodes:
  - { id: first, tool: wait_for, with: { file: =input.file } }
  - { id: second, tool: wait_for, with: { file: =first.output } }
output: { file: =second.output }
"""


def settings_of(home: Path, url: str) -> Settings:
    home.mkdir()
    (home / "tools.py").write_text(TOOLS)
    chosen = {"tools.paths": ["tools.py"], "storage.url": url, "worker.lease": timedelta(seconds=1)}
    return load_settings(home, {}, chosen)


async def start(runtime: Runtime, file: Path) -> str:
    run, _ = await runtime.service.start_run(LOCAL_USER, "waiting", {"file": str(file)})
    return run.id


async def outcome(runtime: Runtime, run: str) -> RunStatus:
    """How a run ended, wherever it was."""
    async with asyncio.timeout(PATIENCE):
        while (await runtime.service.get_run(LOCAL_USER, run)).ended_at is None:
            await asyncio.sleep(0.01)
    return (await runtime.service.get_run(LOCAL_USER, run)).status


async def test_each_carries_out_its_own_runs_and_both_see_all(
    tmp_path: Path, postgres_url: str
) -> None:
    file = tmp_path / "there"
    file.touch()
    async with (
        open_runtime(settings_of(tmp_path / "one", postgres_url)) as one,
        open_runtime(settings_of(tmp_path / "two", postgres_url)) as two,
    ):
        await one.service.put_workflow(LOCAL_USER, WORKFLOW.encode())
        runs = await asyncio.gather(*(start((one, two)[n % 2], file) for n in range(20)))
        for run in runs:
            for runtime in (one, two):
                assert await outcome(runtime, run) is RunStatus.COMPLETED


async def test_what_one_leaves_open_the_other_goes_on_with(
    tmp_path: Path, postgres_url: str
) -> None:
    file = tmp_path / "there"
    async with open_runtime(settings_of(tmp_path / "two", postgres_url)) as two:
        async with open_runtime(settings_of(tmp_path / "one", postgres_url)) as one:
            await one.service.put_workflow(LOCAL_USER, WORKFLOW.encode())
            runs = [await start(one, file) for _ in range(5)]
        file.touch()

        for run in runs:
            assert await outcome(two, run) is RunStatus.COMPLETED
