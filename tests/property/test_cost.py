"""What an event costs does not grow with its run: what is done is counted, not timed.

Two counts. No container of the state that grows with the run is gone through while it goes on;
and the engine makes as many calls for an event of a large run as for one of a small.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.engine.story import Story, plain

from stepwell.engine.decide import decide
from stepwell.engine.due import due
from stepwell.engine.evolve import evolve
from stepwell.engine.inputs import Answer, Input, ModelAnswered, Signal, ToolAnswered
from stepwell.engine.messages import ToolRequest
from stepwell.engine.state import RunState
from stepwell.engine.values import NOTHING, Failure

SMALL, LARGE = 20, 400


class GoneThrough(AssertionError):
    """Somebody looked at all that is in a container."""


def _refuse(*_: Any, **__: Any) -> Any:
    raise GoneThrough


class GuardedDict(dict[Any, Any]):
    """A dict of which single entries may be had."""

    items = keys = values = copy = _refuse

    def __iter__(self) -> Iterator[Any]:
        raise GoneThrough


class GuardedList(list[Any]):
    """A list of which single items may be had."""

    copy = index = count = sort = reverse = _refuse

    def __iter__(self) -> Iterator[Any]:
        raise GoneThrough

    def __contains__(self, item: object) -> bool:
        raise GoneThrough

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            raise GoneThrough
        return super().__getitem__(place)


class GuardedSet(set[Any]):
    """A set that may be asked for single members."""

    copy = union = difference = intersection = _refuse

    def __iter__(self) -> Iterator[Any]:
        raise GoneThrough


class GuardedDeque(deque[Any]):
    """A deque that has two ends and nothing between."""

    copy = index = count = _refuse

    def __iter__(self) -> Iterator[Any]:
        raise GoneThrough


def guard(state: RunState) -> None:
    """Guards whatever grows with the number of steps, messages and events of a run."""
    for name in ("steps", "waiting", "open", "ripe", "asking", "napping"):
        setattr(state, name, GuardedDict(getattr(state, name)))
    state.timers = GuardedList(state.timers)
    state.undo, state.not_undone = GuardedList(state.undo), GuardedList(state.not_undone)
    state.seen, state.out = GuardedSet(state.seen), GuardedSet(state.out)
    state.signals = {name: GuardedDeque(kept) for name, kept in state.signals.items()}
    for step in dict(dict.items(state.steps)).values():
        if step.fan is not None:
            if isinstance(step.input.value, list):
                step.input = replace(step.input, value=GuardedList(step.input.value))
            step.fan.outputs = GuardedList(step.fan.outputs)
            step.fan.active = GuardedDict(step.fan.active)
        if step.conversation is not None:
            step.conversation.messages = GuardedList(step.conversation.messages)


# --- runs of any size, and an event in the middle of each -----------------------------------


def a_map(size: int) -> tuple[Story, Input]:
    run = Story(
        "workflow: w\ninput: {type: object}\nnodes: "
        "[{id: m, map: =input.items, concurrency: 1000, do: {tool: look, with: {n: =item}}}]"
    )
    run.start({"items": list(range(size))})
    return run, answer("m[3]")


def a_map_that_goes_on(size: int) -> tuple[Story, Input]:
    run = Story(
        "workflow: w\ninput: {type: object}\nnodes: "
        "[{id: m, map: =input.items, concurrency: 2, do: {tool: look, timeout: 1m}}]"
    )
    run.start({"items": list(range(size))})
    for index in range(size // 2):
        run.tool(f"m[{index}]", index)
    return run, answer(f"m[{size // 2}]")


def a_loop(size: int) -> tuple[Story, Input]:
    run = Story(
        f"workflow: w\nnodes: [{{id: l, loop: {{while: =true, max: {size}}}, do: {{tool: look}}}}]"
    )
    run.start()
    for index in range(size // 2):
        run.tool(f"l[{index}]", index)
    return run, answer(f"l[{size // 2}]")


def a_chain(size: int) -> tuple[Story, Input]:
    nodes = [f"{{id: n{i}, tool: look, needs: [{f'n{i - 1}' if i else ''}]}}" for i in range(size)]
    run = Story(f"workflow: w\nnodes: [{', '.join(nodes)}]\noutput: 1")
    run.start()
    for index in range(size // 2):
        run.tool(f"n{index}", index)
    return run, answer(f"n{size // 2}")


def side_by_side(size: int) -> tuple[Story, Input]:
    nodes = [f"{{id: n{i}, tool: look, timeout: 1m}}" for i in range(size)]
    run = Story(f"workflow: w\nnodes: [{', '.join(nodes)}]\noutput: 1")
    run.start()
    return run, answer("n7")


def a_talk(size: int) -> tuple[Story, Input]:
    run = Story(
        "workflow: w\nagents: {a: {model: small, tools: [look], limits: {turns: 1000}}}\n"
        "nodes: [{id: ask, agent: a, with: {message: hello}}]"
    )
    run.start()
    for turn in range(1, size):
        run.model("ask", turn, tools=(ToolRequest("c", "look"),))
        run.tool("ask", turn, call=f"{turn}.0")
    tools = (ToolRequest("c", "look"),)
    return run, ModelAnswered(
        at=run.now,
        step="ask",
        attempt=1,
        call=size,
        model="fake",
        messages=NOTHING,
        answer=Answer(text=plain("..."), tools=tools),
    )


def messages_that_are_kept(size: int) -> tuple[Story, Input]:
    run = Story(
        "workflow: w\nnodes: [{id: a, tool: look}, {id: b, signal: x, needs: [a]},"
        "{id: c, signal: y, needs: [b]}]"
    )
    run.start()
    for number in range(size):
        run.signal("x", number, id=str(number))
    return run, answer("a")


def steps_that_wait_for_messages(size: int) -> tuple[Story, Input]:
    run = Story(
        "workflow: w\ninput: {type: object}\nnodes: "
        "[{id: m, map: =input.items, concurrency: 1000, do: {signal: x, timeout: 1h}}]"
    )
    run.start({"items": list(range(size))})
    return run, Signal(at=1, name="x", payload=plain(1), id="m")


def an_undoing(size: int) -> tuple[Story, Input]:
    return undoing(size), answer(f"m[{size - 3}].undo")


def an_undoing_that_fails(size: int) -> tuple[Story, Input]:
    given = answer(f"m[{size - 3}].undo")
    return undoing(size), replace(given, result=None, failure=Failure("TOOL_ERROR", "no"))


def undoing(size: int) -> Story:
    """A run that has failed; some of what it did is undone, some cannot be, most is left."""
    run = Story(
        "workflow: w\ninput: {type: object}\nnodes: [{id: m, map: =input.items, "
        "concurrency: 1000, do: {tool: look, compensate: {tool: undo}}}, {id: z, tool: z, needs: [m]}]"
    )
    run.start({"items": list(range(size))})
    for index in range(size):
        run.tool(f"m[{index}]", index)
    run.tool("z", failure=Failure("TOOL_ERROR", "no"))
    run.tool(f"m[{size - 1}].undo", failure=Failure("TOOL_ERROR", "no"))
    run.tool(f"m[{size - 2}].undo", 1)
    return run


def answer(step: str) -> ToolAnswered:
    return ToolAnswered(at=1, step=step, attempt=1, call="", result=plain({"found": 1}))


RUNS = (
    a_map,
    a_map_that_goes_on,
    a_loop,
    a_chain,
    side_by_side,
    a_talk,
    messages_that_are_kept,
    steps_that_wait_for_messages,
    an_undoing,
    an_undoing_that_fails,
)


@pytest.mark.parametrize("made", RUNS)
def test_no_container_of_a_run_is_gone_through_for_one_event(
    made: Callable[[int], tuple[Story, Input]],
) -> None:
    run, given = made(LARGE)
    guard(run.state)
    assert tell(run, given) > 0


@pytest.mark.parametrize("made", RUNS)
def test_an_event_of_a_large_run_costs_as_many_calls_as_one_of_a_small(
    made: Callable[[int], tuple[Story, Input]],
) -> None:
    costs = []
    for size in (SMALL, LARGE):
        run, given = made(size)
        tell(*made(size))  # what is compiled and kept at its first use
        with counted() as calls:
            tell(run, given)
        costs.append(len(calls))
    assert costs[0] == costs[1]


def test_a_container_that_is_gone_through_is_seen() -> None:
    run, _ = a_map(SMALL)
    guard(run.state)
    with pytest.raises(GoneThrough):
        list(run.state.steps)
    with pytest.raises(GoneThrough):
        tuple(run.state.steps["m"].fan.outputs)  # type: ignore[union-attr]


def tell(run: Story, given: Input) -> int:
    """Everything that an owner does with an input; tells how many events came of it."""
    events = decide(run.state, given)
    for event in events:
        evolve(run.state, event)
    due(run.state, given.at)
    return len(events)


@contextmanager
def counted() -> Iterator[list[str]]:
    """The calls that are made inside, of Python and of C."""
    calls: list[str] = []
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, it: calls.append(event) if "call" in event else None)
    try:
        yield calls
    finally:
        sys.setprofile(before)
