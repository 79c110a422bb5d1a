"""What follows when a step fails: the run, what goes on instead, or what takes over; and undoing."""

from tests.unit.engine.story import Story, plain

from stepwell.engine.commands import StartChild, WakeAt, child_run
from stepwell.engine.events import StepCompleted
from stepwell.engine.inputs import ChildEnded, Expire, RetryStep
from stepwell.engine.objections import objection
from stepwell.engine.values import Failure
from stepwell.errors import Code

NO = Failure("TOOL_ERROR", "no")
HANDLED = """
workflow: handled
nodes:
  - { id: charge, tool: pay, on_error: sorry }
  - { id: sorry, tool: mail, with: { why: =charge.error.message } }
  - { id: ship, tool: look, needs: [charge] }
  - { id: done, tool: look, needs: [ship, sorry] }
"""
UNDO = """
workflow: undo
nodes:
  - { id: a, tool: pay, compensate: { tool: refund, with: { id: =output.id }, retry: { max: 0 } } }
  - { id: b, tool: pay, needs: [a], compensate: { tool: refund, with: { id: =output.id }, retry: { max: 0 } } }
  - id: c
    map: "=[1, 2]"
    needs: [b]
    do: { tool: pay, compensate: { tool: refund, with: { id: =output, item: =item } } }
  - { id: d, tool: look, needs: [c] }
"""


def test_a_run_goes_on_with_null_where_the_node_says_continue() -> None:
    run = Story(
        "workflow: w\nnodes: [{id: a, tool: look, on_error: continue},"
        "{id: b, transform: '=a.error.reason', needs: [a]}]\noutput: ['=a.output', '=b.output']"
    )
    run.start()
    run.tool("a", failure=NO)
    assert run.state.output == plain([None, "TOOL_ERROR"])
    assert run.fold_again().output == run.state.output


def test_an_expression_sees_the_same_reason_before_and_after_a_failover() -> None:
    """In memory a reason is a member of `Code`, which is no value of CEL; in the log it is text."""
    run = Story(
        "workflow: w\nnodes: [{id: a, tool: look, on_error: continue},"
        "{id: b, transform: '=a.error.reason', needs: [a]}]\noutput: '=b.output'"
    )
    run.start()
    run.tool("a", failure=Failure(Code.TOOL_ERROR, "no"))
    assert run.state.output == plain("TOOL_ERROR")
    assert type(run.state.output.value) is str


def test_the_node_that_takes_over_runs_and_those_after_the_failed_one_are_skipped() -> None:
    run = Story(HANDLED)
    run.start()
    run.tool("charge", failure=NO)
    assert run.calls[0].arguments == plain({"why": "no"})
    assert run.state.steps["ship"].phase == "skipped"
    run.tool("sorry", 1)
    assert [call.step for call in run.calls] == ["done"]
    run.tool("done", 1)
    assert run.kinds[-1] == "run_completed"


def test_the_node_that_takes_over_is_skipped_where_nothing_failed() -> None:
    run = Story(HANDLED)
    run.start()
    run.tool("charge", 1)
    assert run.state.steps["sorry"].phase == "skipped"
    assert [call.step for call in run.calls] == ["ship"]


def test_what_was_done_is_undone_in_reverse_order_before_the_run_fails() -> None:
    run = Story(UNDO)
    run.start()
    run.tool("a", {"id": "A"})
    run.tool("b", {"id": "B"})
    run.tool("c[0]", "C0")
    run.tool("c[1]", "C1")
    run.tool("d", failure=NO)
    undone = []
    while run.calls:
        (call,) = run.calls
        undone.append((call.step, call.tool, call.arguments.value))
        run.tool(call.step, "ok")
    assert undone == [
        ("c[1].undo", "refund", {"id": "C1", "item": 2}),
        ("c[0].undo", "refund", {"id": "C0", "item": 1}),
        ("b.undo", "refund", {"id": "B"}),
        ("a.undo", "refund", {"id": "A"}),
    ]
    assert run.failure == NO
    assert run.kinds.count("run_compensating") == 1
    assert run.kinds[-1] == "run_failed"


def test_another_owner_goes_on_undoing() -> None:
    run = Story(UNDO)
    run.start()
    run.tool("a", {"id": "A"})
    run.tool("b", failure=NO)
    folded = run.fold_again()
    assert folded.open.keys() == {"a.undo/1/tool/"}
    assert folded.is_compensating


def test_what_cannot_be_undone_is_told_and_does_not_keep_the_rest() -> None:
    run = Story(UNDO)
    run.start()
    run.tool("a", {"id": "A"})
    run.tool("b", {})
    run.tool("c[0]", failure=NO)
    # b has no id: its undoing has no input.
    assert [call.step for call in run.calls] == ["a.undo"]
    run.tool("a.undo", failure=NO)
    assert run.failure.detail["not_undone"] == "b, a"
    assert run.fold_again().failure == run.failure


def test_a_step_whose_end_fails_the_run_is_undone_as_well() -> None:
    run = Story(
        "workflow: w\nnodes: [{id: a, tool: pay, compensate: {tool: refund, with: {id: '=output'}}},"
        "{id: b, transform: '=a.output.nothing'}]"
    )
    run.start()
    run.tool("a", {"id": 1})
    assert [call.step for call in run.calls] == ["a.undo"]
    assert run.calls[0].arguments == plain({"id": {"id": 1}})


