"""A run that waits: for a time, a message, a place in a queue, or another run."""

from collections import deque

import pytest
from tests.unit.engine.story import RUN, Story, plain

from stepwell.engine.commands import EnterQueue, FireTimer, StartChild, WakeAt, child_run
from stepwell.engine.due import due, put_back
from stepwell.engine.events import RunAdmitted, StepCompleted, StepStarted
from stepwell.engine.inputs import (
    Admitted,
    Cancel,
    ChildEnded,
    ChildStarted,
    Expire,
    Fired,
    Pause,
    Resume,
    RetryStep,
    Signal,
    ToolBegun,
)
from stepwell.engine.objections import MAX_SIGNALS, objection
from stepwell.engine.values import Data, Failure

NAP = "workflow: nap\nnodes: [{ id: nap, wait: 90s }]\noutput: =nap.output.until"
UNTIL = """
workflow: until
input: { type: object }
nodes: [{ id: nap, wait: { until: =input.when } }]
"""
HOLD = """
workflow: hold
nodes:
  - { id: first, signal: go, timeout: 1h }
  - { id: second, signal: go, needs: [first] }
output: [=first.output, =second.output]
"""
QUEUED = """
workflow: queued
queue: nightly
nodes:
  - { id: look, tool: look, queue: web, timeout: 10s, retry: { max: 1 } }
"""
PARENT = """
workflow: parent
nodes:
  - { id: sub, workflow: child, with: { n: 1 }, retry: { max: 1, initial: 1s } }
output: =sub.output
"""


def test_a_timer_is_in_the_log_and_fires_when_its_time_has_come() -> None:
    run = Story(NAP)
    run.now = 1_000_000
    run.start()
    assert run.due == [WakeAt(91_000_000)]
    assert run.state.is_waiting
    assert due(run.fold_again(), 91_000_000) == [FireTimer("nap", 1)]
    run.give(Fired(at=91_000_000, step="nap", attempt=1))
    assert run.kinds[-3:] == ["timer_fired", "step_completed", "run_completed"]
    assert run.state.output == plain("1970-01-01T00:01:31Z")


def test_a_timer_can_be_a_point_in_time() -> None:
    run = Story(UNTIL)
    run.start({"when": "1970-01-01T01:00:10+01:00"})
    assert run.due == [WakeAt(10_000_000)]


@pytest.mark.parametrize("when", ["tomorrow", 3, "1970-01-01T01:00:10"])
def test_a_time_that_is_none_fails_the_step_and_says_how_one_is_written(when: object) -> None:
    run = Story(UNTIL)
    run.start({"when": when})
    assert run.failure.reason == "EXPRESSION_ERROR"
    assert "2026-03-01T09:30:00Z" in run.failure.message


def test_a_message_is_taken_by_the_step_that_waits_for_it() -> None:
    run = Story(HOLD)
    run.start()
    assert run.state.is_waiting
    run.signal("go", 1)
    run.signal("go", 2)
    assert run.state.output == plain([1, 2])


def test_messages_that_come_early_are_kept_in_their_order() -> None:
    run = Story(HOLD.replace("signal: go, timeout: 1h", "tool: look"))
    run.start()
    run.signal("go", "early")
    run.signal("go", "late")
    run.tool("first", "done")
    assert run.state.output == plain(["done", "early"])
    assert run.fold_again().signals == run.state.signals


def test_a_message_with_the_same_id_arrives_once() -> None:
    run = Story(HOLD)
    run.start()
    run.signal("go", 1, id="m1")
    assert run.signal("go", 1, id="m1") == []
    assert run.state.steps["second"].output.value is None


@pytest.mark.parametrize(
    ("source", "name", "says"),
    [
        (
            HOLD,
            "goo",
            (
                "no step of the workflow 'hold' waits for the message 'goo'; its steps wait for go; "
                "did you mean 'go'?"
            ),
        ),
        (HOLD, "other", "waits for the message 'other'; its steps wait for go"),
        ("workflow: w\nnodes: [{id: a, tool: look}]", "go", "'go', or for any other"),
    ],
)
def test_a_message_that_no_step_will_ever_take_is_refused(
    source: str, name: str, says: str
) -> None:
    run = Story(source)
    run.start()
    found = objection(run.state, Signal(at=0, name=name, payload=plain(1)))
    assert found is not None
    assert found.code == "NOT_APPLICABLE"
    assert says in found.message
    assert run.signal(name, 1) == []


