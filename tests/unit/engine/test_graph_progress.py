"""Which nodes start, are skipped, or end at once."""

from inline_snapshot import snapshot
from tests.unit.engine.story import RUN, Story

from stepwell.engine.commands import CallTool, Stop, WakeAt
from stepwell.engine.due import due
from stepwell.engine.events import (
    RunCompleted,
    RunFailed,
    RunStarted,
    StepCompleted,
    StepFailed,
    StepScheduled,
    StepSkipped,
    ToolCall,
)
from stepwell.engine.inputs import Cancel, Expire, ToolAnswered
from stepwell.engine.state import RunPhase
from stepwell.engine.values import Data, Failure
from stepwell.errors import Code

TWO = """
workflow: two
input: { type: object }
nodes:
  - { id: a, tool: look, with: { q: "=input.q" } }
  - { id: b, tool: look, with: { q: "=a.output.x" } }
output: { answer: "=b.output.x" }
"""
BRANCHES = """
workflow: branches
nodes:
  - { id: a, tool: look }
  - { id: b, tool: look }
  - { id: c, tool: look, needs: [a, b] }
"""
SWITCH = """
workflow: switching
input: { type: object }
nodes:
  - { id: route, switch: [ { if: "=input.n > 10", then: big }, { else: small } ] }
  - { id: big, tool: look }
  - { id: small, tool: look }
  - { id: after_big, tool: look, needs: [big] }
  - { id: join, tool: look, needs: [big, small] }
"""
RETRY = """
workflow: retrying
nodes:
  - { id: a, tool: look, retry: { max: 2, initial: 10s, multiplier: 2.0, ceiling: 1m } }
  - { id: b, tool: look }
"""
TIMED = """
workflow: timed
nodes:
  - { id: a, tool: look, timeout: 5s, retry: { max: 1, initial: 1s } }
"""


def test_a_run_is_told_step_by_step_until_its_output() -> None:
    run = Story(TWO)
    assert run.start({"q": 7}) == [
        RunStarted(
            at=0,
            workflow="two",
            version=run.graph.version,
            principal="user:ann",
            input=Data(value={"q": 7}),
        ),
        StepScheduled(at=0, step="a", node="a", input=Data(value={"q": 7})),
    ]
    assert run.due == [CallTool("a", 1, "", "look", "a", Data(value={"q": 7}))]
    assert run.tool("a", {"x": 1}) == [
        ToolCall(
            at=0,
            step="a",
            attempt=1,
            call="",
            tool="look",
            key="a",
            arguments=Data(value={"q": 7}),
            result=Data(value={"x": 1}),
        ),
        StepCompleted(at=0, step="a", attempt=1, output=Data(value={"x": 1})),
        StepScheduled(at=0, step="b", node="b", input=Data(value={"q": 1})),
    ]
    run.tool("b", {"x": 2})
    assert run.log[-1] == RunCompleted(at=0, output=Data(value={"answer": 2}))
    assert run.state.phase is RunPhase.COMPLETED
    assert run.due == []


def test_a_node_starts_when_the_last_node_that_it_needs_has_ended() -> None:
    run = Story(BRANCHES)
    run.start()
    assert [command.step for command in run.calls] == ["a", "b"]
    run.tool("b")
    assert run.due == []
    run.tool("a")
    assert [command.step for command in run.calls] == ["c"]


def test_a_switch_skips_the_branches_that_it_did_not_choose() -> None:
    run = Story(SWITCH)
    run.start({"n": 3})
    assert [command.step for command in run.calls] == ["small"]
    assert [e for e in run.log if isinstance(e, StepSkipped)] == [
        StepSkipped(at=0, step="big", node="big", reason="switch"),
        StepSkipped(at=0, step="after_big", node="after_big", reason="needs"),
    ]
    run.tool("small")
    assert [command.step for command in run.calls] == ["join"]


def test_a_false_condition_skips_a_node_and_its_output_is_null() -> None:
    run = Story("""
workflow: conditional
input: { type: object }
nodes:
  - { id: a, tool: look, if: "=input.go" }
  - { id: b, transform: { seen: "=a.output" }, if: "=!input.go" }
output: "=b.output"
""")
    run.start({"go": False})
    # b needs a alone, and a was skipped: so is b.
    assert run.kinds == ["run_started", "step_skipped", "step_skipped", "run_completed"]
    assert run.state.output == Data(value=None)


