"""Thousands of worlds, each from a seed: `make sim SEEDS=5000` runs many of them.

A seed that fails is in the message, with the history of its run; the same seed always plays
the same world.
"""

import os

import pytest
from msgspec.structs import replace
from tests.simulation.ledger import Violation
from tests.simulation.moves import Row
from tests.simulation.world import World

from stepwell.engine import transitions
from stepwell.engine.state import RunState
from stepwell_storage.memory import log
from stepwell_storage.memory.database import KeptNamespace, KeptRun
from stepwell_storage.records import Append

SEEDS = int(os.environ.get("STEPWELL_SIM_SEEDS", "600"))
CHUNK = 200
ENOUGH = 200
"""Seeds in which every move happens, and any planted bug is seen."""


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_run_ends_as_it_would_undisturbed_whatever_goes_wrong(first: int) -> None:
    for seed in range(first, min(first + CHUNK, SEEDS)):
        World(seed).play()


def test_every_move_that_the_transition_tables_allow_happens() -> None:
    missing: set[Row] = {*transitions.RUN, *transitions.STEP}
    for seed in range(ENOUGH):
        missing -= World(seed).play()
        if not missing:
            return
    assert not missing


def test_a_seed_always_plays_the_same_world() -> None:
    for seed in range(20):
        first, second = World(seed), World(seed)
        first.play()
        second.play()
        assert first.history == second.history


def test_the_simulation_sees_that_stale_reports_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunState, "awaits", lambda state, command: True)
    with pytest.raises(Violation):
        _play_enough()


def test_the_simulation_sees_that_a_lost_lease_is_not_fenced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fenced = log._fenced

    def unfenced(namespace: KeptNamespace, append: Append) -> KeptRun:
        kept = namespace.runs[append.run]
        return fenced(namespace, replace(append, epoch=kept.epoch))

    monkeypatch.setattr(log, "_fenced", unfenced)
    with pytest.raises(Violation, match="fenced: epoch"):
        _play_enough()


def _play_enough() -> None:
    for seed in range(ENOUGH):
        World(seed).play()
