"""Durable steps of this engine beside the raw line, in the same run and under the same load.

Ten trivial steps a run, a thousand runs in flight; the raw line is timed before and after.
"""

import tempfile
from pathlib import Path

from bench.engine import open_engine
from bench.raw import raw_sqlite
from bench.trial import Figures, Load, measure

FULL = Load(runs=3000, in_flight=1000, warm_up=1000, singles=200)
QUICK = Load(runs=20, in_flight=10, warm_up=1, singles=5)


async def measure_sqlite(*, quick: bool = False) -> dict[str, float]:
    """The figures on SQLite with WAL and `synchronous=FULL`."""
    load = QUICK if quick else FULL
    with tempfile.TemporaryDirectory(prefix="stepwell-bench-") as folder:
        home = Path(folder)
        async with raw_sqlite(home / "before.db") as line:
            before = await measure(line, load)
        async with open_engine(home) as engine:
            ours = await measure(engine, load)
        async with raw_sqlite(home / "after.db") as line:
            after = await measure(line, load)
    return _compared("sqlite", ours, before, after)


def _compared(database: str, ours: Figures, before: Figures, after: Figures) -> dict[str, float]:
    raw = Figures(*((one + other) / 2 for one, other in zip(before, after, strict=True)))
    return {
        **ours.named(f"{database}."),
        **raw.named(f"{database}.raw_"),
        f"{database}.ratio_to_raw": ours.steps_per_s / raw.steps_per_s,
        f"{database}.single_run_ratio_to_raw": ours.single_run_p50_ms / raw.single_run_p50_ms,
    }
