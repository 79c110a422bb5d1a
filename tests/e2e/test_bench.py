"""Every part of `make bench` works. What it measures is nobody's business here."""

import math

import pytest
import uvloop
from bench.__main__ import PARTS, measure

WITHOUT_PEERS = [name for name in PARTS if name != "peers"]


@pytest.mark.parametrize("part", WITHOUT_PEERS)
def test_a_part_of_the_measurements_comes_to_an_end(part: str) -> None:
    figures = uvloop.run(measure([part], quick=True))
    assert figures
    assert all(math.isfinite(figure) for figure in figures.values()), figures
