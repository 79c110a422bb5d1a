"""A run that goes on from where another one was."""

from tests.unit.engine.story import Story, plain

from stepwell.engine.commands import CallTool
from stepwell.engine.events import StepScheduled
from stepwell.engine.inputs import Admitted, CallLost, Fork, ToolBegun
from stepwell.engine.objections import objection
from stepwell.engine.values import NOTHING, Data, Failure

CHAIN = """
workflow: chain
nodes:
  - { id: a, tool: look, with: { n: 1 } }
  - { id: b, tool: look, with: { of: =a.output } }
  - { id: other, tool: pay }
output: [=a.output, =b.output, =other.output]
"""


def before(run: Story, step: str) -> int:
    """The last event before the one that scheduled a step."""
    for sequence, event in enumerate(run.log):
        if isinstance(event, StepScheduled) and event.step == step:
            return sequence
    raise AssertionError(step)


def fork(run: Story, step: str, edited: Data | None = None) -> Story:
    until = before(run, step)
    other = Story(run.source, run="01930000-0000-7000-8000-00000000000f")
    other.fold(run.log[:until])
    other.give(
        Fork(
            at=9,
            principal="user:bob",
            run=run.state.run,
            sequence=until,
            step=step,
            edited=edited is not None,
            input=edited or NOTHING,
        )
    )
    return other


def test_what_had_ended_is_not_done_again_and_the_step_gets_its_new_input() -> None:
    run = Story(CHAIN)
    run.start()
    run.tool("a", "A")
    run.tool("b", "B")
    other = fork(run, "b", plain({"of": "mine"}))
    assert other.state.sequence == 2
    assert [(call.step, call.arguments.value) for call in other.calls] == [
        ("other", {}),
        ("b", {"of": "mine"}),
    ]
    other.tool("b", "B2")
    other.tool("other", "O")
    assert other.state.output == plain(["A", "B2", "O"])
    assert other.state.principal == "user:bob"


def test_a_call_that_was_under_way_is_made_anew_by_the_fork() -> None:
    """It has another key: the run is part of it."""
    run = Story(CHAIN)
    run.start()
    run.give(ToolBegun(at=0, step="other", attempt=1, call=""))
    run.tool("a", "A")
    other = fork(run, "b")
    assert {type(command) for command in other.due} == {CallTool}
    assert other.fold_again().open.keys() == other.state.open.keys()


def test_a_fork_from_the_first_step_shares_only_the_beginning() -> None:
    run = Story(CHAIN)
    run.start()
    other = fork(run, "a", plain({"n": 2}))
    assert [call.arguments.value for call in other.calls] == [{"n": 2}, {}]


def test_a_fork_from_a_step_of_a_map_keeps_those_before_it() -> None:
    run = Story("workflow: w\nnodes: [{id: m, map: '=[1,2,3]', concurrency: 1, do: {tool: look}}]")
    run.start()
    run.tool("m[0]", "a")
    run.tool("m[1]", "b")
    other = fork(run, "m[1]", plain({"x": 1}))
    assert [(call.step, call.arguments.value) for call in other.calls] == [("m[1]", {"x": 1})]
    other.tool("m[1]", "B")
    other.tool("m[2]", "C")
    assert other.state.output == plain({"m": ["a", "B", "C"]})


def test_a_step_without_an_input_cannot_be_given_another() -> None:
    run = Story("workflow: w\nnodes: [{id: s, signal: go}]")
    run.start()
    given = Fork(at=1, run="r", sequence=1, step="s", edited=True, input=plain(1))
    assert "takes no input" in str(objection(run.state, given))


def test_messages_that_nobody_had_taken_go_along() -> None:
    run = Story("workflow: w\nnodes: [{id: a, tool: look}, {id: s, signal: go, needs: [a]}]")
    run.start()
    run.signal("go", "hello")
    run.tool("a", 1)
    other = fork(run, "s")
    assert other.state.output == plain({"s": "hello"})


def test_nothing_goes_on_from_where_a_run_was_undone() -> None:
    run = Story(
        "workflow: w\nnodes: [{id: a, tool: pay, compensate: {tool: refund}},"
        "{id: b, tool: look, needs: [a]}]"
    )
    run.start()
    run.tool("a", 1)
    run.tool("b", failure=Failure("TOOL_ERROR", "no"))
    given = Fork(at=9, run="r", sequence=before(run, "a.undo"), step="a.undo")
    assert "undoes" in str(objection(run.state, given))


def test_a_fork_has_no_place_in_the_queue_of_the_other_run() -> None:
    run = Story(f"queue: nightly\n{CHAIN.strip()}")
    run.start()
    run.give(Admitted(at=1, step=""))
    run.tool("a", "A")
    other = fork(run, "b")
    assert other.state.queue == ""
    assert other.state.tickets == {}
    assert [call.step for call in other.calls] == ["other", "b"]


def test_a_fork_asks_what_nodes_ask_and_nothing_about_the_calls_of_the_other_run() -> None:
    run = Story(
        "workflow: w\nnodes:\n  - { id: sure, approval: sure? }\n  - { id: pay, tool: pay }\n"
        "  - { id: a, tool: look }\n  - { id: b, tool: look, needs: [a] }\n"
    )
    run.start()
    run.give(ToolBegun(at=0, step="pay", attempt=1, call=""))
    run.give(CallLost(at=0, step="pay", attempt=1, call=""))
    run.tool("a")
    assert list(run.state.asking) == ["sure", "pay"]
    other = fork(run, "b")
    assert list(other.state.asking) == ["sure"]
    assert "pay" in [call.step for call in other.calls]