@pytest.mark.parametrize(
    "node",
    [
        "{id: a, map: [1], do: {signal: go}}",
        "{id: a, loop: {while: '=index < 2', max: 2}, do: {signal: go}}",
    ],
)
def test_a_message_is_taken_by_a_step_of_a_map_and_of_a_loop(node: str) -> None:
    run = Story(f"workflow: w\nnodes: [{node}]")
    run.start()
    told = run.signal("go", 1)
    assert told[1] == StepCompleted(at=0, step="a[0]", attempt=1, output=plain(1))


def test_a_run_that_keeps_too_many_messages_still_takes_what_a_step_waits_for() -> None:
    run = Story("workflow: w\nnodes: [{id: a, signal: go}, {id: b, signal: later, needs: [a]}]")
    run.start()
    run.state.signals["later"] = deque([plain(0)] * MAX_SIGNALS)
    refused = objection(run.state, Signal(at=0, name="later", payload=plain(1)))
    assert refused is not None
    assert refused.code == "LIMIT_EXCEEDED"
    assert run.signal("later", 1) == []
    assert run.signal("go", 1) != []


def test_nobody_sends_the_message_in_time() -> None:
    run = Story(HOLD)
    run.start()
    run.give(Expire(at=3_600_000_000, step="first", attempt=1))
    assert run.failure.reason == "STEP_TIMEOUT"


def test_a_run_begins_when_it_has_its_place_and_each_step_when_it_has_its_own() -> None:
    run = Story(QUEUED)
    run.start()
    assert run.due == [EnterQueue("", "nightly")]
    assert due(run.fold_again(), 0) == [EnterQueue("", "nightly")]
    run.give(Admitted(at=1, step=""))
    assert run.due == [EnterQueue("look", "web")]
    run.give(Admitted(at=2, step="look"))
    assert [call.tool for call in run.calls] == ["look"]
    assert run.give(Admitted(at=3, step="look")) == []
    run.tool("look", 1)
    assert run.state.left == ["look", ""]
    assert run.kinds == [
        "run_started",
        "run_admitted",
        "step_scheduled",
        "step_started",
        "tool_call",
        "step_completed",
        "run_completed",
    ]


def test_the_time_of_a_step_runs_from_when_it_has_its_place() -> None:
    run = Story(QUEUED)
    run.start()
    run.give(Admitted(at=0, step=""))
    run.give(Admitted(at=50_000_000, step="look"))
    assert run.due[-1] == WakeAt(60_000_000)


def test_a_retry_keeps_the_place_in_the_queue() -> None:
    run = Story(QUEUED)
    run.start()
    run.give(Admitted(at=0, step=""))
    run.give(Admitted(at=0, step="look"))
    run.tool("look", failure=Failure("TOOL_ERROR", "busy", retryable=True))
    assert run.state.left == []
    assert "look" in run.state.tickets


def test_a_step_that_is_tried_again_has_its_place_for_that_attempt() -> None:
    run = Story(QUEUED)
    run.start()
    run.give(Admitted(at=0, step=""))
    run.give(Admitted(at=0, step="look"))
    run.tool("look", failure=Failure("TOOL_ERROR", "no"))
    run.give(RetryStep(at=5, step="look"))
    assert run.give(Admitted(at=6, step="")) == [RunAdmitted(at=6)]
    assert run.give(Admitted(at=7, step="look")) == [StepStarted(at=7, step="look", attempt=2)]
    assert [(call.step, call.attempt) for call in run.calls] == [("look", 2)]


def test_a_step_that_waits_for_its_place_waits_no_more_when_its_run_is_undone() -> None:
    run = Story(
        "{workflow: w, nodes: [{id: a, tool: pay, compensate: {tool: refund}},"
        "{id: b, tool: look}, {id: c, tool: look, queue: db}]}"
    )
    run.start()
    run.tool("a", 1)
    run.tool("b", failure=Failure("TOOL_ERROR", "no"))
    assert run.state.is_compensating
    assert (run.state.left, run.state.tickets) == (["c"], {})
    assert not run.state.steps["c"].in_queue
    assert run.give(Admitted(at=1, step="c")) == []


