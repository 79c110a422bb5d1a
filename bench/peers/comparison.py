"""DBOS and LangGraph: a process and a new database each time."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from bench.databases import place_for
from bench.peers.assignment import Assignment, written
from bench.peers.environment import PEERS as ENVIRONMENT
from bench.peers.environment import python_of
from bench.trial import Load

REPOSITORY = Path(__file__).parents[2]
TIMEOUT = 240.0
"""Seconds for one peer on one database."""
ITEMS = 1000
QUICK = Load(runs=4, in_flight=2, warm_up=1, singles=2)
QUICK_ITEMS = 10


class _Peer(NamedTuple):
    module: str
    load: Load


# In flight as many as suit each of them; more made neither faster.
PEERS = {
    "dbos": _Peer("bench.peers.dbos_peer", Load(300, in_flight=200, warm_up=20, singles=50)),
    "langgraph": _Peer(
        "bench.peers.langgraph_peer", Load(300, in_flight=50, warm_up=20, singles=50)
    ),
}


async def measure_peers(database: str, *, quick: bool) -> dict[str, float]:
    """The figures of every peer on a database.

    Raises:
        LeftOut: the peers cannot be installed here.
    """
    return await asyncio.to_thread(_measure, database, quick=quick)


def _measure(database: str, *, quick: bool) -> dict[str, float]:
    python = python_of(ENVIRONMENT)
    figures: dict[str, float] = {}
    with place_for(database) as place:
        for name, peer in PEERS.items():
            load, items = (QUICK, QUICK_ITEMS) if quick else (peer.load, ITEMS)
            assignment = Assignment(place.new_url(name), load, items, place.server)
            found = _carried_out(python, peer.module, assignment)
            figures |= {f"{name}.{database}.{figure}": value for figure, value in found.items()}
    return figures


def _carried_out(python: Path, module: str, assignment: Assignment) -> dict[str, float]:
    """What the peer's process measured; nothing when it fails, which is said."""
    try:
        process = subprocess.run(
            [str(python), "-m", module, written(assignment)],
            check=True,
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            env={"PATH": os.environ["PATH"]},
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        print(f"leaving out {module}: not done after {TIMEOUT:.0f} s", file=sys.stderr)
        return {}
    except subprocess.CalledProcessError as error:
        print(f"leaving out {module}: {error.stderr[-2000:]}", file=sys.stderr)
        return {}
    found: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
    return found
