"""Those who look at the same run at once share the fold of its log."""

import asyncio
from typing import Any

import pytest
from tests.unit.orchestrator.rig import Rig, on_virtual_time
from tests.unit.orchestrator.test_service import ANN, serving

from stepwell.definitions.builtin import CALL
from stepwell.engine.events import Event
from stepwell.engine.state import RunState
from stepwell.orchestrator.folds import SharedFolds


class Folding:
    """A log whose folds end when the test says so."""

    def __init__(self) -> None:
        self.ends: list[asyncio.Future[None]] = []

    async def __call__(self, namespace: str, run: str) -> RunState:
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ends.append(end)
        state = RunState(f"{run}#{len(self.ends)}", CALL)
        await end
        return state


async def settled() -> None:
    """Everybody has come as far as they can."""
    for _ in range(5):
        await asyncio.sleep(0)


@on_virtual_time
async def test_all_who_ask_while_a_fold_is_under_way_share_the_next_one() -> None:
    folding = Folding()
    folds = SharedFolds(folding)
    first = asyncio.ensure_future(folds.state("default", "r"))
    await settled()
    others = [asyncio.ensure_future(folds.state("default", "r")) for _ in range(10)]
    await settled()
    folding.ends[0].set_result(None)
    await settled()
    folding.ends[1].set_result(None)

    assert (await first).run == "r#1"
    states = await asyncio.gather(*others)
    assert {state.run for state in states} == {"r#2"}
    assert len(folding.ends) == 2


@on_virtual_time
async def test_whoever_asks_later_is_given_a_fold_of_their_own() -> None:
    folding = Folding()
    folds = SharedFolds(folding)
    for number in range(2):
        asked = asyncio.ensure_future(folds.state("default", "r"))
        await settled()
        folding.ends[number].set_result(None)
        assert (await asked).run == f"r#{number + 1}"


@on_virtual_time
async def test_runs_do_not_wait_for_each_other() -> None:
    folding = Folding()
    folds = SharedFolds(folding)
    asked = [
        asyncio.ensure_future(folds.state(namespace, run))
        for namespace, run in (("a", "r"), ("a", "s"), ("b", "r"))
    ]
    await settled()
    assert len(folding.ends) == 3
    for end in folding.ends:
        end.set_result(None)
    assert [state.run for state in await asyncio.gather(*asked)] == ["r#1", "s#2", "r#3"]


@on_virtual_time
async def test_a_fold_that_fails_or_is_given_up_leaves_the_others_to_theirs() -> None:
    folding = Folding()
    folds = SharedFolds(folding)
    given_up, failed, last = [asyncio.ensure_future(folds.state("default", "r")) for _ in range(3)]
    await settled()
    given_up.cancel()
    await settled()
    folding.ends[1].set_exception(LookupError("gone"))
    await settled()
    folding.ends[2].set_result(None)

    assert (await last).run == "r#3"
    with pytest.raises(LookupError):
        await failed
    assert given_up.cancelled()


@on_virtual_time
async def test_many_who_tell_a_run_at_once_do_not_fold_its_log_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig()
    graph = await rig.put("{ workflow: hear, nodes: [{ id: a, signal: x }, { id: b, signal: y }] }")
    async with serving(rig) as service, rig.working("two", alone=False) as other:
        run = await rig.start(other, graph)
        folded: list[str] = []
        history = rig.journal.history

        async def counted(namespace: str, run: str, **how: Any) -> list[Event]:
            folded.append(run)
            await asyncio.sleep(0)
            return await history(namespace, run, **how)

        monkeypatch.setattr(rig.journal, "history", counted)
        signals = (service.controls.signal_run(ANN, run, "x", number) for number in range(50))
        await asyncio.gather(*signals)
        assert (await rig.kinds(run)).count("signal_received") == 50
        assert len(folded) < 5
