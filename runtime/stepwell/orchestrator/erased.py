"""How a run ends whose data was erased while it was open.

It cannot be folded, so its end is made from what its log says without the data.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from stepwell.engine.events import Event, RunFailed, RunForked, RunStarted
from stepwell.engine.evolve import evolve
from stepwell.engine.state import RunState
from stepwell.engine.values import Failure
from stepwell.errors import KeyDestroyed
from stepwell.orchestrator import letters
from stepwell.orchestrator.journal import Journal
from stepwell.orchestrator.workflows import Workflows
from stepwell_storage.records import Lease, Letter


class LastWords(Struct, frozen=True):
    """What is appended to a log that nobody can go on with.

    `state` knows how the run began and that it has ended, and nothing between.
    """

    state: RunState
    after: int
    events: Sequence[tuple[Event, str]]
    letters: Sequence[Letter]
    left: Sequence[str]


async def last_words(
    journal: Journal, workflows: Workflows, lease: Lease, error: KeyDestroyed, now: int
) -> LastWords:
    """The end of a run that was erased: its parent is told, and its places are given back."""
    beginning, own = await _read(journal, lease)
    first = beginning[0]
    assert isinstance(first, RunStarted), "a log begins with run_started"
    graph = await workflows.graph(lease.namespace, first.workflow, first.version)
    state = RunState(lease.run, graph)
    failed = RunFailed(at=now, failure=Failure(error.code, error.message))
    for event in (*beginning, failed):
        evolve(state, event)
    state.sequence = len(own) + 1
    told = [letters.child_ended(state, now)] if state.parent is not None else []
    steps = {step for event in own if (step := _step(event))}
    return LastWords(state, len(own), [(failed, state.principal)], told, sorted({"", *steps}))


async def _read(journal: Journal, lease: Lease) -> tuple[list[Event], list[Event]]:
    """How the run began, in one event or, of a fork, two; and all of its own events."""
    own = [event async for page in journal.read(lease.namespace, lease.run) for event in page]
    if not isinstance(own[0], RunForked):
        return own[:1], own
    history = await journal.history(lease.namespace, lease.run, filled=False)
    return [history[0], own[0]], own


def _step(event: Any) -> str:
    """The step that an event is about, if it is about one."""
    return getattr(event, "step", "")