def test_transforms_end_in_the_decision_that_starts_them() -> None:
    run = Story("""
workflow: arithmetic
input: { type: object }
nodes:
  - { id: a, transform: { n: "=input.n + 1" } }
  - { id: b, transform: "=a.output.n * 2" }
output: "=b.output"
""")
    run.start({"n": 20})
    assert run.kinds == snapshot(
        [
            "run_started",
            "step_scheduled",
            "step_completed",
            "step_scheduled",
            "step_completed",
            "run_completed",
        ]
    )
    assert run.state.output == Data(value=42)


def test_an_expression_without_a_value_fails_the_run_and_names_the_node() -> None:
    run = Story(TWO)
    run.start({"q": 1})
    run.tool("a", {"y": 1})
    failed = run.log[-1]
    assert isinstance(failed, RunFailed)
    assert (failed.step, failed.failure.reason) == ("b", "EXPRESSION_ERROR")
    assert "node b" in failed.failure.message
    assert '"x"' in failed.failure.message


def test_a_failure_that_may_pass_is_tried_again_after_a_growing_wait() -> None:
    run = Story(RETRY)
    run.start()
    passing = Failure("TOOL_ERROR", "busy", retryable=True)
    run.tool("a", failure=passing, jitter=1.0)
    assert run.due == [WakeAt(10_000_000)]
    run.now = 10_000_000
    run.tool("b")
    assert [(c.step, c.attempt, c.key) for c in run.calls] == [("a", 2, "a")]
    run.tool("a", failure=passing, attempt=2, jitter=0.0)
    assert run.due == [WakeAt(20_000_000)]
    run.now = 20_000_000
    run.tool("a", failure=passing, attempt=2)
    assert run.state.steps["a"].attempt == 3
    run.tool("a", failure=passing, attempt=3)
    assert run.kinds[-3:] == ["tool_call", "step_failed", "run_failed"]


def test_a_failure_that_will_not_pass_is_not_tried_again() -> None:
    run = Story(RETRY)
    run.start()
    run.tool("a", failure=Failure("INVALID_ARGUMENTS", "no such field"))
    assert run.state.phase is RunPhase.FAILED
    assert run.due == [Stop("b/1/tool/")]


def test_an_attempt_that_takes_too_long_is_stopped_and_tried_again() -> None:
    run = Story(TIMED)
    run.start()
    assert run.due[-1] == WakeAt(5_000_000)
    run.give(Expire(at=5_000_000, step="a", attempt=1, jitter=1.0))
    assert run.due == [Stop("a/1/tool/"), WakeAt(6_000_000)]
    run.give(Expire(at=11_000_000, step="a", attempt=2))
    assert run.failure.reason == "STEP_TIMEOUT"


def test_the_time_of_another_attempt_is_counted_from_when_it_may_begin() -> None:
    run = Story(TIMED)
    run.start()
    run.give(Expire(at=5_000_000, step="a", attempt=1, jitter=1.0))
    call, wake = due(run.state, 6_000_000)
    assert isinstance(call, CallTool)
    assert (call.id, wake) == ("a/2/tool/", WakeAt(11_000_000))


def test_a_call_whose_time_is_over_is_stopped_though_the_run_goes_on() -> None:
    run = Story(
        "{workflow: w, nodes: [{id: a, tool: look, timeout: 1s, on_error: continue},"
        "{id: b, tool: look}]}"
    )
    run.start()
    run.give(Expire(at=1_000_000, step="a", attempt=1))
    assert run.stopped == ["a/1/tool/"]
    assert list(run.state.open) == ["b/1/tool/"]


def test_a_node_that_takes_over_may_wait_for_another_first() -> None:
    run = Story(
        "{workflow: w, nodes: [{id: a, tool: look, on_error: b}, {id: b, tool: look, needs: [d]},"
        "{id: c, tool: look, needs: [a]}, {id: d, tool: look}]}"
    )
    run.start()
    failed = run.tool("a", failure=Failure("TOOL_ERROR", "no"), at=1)
    assert failed[-1] == StepSkipped(at=1, step="c", node="c", reason="needs")
    began = StepScheduled(at=2, step="b", node="b", input=Data(value={}))
    assert run.tool("d", 1, at=2)[-1] == began


