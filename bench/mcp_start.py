"""How soon `stepwell mcp` answers its first call: the relay to a daemon that runs, to one that
must start, and standalone beside the least MCP server there can be, turn by turn.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil

TURNS = 7
COMMAND = [sys.executable, "-m", "stepwell_server.cli.main"]
EMPTY = [sys.executable, str(Path(__file__).with_name("mcp_empty.py"))]
CONFIG = "[server]\ngrpc_port = 0\nhttp_port = 0\n[tools]\npaths = ['tools.py']\n"
TOOLS = '''
from stepwell import tool


@tool
async def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b
'''
CALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {
        "name": "add",
        "arguments": {"a": 1, "b": 2},
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
        },
    },
}


class _Turn(NamedTuple):
    wall: float
    cpu: float
    rss: int


async def measure() -> dict[str, float]:
    """The figures of this part, by name."""
    return await asyncio.to_thread(_measure)


def _measure() -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="stepwell-bench-") as folder:
        home = Path(folder)
        (home / "tools.py").write_text(TOOLS)
        (home / "config.toml").write_text(CONFIG)
        mcp = [*COMMAND, "mcp", "--home", folder]
        pairs = [(_turn([*mcp, "--standalone"]), _turn(EMPTY)) for _ in range(TURNS)]
        cold = _turn(mcp)
        try:
            warm = [_turn(mcp) for _ in range(TURNS)]
        finally:
            subprocess.run([*COMMAND, "down", "--home", folder], check=True, capture_output=True)
    alone, empty = zip(*pairs, strict=True)
    return {
        "mcp.relay_first_call_s": statistics.median(turn.wall for turn in warm),
        "mcp.relay_rss_mb": max(turn.rss for turn in warm) / 1e6,
        "mcp.cold_first_call_s": cold.wall,
        "mcp.standalone_first_call_s": statistics.median(turn.wall for turn in alone),
        "mcp.standalone_wall_ratio": min(turn.wall for turn in alone)
        / min(turn.wall for turn in empty),
        "mcp.standalone_cpu_ratio": statistics.median(turn.cpu for turn in alone)
        / statistics.median(turn.cpu for turn in empty),
    }


def _turn(command: list[str]) -> _Turn:
    """One process from its start to its first answer."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(CALL).encode() + b"\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        wall = time.perf_counter() - began
        about = psutil.Process(process.pid)
        turn = _Turn(wall, sum(about.cpu_times()[:2]), about.memory_info().rss)
        process.stdin.close()
    assert answer["result"]["content"][0]["text"] == "3", answer
    return turn
