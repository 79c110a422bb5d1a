"""One run that does a thousand trivial steps side by side."""

from bench.databases import place_for
from bench.engine import open_engine
from bench.trial import measure_fan_out

ITEMS = 1000
QUICK_ITEMS = 10


async def measure_fanout(database: str, *, quick: bool) -> dict[str, float]:
    """Seconds from the request until the run has ended, all steps durable."""
    with place_for(database) as place:
        async with open_engine(place.new_home("home"), place.new_url("fanout")) as engine:
            items = QUICK_ITEMS if quick else ITEMS
            return {f"{database}.fanout_s": await measure_fan_out(engine.fan_out, items)}
