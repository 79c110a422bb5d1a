"""Every part of `make bench` works. What it measures is nobody's business here."""

import json
import math
from functools import cache

import pytest
import uvloop
from bench.__main__ import PARTS, measure
from bench.goals import GOALS
from bench.soak import RESULTS, soak

WITHOUT_PEERS = [name for name in PARTS if name not in ("peers", "gateways")]


@cache
def measured(part: str) -> dict[str, float]:
    return uvloop.run(measure([part], quick=True))


@pytest.mark.parametrize("part", WITHOUT_PEERS)
def test_a_part_of_the_measurements_comes_to_an_end(part: str) -> None:
    figures = measured(part)
    assert figures
    assert all(math.isfinite(figure) for figure in figures.values()), figures


def test_every_goal_is_about_a_figure_that_is_measured() -> None:
    figures = {name for part in WITHOUT_PEERS for name in measured(part)}
    without_peers = {goal.figure for goal in GOALS if "_times_" not in goal.figure}
    assert without_peers - figures == set()


def test_a_short_soak_comes_to_an_end_and_nothing_goes_wrong() -> None:
    """Whether memory stays flat is seen in minutes: `make soak`."""
    uvloop.run(soak(clients=10, minutes=0.05, pace=0.3))
    figures = json.loads(RESULTS.read_text())
    assert figures["soak.wrong"] == 0
    assert figures["soak.calls"] > 10