def test_a_run_that_failed_is_taken_up_again_with_another_attempt() -> None:
    run = Story("workflow: w\nnodes: [{id: a, tool: look}, {id: b, tool: look}]")
    run.start()
    run.tool("a", failure=NO)
    assert run.kinds[-1] == "run_failed"
    run.give(RetryStep(at=5, step="a"))
    assert run.kinds[-2:] == ["run_resumed", "step_retry_scheduled"]
    assert {(call.step, call.attempt) for call in run.calls} == {("a", 2), ("b", 1)}
    assert run.fold_again().open.keys() == run.state.open.keys()
    run.tool("a", 1, attempt=2)
    run.tool("b", 1)
    assert run.kinds[-1] == "run_completed"


def test_a_map_that_failed_over_one_step_goes_on_with_all_of_them() -> None:
    run = Story("workflow: w\nnodes: [{id: m, map: '=[1,2,3]', do: {tool: look}}]")
    run.start()
    run.tool("m[0]", "a")
    run.tool("m[1]", failure=NO)
    run.give(RetryStep(at=5, step="m"))
    assert {(call.step, call.attempt) for call in run.calls} == {("m[1]", 2), ("m[2]", 1)}
    assert run.fold_again().steps["m"].fan == run.state.steps["m"].fan
    run.tool("m[1]", "b", attempt=2)
    run.tool("m[2]", "c")
    assert run.state.output == plain({"m": ["a", "b", "c"]})


def test_the_time_of_a_map_begins_anew_when_one_of_its_steps_is_tried_again() -> None:
    run = Story("workflow: w\nnodes: [{id: m, map: '=[1]', timeout: 1m, do: {tool: look}}]")
    run.start()
    run.tool("m[0]", failure=NO)
    run.give(RetryStep(at=5, step="m[0]"))
    assert run.due == [*run.calls, WakeAt(60_000_005)]


def test_a_map_whose_time_was_over_goes_on_with_its_next_attempt() -> None:
    run = Story("workflow: w\nnodes: [{id: m, map: '=[1]', timeout: 1m, do: {tool: look}}]")
    run.start()
    run.give(Expire(at=60_000_000, step="m", attempt=1))
    run.give(RetryStep(at=60_000_005, step="m"))
    assert [(call.step, call.attempt) for call in run.calls] == [("m[0]", 1)]
    run.tool("m[0]", "a")
    assert [event.attempt for event in run.log if isinstance(event, StepCompleted)] == [1, 2]
    assert run.state.output == plain({"m": ["a"]})


def test_a_map_that_was_given_up_stays_so_when_another_step_is_tried_again() -> None:
    run = Story(
        "workflow: w\nnodes: [{id: m, map: '=[1, 2]', on_error: continue, do: {tool: look}},"
        "{id: b, tool: look, needs: [m]}]"
    )
    run.start()
    run.tool("m[0]", failure=NO)
    assert run.stopped == ["m[1]/1/tool/"]
    run.tool("b", failure=NO)
    run.give(RetryStep(at=5, step="b"))
    assert [(call.step, call.attempt) for call in run.calls] == [("b", 2)]
    assert run.fold_again().open.keys() == run.state.open.keys()


def test_what_cannot_be_tried_again_says_why() -> None:
    run = Story("workflow: w\nnodes: [{id: a, tool: look}, {id: b, transform: '=a.output.x'}]")
    run.start()
    again = RetryStep(at=1, step="a")
    assert "is running" in str(objection(run.state, again))
    run.tool("a", {})
    assert "failed over the step 'b'" in str(objection(run.state, again))
    assert "without a value" in str(objection(run.state, RetryStep(at=1, step="b")))
    assert run.give(again) == []


def test_of_a_map_that_failed_no_step_is_tried_again_that_has_not() -> None:
    run = Story("workflow: w\nnodes: [{id: m, map: '=[1, 2]', do: {tool: look}}]")
    run.start()
    run.tool("m[0]", failure=NO)
    assert "m[1]' has not failed, it is active" in str(
        objection(run.state, RetryStep(at=1, step="m[1]"))
    )


def test_a_loop_whose_condition_has_no_value_is_not_tried_again() -> None:
    run = Story(
        "workflow: w\nnodes: [{id: l, loop: {while: =last.more, max: 3}, do: {tool: look}}]"
    )
    run.start()
    assert run.kinds[-1] == "run_failed"
    assert "without a value" in str(objection(run.state, RetryStep(at=1, step="l")))
    assert run.give(RetryStep(at=1, step="l")) == []


def test_a_map_that_fails_cancels_the_children_of_its_other_steps() -> None:
    run = Story("workflow: w\nnodes: [{id: m, map: '=[1,2]', do: {workflow: other}}]")
    run.start()
    assert all(isinstance(command, StartChild) for command in run.due)
    run.give(ChildEnded(at=1, step="m[0]", attempt=1, failure=NO))
    assert child_run(run.state.run, "m[1]", 1) in run.state.orphans
