"""Runs every part, or the one that is named, and writes `bench/results/latest.json`.

    python -m bench [PART]

The file holds one run: what was not measured in it is not there.
"""

import json
import os
import platform
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path

import uvloop

from bench import footprint, sqlite

PARTS: dict[str, Callable[[], Awaitable[dict[str, float]]]] = {
    "sqlite": sqlite.measure,
    "footprint": footprint.measure,
}
RESULTS = Path(__file__).parent / "results" / "latest.json"


async def _measure(only: str) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name, part in PARTS.items():
        if only in ("", name):
            print(f"measuring {name} ...", file=sys.stderr)
            figures |= await part()
    return figures


def main() -> int:
    """Prints the figures and writes them down, with what they were measured on."""
    only = "".join(sys.argv[1:])
    if only and only not in PARTS:
        print(f"there is no part {only!r}; there are: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    figures = uvloop.run(_measure(only))
    setting = {
        "version.stepwell": version("stepwell"),
        "version.python": platform.python_version(),
        "version.sqlite": sqlite3.sqlite_version,
        "settings.sqlite": "WAL, synchronous=FULL",
        "machine.cores": os.cpu_count(),
        "machine.load": os.getloadavg()[0],
    }
    for name, figure in figures.items():
        print(f"{name:36} {figure:12,.3f}")
    RESULTS.write_text(json.dumps({**figures, **setting}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
