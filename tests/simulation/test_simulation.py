"""Thousands of worlds, each from a seed: `make sim SEEDS=5000` runs many of them.

A seed that fails is in the message, with the history of its run; the same seed always plays
the same world.
"""

import os
from typing import Any

import pytest
from msgspec.structs import replace
from tests.simulation import governor
from tests.simulation.ledger import Violation
from tests.simulation.moves import Row
from tests.simulation.world import World

from stepwell.engine import calls, due, evolve, transitions
from stepwell.engine.commands import Approval, CallTool
from stepwell.engine.state import RunState, StepState
from stepwell.orchestrator import letters, owned
from stepwell_storage.admission import Room
from stepwell_storage.memory import log
from stepwell_storage.memory.database import KeptNamespace, KeptRun
from stepwell_storage.records import Append

SEEDS = int(os.environ.get("STEPWELL_SIM_SEEDS", "600"))
CHUNK = 200
ENOUGH = 400
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


# --- bugs that are planted --------------------------------------------------------------------


def test_it_is_seen_that_stale_reports_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunState, "awaits", lambda state, command: True)
    assert _seen()


def test_it_is_seen_that_a_lost_lease_is_not_fenced(monkeypatch: pytest.MonkeyPatch) -> None:
    fenced = log._fenced

    def unfenced(namespace: KeptNamespace, append: Append) -> KeptRun:
        kept = namespace.runs[append.run]
        return fenced(namespace, replace(append, epoch=kept.epoch))

    monkeypatch.setattr(log, "_fenced", unfenced)
    assert "fenced: epoch" in _seen()


def test_it_is_seen_that_a_call_is_made_again_on_a_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the state nor the rules remember that it was begun."""
    monkeypatch.setattr(evolve, "_begin", lambda state, step, event: None)
    assert "is begun before it acts" in _seen()


def test_it_is_seen_that_a_pause_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def hand_out(state: RunState, now: int) -> Any:
        was_paused, state.is_paused = state.is_paused, False
        commands = due.due(state, now)
        state.is_paused = was_paused
        return commands

    monkeypatch.setattr("stepwell.orchestrator.owned.due", hand_out)
    assert "begins after the pause" in _seen()


def test_it_is_seen_that_a_yes_is_good_for_every_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    approved: dict[str, Approval] = {}

    def open_call(state: RunState, step: StepState, call: CallTool, not_before: int | None) -> None:
        """Who has said yes once is not asked again."""
        key = f"{state.run}/{call.key}"
        if call.approval is not None:
            approved[key] = call.approval
        opened(state, step, replace(call, approval=approved.get(key)), not_before)

    opened = evolve._open_call
    monkeypatch.setattr(evolve, "_open_call", open_call)
    monkeypatch.setattr(governor, "_is_same", lambda approval, subject: approval is not None)
    assert "yes" in _seen()


def test_it_is_seen_that_a_call_acts_on_an_answer_without_being_begun_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def goes_on(run: owned.OwnedRun, command: CallTool, decision: str | None) -> bool:
        return True

    monkeypatch.setattr(owned.OwnedRun, "_goes_on", goes_on)
    assert "is begun before it acts" in _seen()


def test_it_is_seen_that_a_question_is_not_in_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owned, "take_rows", lambda state: state.ask_changes.clear() or ())
    assert "the list of approvals says" in _seen()


def test_it_is_seen_that_what_policy_said_before_is_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_withheld_call", calls._open_call)
    assert "a subject is answered once" in _seen()


def test_calls_are_held_and_answered_in_every_way() -> None:
    ways = {"approved", "denied", "expired", "withdrawn"}
    effects = {"deny", "require_approval", "throttle"}
    for seed in range(ENOUGH):
        world = World(seed)
        world.play()
        ways -= {row.status for row in world.approvals if row.about == "call"}
        effects -= world.effects
        if not (ways or effects):
            return
    assert not ways
    assert not effects


def test_it_is_seen_that_a_queue_has_no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Room, "free", 1000)
    assert "a queue lets in no more than it may" in _seen()


def test_it_is_seen_that_a_letter_is_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "drop", lambda namespace, run, id: None)
    assert "teaches once" in _seen()


def test_it_is_seen_that_a_parent_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told = letters.child_ended

    def told_wrong(child: RunState, at: int) -> Any:
        return replace(told(child, at), run="00000000-0000-7000-8000-000000000000")

    monkeypatch.setattr(letters, "child_ended", told_wrong)
    assert "this one is stuck" in _seen()


def test_it_is_seen_that_what_was_written_without_an_answer_is_refused_when_it_comes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log, "_written_before", lambda namespace, append: None)
    assert "this one is stuck" in _seen()


def _seen() -> str:
    """What the first world says that does not keep its promises."""
    for seed in range(ENOUGH):
        try:
            World(seed).play()
        except Violation as seen:
            return str(seen).partition("\n")[0]
    raise AssertionError(f"nothing is seen in {ENOUGH} worlds")
