"""Durable steps of this engine beside the raw line, in the same run and under the same load.

Ten trivial steps a run, a thousand runs in flight; the raw line is timed before and after.
"""

from bench.databases import Place, place_for
from bench.engine import open_engine
from bench.raw import raw_line
from bench.trial import Figures, Load, measure

FULL = Load(runs=3000, in_flight=1000, warm_up=1000, singles=200)
QUICK = Load(runs=20, in_flight=10, warm_up=1, singles=5)


async def measure_steps(database: str, *, quick: bool) -> dict[str, float]:
    """The figures of both, and ours as a share of the raw line's."""
    load = QUICK if quick else FULL
    with place_for(database) as place:
        before = await _raw(place, "before", load)
        url = place.new_url("ours")
        async with open_engine(place.new_home("home"), url) as engine:
            ours = await measure(engine, load, server=place.server)
        after = await _raw(place, "after", load)
    raw = Figures(*((one + other) / 2 for one, other in zip(before, after, strict=True)))
    return {
        **ours.named(f"{database}."),
        **raw.named(f"{database}.raw_"),
        f"{database}.ratio_to_raw": ours.steps_per_s / raw.steps_per_s,
        f"{database}.single_run_ratio_to_raw": ours.single_run_p50_ms / raw.single_run_p50_ms,
    }


async def _raw(place: Place, name: str, load: Load) -> Figures:
    async with raw_line(place.new_url(name)) as line:
        return await measure(line, load, server=place.server)