def test_what_needs_two_nodes_that_others_took_over_is_skipped() -> None:
    run = Story(
        "{workflow: w, nodes: [{id: a, tool: look, on_error: x}, {id: b, tool: look, on_error: y},"
        "{id: c, tool: look, needs: [a, b]}, {id: x, tool: look}, {id: y, tool: look}]}"
    )
    run.start()
    run.tool("a", failure=Failure("TOOL_ERROR", "no"))
    events = run.tool("b", failure=Failure("TOOL_ERROR", "no"), at=2)
    assert StepSkipped(at=2, step="c", node="c", reason="needs") in events


def test_cancel_ends_the_run_and_stops_what_is_in_flight() -> None:
    run = Story(BRANCHES)
    run.start()
    run.give(Cancel(at=5, principal="user:ann", reason="enough"))
    assert run.kinds[-1] == "run_cancelled"
    assert sorted(run.due, key=str) == [Stop("a/1/tool/"), Stop("b/1/tool/")]


def test_reports_that_are_late_or_repeated_teach_nothing() -> None:
    run = Story(RETRY)
    run.start()
    assert run.tool("a", attempt=2) == []
    assert run.tool("nowhere") == []
    run.tool("a", 1)
    assert run.tool("a", 1) == []
    assert run.start() == []
    run.tool("b", 1)
    assert run.state.has_ended
    assert run.tool("b", 1) == []
    assert run.give(Cancel(at=1)) == []


def test_what_is_computed_from_sealed_data_is_sealed() -> None:
    run = Story(TWO)
    run.start({"q": 1})
    rows = Data(value={"x": [1, 2]}, sealed="datasource:shop")
    run.give(_answered("a", rows))
    assert run.state.steps["b"].input == Data(value={"q": [1, 2]}, sealed="datasource:shop")
    assert run.calls[0].arguments.sealed == "datasource:shop"
    run.tool("b", {"x": 1})
    assert run.state.output.sealed == "datasource:shop"


def test_what_a_tool_says_about_sealed_data_is_kept_apart_from_why_it_failed() -> None:
    run = Story(TWO)
    run.start({"q": 1})
    run.give(_answered("a", Data(value={"x": "Ada"}, sealed="datasource:shop")))
    said = Failure(Code.TOOL_ERROR, "no Ada", detail={"name": "Ada", "retry_after": "1"})
    call, step, end = run.tool("b", failure=said)

    assert isinstance(call, ToolCall)
    assert isinstance(step, StepFailed)
    assert isinstance(end, RunFailed)
    assert call.failure is not None
    assert call.result == Data(value="no Ada", sealed="datasource:shop")
    assert call.failure == step.failure == end.failure
    assert call.failure.reason == Code.TOOL_ERROR
    assert call.failure.detail == {"retry_after": "1"}
    assert "Ada" not in call.failure.message


def _answered(step: str, result: Data) -> ToolAnswered:
    return ToolAnswered(at=0, step=step, attempt=1, call="", result=result)


def test_what_comes_after_a_switch_and_is_none_of_its_branches_goes_on() -> None:
    run = Story(
        "workflow: w\ninput: { type: object }\nnodes:\n"
        "  - { id: route, switch: [ { if: '=input.n > 10', then: big }, { else: small } ] }\n"
        "  - { id: big, tool: t }\n  - { id: small, tool: t }\n"
        "  - { id: then, tool: t, needs: [route] }\n"
    )
    run.start({"n": 3})
    assert [call.step for call in run.calls] == ["small", "then"]


def test_an_expression_sees_its_run_and_workflow() -> None:
    run = Story("workflow: w\nnodes:\n  - { id: a, tool: t, with: { of: '=run' } }\n")
    run.start()
    assert run.calls[0].arguments.value == {"of": {"id": RUN, "workflow": "w"}}


def test_an_output_that_has_no_value_quotes_nothing_that_is_sealed() -> None:
    run = Story("workflow: w\nnodes:\n  - { id: a, tool: t }\noutput: '=a.output.wanted'\n")
    run.start()
    run.tool("a", {"unwanted": "Ada"}, sealed="datasource:shop")
    failure = run.state.failure
    assert failure is not None
    assert (failure.reason, "datasource:shop" in failure.message) == ("EXPRESSION_ERROR", True)