def test_a_child_has_the_same_id_whoever_starts_it() -> None:
    run = Story(PARENT)
    run.start()
    assert run.due == [StartChild("sub", 1, "child", "", plain({"n": 1}))]
    assert due(run.fold_again(), 0) == run.due
    child = child_run(RUN, "sub", 1)
    assert child == child_run(RUN, "sub", 1) != child_run(RUN, "sub", 2)
    assert child[14] == "8"
    run.give(ChildStarted(at=1, step="sub", attempt=1, child=child))
    assert run.give(ChildStarted(at=1, step="sub", attempt=1, child=child)) == []
    run.give(ChildEnded(at=2, step="sub", attempt=1, output=plain("well")))
    assert run.state.output == plain("well")
    assert run.kinds[2:4] == ["step_started", "step_completed"]


def test_a_child_that_failed_is_followed_by_another_where_the_node_says_so() -> None:
    run = Story(PARENT)
    run.start()
    run.give(ChildStarted(at=1, step="sub", attempt=1, child=child_run(RUN, "sub", 1)))
    failed = Failure("CHILD_FAILED", "no", retryable=True)
    run.give(ChildEnded(at=2, step="sub", attempt=1, failure=failed))
    assert run.kinds[-1] == "step_retry_scheduled"
    assert due(run.state, 10_000_000)[0].id == "sub/2/child"  # type: ignore[union-attr]


def test_a_child_is_cancelled_when_its_time_is_over_and_the_run_goes_on() -> None:
    run = Story(
        "{workflow: w, nodes: [{id: sub, workflow: other, timeout: 1s, on_error: continue},"
        "{id: a, tool: look}]}"
    )
    run.start()
    run.give(Expire(at=1_000_000, step="sub", attempt=1))
    assert run.state.orphans == [child_run(RUN, "sub", 1)]
    assert not run.state.has_ended


def test_a_child_is_cancelled_with_its_parent() -> None:
    run = Story(PARENT)
    run.start()
    run.give(Cancel(at=1))
    assert run.state.orphans == [child_run(RUN, "sub", 1)]


def test_nothing_is_begun_while_a_run_is_paused_and_nothing_that_ended_is_lost() -> None:
    run = Story("workflow: w\nnodes: [{id: a, tool: look}, {id: b, tool: look, needs: [a]}]")
    run.start()
    run.give(Pause(at=1, reason="lunch"))
    run.tool("a", 1)
    assert run.due == []
    assert run.kinds[-1] == "step_scheduled"
    assert due(run.fold_again(), 0) == []
    assert run.give(Pause(at=2)) == []
    run.give(Resume(at=3))
    assert [call.step for call in run.calls] == ["b"]


def test_a_call_that_was_handed_out_and_not_begun_before_a_pause_is_due_after_it() -> None:
    run = Story("workflow: w\nnodes: [{id: a, tool: pay}]")
    run.start()
    call = run.calls[0]
    run.give(Pause(at=1))
    assert run.give(ToolBegun(at=2, step="a", attempt=1, call="")) == []
    assert not run.state.is_at_rest
    put_back(run.state, call)
    assert run.state.is_at_rest
    assert due(run.state, 3) == []
    run.give(Resume(at=4))
    assert run.due == [call]


def test_a_timer_that_comes_in_a_pause_fires_after_it() -> None:
    run = Story(NAP)
    run.start()
    run.give(Pause(at=1))
    assert run.state.wakes_at is None
    run.give(Resume(at=100_000_000))
    assert run.due == [FireTimer("nap", 1)]


def test_a_run_that_waits_is_at_rest_and_one_with_calls_in_flight_is_not() -> None:
    waiting, busy = (
        Story(NAP),
        Story(QUEUED.replace("queue: nightly", "").replace("queue: web,", "")),
    )
    waiting.start()
    busy.start()
    assert waiting.state.is_at_rest
    assert waiting.state.wakes_at == 90_000_000
    assert not busy.state.is_at_rest


def test_data_of_a_message_stays_what_it_is() -> None:
    run = Story(HOLD)
    run.start()
    run.signal("go", Data(value={"row": 1}, sealed="datasource:shop").value)
    assert run.state.steps["first"].output == plain({"row": 1})
