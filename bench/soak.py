"""Many MCP clients at once, for minutes: whether the memory of the daemon stays as it is.

    python -m bench.soak [--clients 500] [--minutes 5] [--pace 2]

A fifth of the clients are older ones: each has a session, and a stream that it listens on. All of
them call, list and read the runs of what they called, each with a pause around `pace` seconds. The
memory is looked at again and again; what comes in the first third is warming up. Ends with 1 when a
request went wrong or the memory has grown, and writes `bench/results/soak.json`.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import psutil
import uvloop

from bench.calls import OverHttp, Wire
from bench.door import TOOLS
from bench.door_processes import daemon
from bench.trial import percentile

OLDER: Final = 5
"""One client in so many is an older one."""
LOOKS: Final = 150
"""How often the memory is looked at."""
GROWTH: Final = 1.03
"""How many times as much memory the last third may need as the second one."""
CONFIG: Final = """\
[mcp]
streams = 2000
[tools]
paths = [{tools!r}]
"""
RESULTS: Final = Path(__file__).parent / "results" / "soak.json"


class Looked(NamedTuple):
    """The daemon at one time: seconds since the beginning, resident MB, calls so far."""

    at: float
    rss_mb: float
    calls: int


class Soak:
    """The clients, what they did, and what went wrong."""

    def __init__(self, port: int, *, pace: float) -> None:
        self._port = port
        self._pace = pace
        self._random = Random(7)
        self.calls = 0
        self.seconds: list[float] = []
        self.wrong: list[str] = []

    async def client(self, number: int) -> None:
        """One client, until it is cancelled."""
        carrier = OverHttp(self._port)
        wire = Wire(carrier)
        await asyncio.sleep(self._random.uniform(0, self._pace * 2))
        listening = None
        if number % OLDER == 0:
            await wire.begin()
            listening = asyncio.ensure_future(self._listen(wire))
        try:
            while True:
                await self._once(wire)
                await asyncio.sleep(self._random.uniform(0.5, 1.5) * self._pace)
        finally:
            if listening is not None:
                listening.cancel()
            carrier.close()

    async def _once(self, wire: Wire) -> None:
        began = time.perf_counter()
        try:
            match self._random.randrange(10):
                case 0:
                    await wire.ask("tools/list", {})
                case 1:
                    result = await wire.ask(
                        "tools/call", _call("run_get", run=await self._run(wire))
                    )
                    assert result["structuredContent"]["status"] == "completed", result
                case _:
                    await wire.echo()
        except (AssertionError, KeyError, OSError, EOFError) as error:
            self.wrong.append(repr(error)[:500])
        self.calls += 1
        self.seconds.append(time.perf_counter() - began)

    async def _run(self, wire: Wire) -> str:
        result = await wire.ask("tools/call", _call("echo", text="to be looked at"))
        return str(result["_meta"]["stepwell/run"])

    async def _listen(self, wire: Wire) -> None:
        """Holds the stream of an older client open."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        head = b"".join(b"%s: %s\r\n" % header for header in wire.listening)
        writer.write(b"GET /mcp HTTP/1.1\r\n%s\r\n" % head)
        try:
            status = await reader.readline()
            if b"200" not in status:
                self.wrong.append(f"a stream was answered {status!r}")
            while await reader.read(65536):
                pass
        finally:
            writer.close()


async def soak(clients: int, minutes: float, pace: float) -> int:
    """Runs it, prints and writes what was seen."""
    with (
        tempfile.TemporaryDirectory(prefix="stepwell-soak-") as folder,
        daemon(Path(folder) / "home", CONFIG.format(tools=str(TOOLS))) as served,
    ):
        process = psutil.Process(served.pid)
        load = Soak(served.port, pace=pace)
        looks: list[Looked] = []
        tasks = [asyncio.ensure_future(load.client(number)) for number in range(clients)]
        began = time.monotonic()
        while (at := time.monotonic() - began) < minutes * 60:
            looks.append(Looked(at, process.memory_info().rss / 1e6, load.calls))
            await asyncio.sleep(minutes * 60 / LOOKS)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what was hung up is closed in the next turn
        load.wrong += [repr(one) for one in ended if not isinstance(one, asyncio.CancelledError)]
    return _told(clients, looks, load)


def _told(clients: int, looks: Sequence[Looked], load: Soak) -> int:
    third = len(looks) // 3
    middle = statistics.median(look.rss_mb for look in looks[third : 2 * third])
    last = statistics.median(look.rss_mb for look in looks[2 * third :])
    figures = {
        "soak.clients": clients,
        "soak.calls": load.calls,
        "soak.wrong": len(load.wrong),
        "soak.p50_ms": percentile(load.seconds, 0.5) * 1000,
        "soak.p99_ms": percentile(load.seconds, 0.99) * 1000,
        "soak.middle_rss_mb": middle,
        "soak.last_rss_mb": last,
        "soak.growth_ratio": last / middle,
    }
    for name, figure in figures.items():
        print(f"{name:24} {figure:12,.3f}")
    for wrong in load.wrong[:5]:
        print(f"wrong: {wrong}", file=sys.stderr)
    RESULTS.write_text(json.dumps({**figures, "looks": looks}, indent=2) + "\n")
    return 1 if load.wrong or last > middle * GROWTH else 0


def _call(tool: str, **arguments: str) -> dict[str, object]:
    return {"name": tool, "arguments": arguments}


def main() -> int:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak")
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--pace", type=float, default=2.0)
    given = parser.parse_args()
    return uvloop.run(soak(given.clients, given.minutes, given.pace))


if __name__ == "__main__":
    raise SystemExit(main())
