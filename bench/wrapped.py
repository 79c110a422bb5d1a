"""What it adds to a call that it goes through Stepwell: one server, called directly and behind it.

Both clients are those of the SDK, and take turns call by call: the direct one speaks to a server that
it has started, the other to `stepwell mcp`, whose daemon has started another of the same. Every call
is committed before it is answered. `look` only reads, so it is let through by default, and `note` by a
rule; that one is committed as begun too before it is made.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import psutil
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from bench.daemons import STEPWELL, environment, up
from bench.trial import percentile
from stepwell_server.home import Home

SERVER: Final = str(Path(__file__).with_name("mcp_two_tools.py"))
CONFIG: Final = f"""\
[server]
grpc_port = 0
http_port = 0
[tools.servers.two]
command = {sys.executable!r}
args = [{SERVER!r}]
"""
RULE: Final = '@id("notes") permit(principal, action == Action::"note", resource);\n'
FULL, QUICK = 300, 3
"""Calls of each kind."""
WARM_UP: Final = 20


async def measure_wrapped(database: str, *, quick: bool) -> dict[str, float]:
    """The times of a call, direct and wrapped, and the processor time that the daemon takes for one."""
    with tempfile.TemporaryDirectory(prefix="stepwell-bench-") as folder:
        home = Home(Path(folder))
        home.create()
        home.config_file.write_text(CONFIG)
        with up(home) as (daemon, _, _):
            async with AsyncExitStack() as stack:
                direct = await stack.enter_async_context(_client([sys.executable, SERVER]))
                relay = [*STEPWELL, "mcp", "--home", str(home.path)]
                wrapped = await stack.enter_async_context(_client(relay))
                calls = QUICK if quick else FULL
                look = await _measure("look", calls, daemon, direct, wrapped)
                _permit_notes(home)
                return look | await _measure("note", calls, daemon, direct, wrapped)


async def _measure(
    tool: str, calls: int, daemon: psutil.Process, direct: Client, wrapped: Client
) -> dict[str, float]:
    for number in range(min(WARM_UP, calls)):
        await _ms(direct, tool, number)
        await _ms(wrapped, tool, number)
    cpu = _cpu_seconds(daemon)
    pairs = [
        (await _ms(direct, tool, number), await _ms(wrapped, tool, number))
        for number in range(calls)
    ]
    cpu = _cpu_seconds(daemon) - cpu
    alone, behind = (list(times) for times in zip(*pairs, strict=True))
    return {
        f"wrapped.direct_{tool}_p50_ms": statistics.median(alone),
        f"wrapped.{tool}_p50_ms": statistics.median(behind),
        f"wrapped.{tool}_p99_ms": percentile(behind, 0.99),
        f"wrapped.{tool}_added_p50_ms": statistics.median(behind) - statistics.median(alone),
        f"wrapped.{tool}_cpu_ms": cpu * 1000 / calls,
    }


async def _ms(client: Client, tool: str, number: int) -> float:
    began = time.perf_counter()
    result = await client.call_tool(tool, {"number": number})
    taken = time.perf_counter() - began
    assert not result.is_error, result
    assert not result.structured_content, f"it is held: {result}"
    return taken * 1000


def _client(command: list[str]) -> Client:
    program, *args = command
    return Client(StdioServerParameters(command=program, args=args, env=environment()))


def _permit_notes(home: Home) -> None:
    """Puts a rule into force that lets the tool through that writes."""
    file = home.path / "bench.cedar"
    file.write_text(RULE)
    subprocess.run(
        [*STEPWELL, "policy", "apply", str(file), "--home", str(home.path)],
        check=True,
        capture_output=True,
        env=environment(),
    )


def _cpu_seconds(process: psutil.Process) -> float:
    return sum(process.cpu_times()[:2])
