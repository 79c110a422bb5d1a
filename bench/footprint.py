"""What Stepwell weighs: how soon a first call is answered, and how much memory that takes.

Real processes on real homes. Figures in seconds are from the start of a process to the answer of
its first `tools/call`, medians of several turns; standalone takes turns with the least MCP server
there can be, so that both meet the same machine. Memory is resident, in MB of a million bytes.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from msgspec import Struct

from bench.daemons import STEPWELL, environment, up
from stepwell.client import Client, RunStatus
from stepwell_server.home import Endpoints, Home

EMPTY = [sys.executable, str(Path(__file__).with_name("mcp_empty.py"))]
CONFIG = "[server]\ngrpc_port = 0\nhttp_port = 0\n[tools]\npaths = ['tools.py']\n"
TOOLS = '''
from stepwell import tool


@tool(read_only=True)
async def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b
'''
WORKFLOW = "workflow: chain\nnodes:\n" + "".join(
    f"  - {{ id: s{n}, tool: add, with: {{ a: {n}, b: {f'=s{n - 1}.output' if n else 0} }} }}\n"
    for n in range(10)
)
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
}


class _Size(Struct, frozen=True):
    """How often everything is done."""

    turns: int
    cold_turns: int
    runs: int
    """Of a tool, and as many of a workflow, before a daemon is weighed again."""


FULL = _Size(turns=7, cold_turns=3, runs=300)
QUICK = _Size(turns=1, cold_turns=1, runs=3)


class _Turn(Struct, frozen=True):
    """One process from its start to its first answer."""

    seconds: float
    cpu_seconds: float
    rss_mb: float


async def measure_footprint(database: str, *, quick: bool) -> dict[str, float]:
    """The figures of this part, by name."""
    return await asyncio.to_thread(_measure, QUICK if quick else FULL)


def _measure(size: _Size) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="stepwell-bench-") as folder:
        home = _furnished(Path(folder) / "calls")
        figures = _standalone(home, size) | _relay(home, size)
        return figures | _daemon(_furnished(Path(folder) / "runs"), size)


# --- first calls ----------------------------------------------------------------------------


def _standalone(home: Home, size: _Size) -> dict[str, float]:
    command = [*STEPWELL, "mcp", "--standalone", "--home", str(home.path)]
    _first_call(command)  # makes the home, and compiles what no one has imported yet
    pairs = [(_first_call(command), _first_call(EMPTY)) for _ in range(size.turns)]
    alone, empty = zip(*pairs, strict=True)
    ours, least = _seconds(alone), _seconds(empty)
    return {
        "standalone.first_call_s": ours,
        "standalone.rss_mb": max(turn.rss_mb for turn in alone),
        "empty_mcp.first_call_s": least,
        "empty_mcp.rss_mb": max(turn.rss_mb for turn in empty),
        "standalone.ratio_to_empty_mcp": ours / least,
        "standalone.cpu_ratio_to_empty_mcp": statistics.median(t.cpu_seconds for t in alone)
        / statistics.median(t.cpu_seconds for t in empty),
    }


def _relay(home: Home, size: _Size) -> dict[str, float]:
    command = [*STEPWELL, "mcp", "--home", str(home.path)]
    cold = []
    try:
        for turn in range(size.cold_turns):
            if turn:
                _stop(home)
            cold.append(_first_call(command))
        warm = [_first_call(command) for _ in range(size.turns)]
    finally:
        _stop(home)
    return {
        "relay.first_call_s": _seconds(warm),
        "relay.rss_mb": max(turn.rss_mb for turn in warm),
        "relay.cold_first_call_s": _seconds(cold),
    }


def _first_call(command: list[str]) -> _Turn:
    began = time.perf_counter()
    with _conversation(command) as process:
        _call(process)
        seconds = time.perf_counter() - began
        about = psutil.Process(process.pid)
        return _Turn(seconds, sum(about.cpu_times()[:2]), _rss_mb(about))


def _seconds(turns: "list[_Turn] | tuple[_Turn, ...]") -> float:
    return statistics.median(turn.seconds for turn in turns)


# --- a daemon -------------------------------------------------------------------------------


def _daemon(home: Home, size: _Size) -> dict[str, float]:
    with up(home) as (daemon, seconds, found):
        new = _Turn(seconds, sum(daemon.cpu_times()[:2]), _rss_mb(daemon))
        with _conversation([*STEPWELL, "mcp", "--home", str(home.path)]) as process:
            for _ in range(size.runs):
                _call(process)
        after_tools = _rss_mb(daemon)
        asyncio.run(_run_workflows(found, size.runs))
        after_runs = _rss_mb(daemon)
    with up(home) as (daemon, _, _):
        again = _rss_mb(daemon)
    return {
        "daemon.start_s": new.seconds,
        "daemon.start_cpu_s": new.cpu_seconds,
        "daemon.rss_mb": new.rss_mb,
        "daemon.rss_existing_home_mb": again,
        "daemon.rss_after_tools_mb": after_tools,
        "daemon.rss_after_runs_mb": after_runs,
    }


async def _run_workflows(found: Endpoints, runs: int) -> None:
    async with Client(found.grpc) as client:
        await client.workflows.put(WORKFLOW.encode())
        for _ in range(runs):
            ended = await client.wait((await client.run("chain")).id)
            assert ended.status is RunStatus.COMPLETED, ended


# --- processes ------------------------------------------------------------------------------


@contextmanager
def _conversation(command: list[str]) -> "Iterator[subprocess.Popen[bytes]]":
    """An MCP server on stdio while the block lasts."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment()) as process:
        assert process.stdin is not None
        try:
            yield process
        finally:
            process.stdin.close()


def _call(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    params: dict[str, Any] = {"name": "add", "arguments": {"a": 1, "b": 2}, "_meta": META}
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    process.stdin.write(json.dumps(request).encode() + b"\n")
    process.stdin.flush()
    answer = json.loads(process.stdout.readline())
    assert answer["result"]["content"][0]["text"] == "3", answer


def _stop(home: Home) -> None:
    command = [*STEPWELL, "down", "--home", str(home.path)]
    subprocess.run(command, check=True, capture_output=True, env=environment())


def _furnished(path: Path) -> Home:
    home = Home(path)
    home.create()
    home.config_file.write_text(CONFIG)
    (path / "tools.py").write_text(TOOLS)
    return home


def _rss_mb(process: psutil.Process) -> float:
    return process.memory_info().rss / 1e6
