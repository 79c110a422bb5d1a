"""What the events of a run tell of its steps."""

from msgspec.structs import replace
from tests.unit.engine.story import RUN, Story, plain

from stepwell.definitions.builtin import CALL
from stepwell.definitions.compile import compile_definition
from stepwell.engine.events import (
    Custom,
    Event,
    RunForked,
    StepCompleted,
    StepFailed,
    StepRetryScheduled,
    StepScheduled,
    StepSkipped,
    StepStarted,
)
from stepwell.engine.inputs import Admitted, CallLost, Cancel, ChildStarted, RetryStep, ToolBegun
from stepwell.engine.values import Data, Failure
from stepwell.orchestrator.steps import steps_of
from stepwell.orchestrator.views import Step, Waiting

BUSY = Failure("TOOL_ERROR", "busy", retryable=True)
BROKEN = Failure("TOOL_ERROR", "no")
GRAPH = compile_definition(
    b"workflow: three\nnodes: [{ id: a, tool: x }, { id: b, tool: x }, { id: c, tool: x }]",
    tools=None,
)

EACH = """
workflow: each
input: { type: object }
nodes: [{ id: each, map: "=input.items", do: { tool: look, with: { q: "=item" } } }]
"""
PAY = "workflow: one\nnodes: [{ id: pay, tool: pay }]"


def told(run: Story) -> dict[str, Step]:
    return {step.id: step for step in steps_of(RUN, run.log, run.graph)}


def statuses(run: Story) -> dict[str, str]:
    return {id: step.status for id, step in told(run).items()}


def begun(source: str, **given: object) -> Story:
    run = Story(source)
    run.start(given)
    return run


def test_steps_are_told_in_the_order_in_which_they_came_up() -> None:
    events: list[Event] = [
        StepScheduled(at=1, step="a", node="a"),
        StepSkipped(at=1, step="b", node="b", reason="switch"),
        Custom(at=2, type="note"),
        StepScheduled(at=2, step="c", node="c"),
        StepCompleted(at=3, step="a", attempt=1, output=Data(value=7)),
        StepRetryScheduled(at=4, step="c", attempt=2, retry_at=9, failure=BUSY),
    ]
    assert steps_of(RUN, events, GRAPH) == (
        Step(
            id="a",
            node="a",
            status="completed",
            attempt=1,
            scheduled_at=1,
            ended_at=3,
            output=Data(value=7),
        ),
        Step(id="b", node="b", status="skipped", attempt=0, ended_at=1),
        Step(id="c", node="c", status="retrying", attempt=2, scheduled_at=2),
    )


def test_a_step_that_failed_says_why() -> None:
    events: list[Event] = [
        StepScheduled(at=1, step="a", node="a"),
        StepFailed(at=2, step="a", attempt=1, failure=BUSY),
    ]
    (step,) = steps_of(RUN, events, GRAPH)
    assert (step.status, step.ended_at, step.failure) == ("failed", 2, BUSY)


def test_the_step_of_a_direct_call_is_told_too() -> None:
    events: list[Event] = [StepScheduled(at=1, step="call", node="call")]
    (step,) = steps_of(RUN, events, CALL)
    assert step.status == "active"


# --- what waits -----------------------------------------------------------------------------


def test_a_step_that_asks_a_person_waits_until_it_is_answered() -> None:
    run = begun("workflow: ask\nnodes: [{ id: ok, approval: Go on? }, { id: no, approval: Stop? }]")
    asked = Waiting(step="ok", on="human", about="approval", message=plain("Go on?"))

    assert told(run)["ok"].waiting == (asked,)
    assert statuses(run) == {"ok": "waiting", "no": "waiting"}
    run.resolve("ok", "approve")
    assert statuses(run) == {"ok": "completed", "no": "waiting"}
    assert told(run)["ok"].waiting == ()


def test_a_step_that_waits_for_a_message_or_a_time_says_for_which() -> None:
    run = begun("workflow: w\nnodes: [{ id: go, signal: paid }, { id: nap, wait: 30s }]")
    waiting = {id: step.waiting for id, step in told(run).items()}

    assert statuses(run) == {"go": "waiting", "nap": "waiting"}
    assert waiting["go"] == (Waiting(step="go", on="signal", about="paid"),)
    assert waiting["nap"] == (Waiting(step="nap", on="timer", until=30_000_000),)
    run.signal("paid", {"cents": 5})
    assert told(run)["go"].output == plain({"cents": 5})


def test_a_step_waits_for_its_place_anew_when_its_run_is_taken_up_again() -> None:
    run = begun(
        "workflow: w\nnodes: [{ id: a, tool: look, queue: db, retry: { max: 1 } }, "
        "{ id: b, tool: look, queue: db }]"
    )
    place = {id: (Waiting(step=id, on="queue", about="db"),) for id in "ab"}
    assert {id: step.waiting for id, step in told(run).items()} == place
    run.give(Admitted(at=1, step="a"))
    run.give(Admitted(at=1, step="b"))
    assert statuses(run) == {"a": "active", "b": "active"}
    run.tool("a", failure=Failure("TOOL_ERROR", "no", retryable=True))
    assert statuses(run) == {"a": "retrying", "b": "active"}
    run.tool("a", attempt=2, failure=Failure("TOOL_ERROR", "no"))
    assert statuses(run) == {"a": "failed", "b": "cancelled"}
    run.give(RetryStep(at=2, step="a"))
    assert {id: step.waiting for id, step in told(run).items()} == place
    assert list(run.state.queueing) == ["b", "a"]


def test_a_wait_whose_time_is_sealed_keeps_it() -> None:
    graph = compile_definition(b"workflow: w\nnodes: [{ id: nap, wait: 30s }]", tools=None)
    (step,) = steps_of(
        RUN, [StepScheduled(at=1, step="nap", node="nap", input=Data(sealed="x"))], graph
    )
    assert step.waiting == (Waiting(step="nap", on="timer"),)


def test_without_a_graph_the_steps_are_told_all_the_same() -> None:
    run = begun("workflow: w\nnodes: [{ id: go, signal: paid }, { id: ok, approval: Go on? }]")
    told_of = {step.id: step.status for step in steps_of(RUN, run.log, None)}

    assert told_of == {"go": "active", "ok": "waiting"}


def test_a_call_of_unknown_outcome_waits_for_a_person_and_goes_on_with_the_answer() -> None:
    run = begun(PAY)
    run.give(ToolBegun(at=1, step="pay", attempt=1, call=""))
    run.give(CallLost(at=2, step="pay", attempt=1, call=""))
    (asked,) = told(run)["pay"].waiting

    assert (statuses(run), asked.about, asked.call) == ({"pay": "waiting"}, "outcome", "")
    run.resolve("pay", "retry")
    assert statuses(run) == {"pay": "active"}


def test_a_fork_asks_nothing_about_the_calls_of_the_other_run() -> None:
    run = begun(PAY)
    run.give(ToolBegun(at=1, step="pay", attempt=1, call=""))
    run.give(CallLost(at=2, step="pay", attempt=1, call=""))
    run.log.append(
        RunForked(at=3, run="r", sequence=4, step="x", workflow="one", version="v", principal="p")
    )
    assert statuses(run) == {"pay": "active"}


def test_a_step_that_is_a_run_says_which() -> None:
    run = begun("workflow: w\nnodes: [{ id: other, workflow: hello }]")
    run.give(ChildStarted(at=1, step="other", attempt=1, child="r-2"))

    assert (told(run)["other"].child, statuses(run)) == ("r-2", {"other": "active"})


def test_a_place_in_a_queue_is_no_child() -> None:
    events: list[Event] = [
        StepScheduled(at=1, step="a", node="a"),
        StepStarted(at=2, step="a", attempt=1),
    ]
    (step,) = steps_of(RUN, events, GRAPH)
    assert (step.status, step.child) == ("active", "")


# --- what ends with something else ----------------------------------------------------------


def test_what_goes_on_when_the_run_ends_is_cancelled() -> None:
    run = begun("workflow: two\nnodes: [{ id: a, tool: x }, { id: ok, approval: Go on? }]")
    run.give(Cancel(at=7))

    assert statuses(run) == {"a": "cancelled", "ok": "cancelled"}
    assert [(step.ended_at, step.waiting) for step in told(run).values()] == [(7, ()), (7, ())]


def test_the_other_steps_of_a_map_that_failed_are_cancelled() -> None:
    run = begun(
        EACH.replace(" }]", ", on_error: continue }, { id: ok, approval: Go? }]"), items=[1, 2]
    )
    run.tool("each[1]", at=5, failure=BROKEN)

    assert statuses(run) == {
        "ok": "waiting",
        "each": "failed",
        "each[0]": "cancelled",
        "each[1]": "failed",
    }
    assert told(run)["each[0]"].ended_at == 5


def test_a_run_that_is_taken_up_again_has_its_steps_back() -> None:
    run = begun(EACH, items=[1, 2])
    run.tool("each[1]", at=5, failure=BROKEN)
    assert set(statuses(run).values()) == {"failed", "cancelled"}
    run.give(RetryStep(at=9, step="each"))

    assert statuses(run) == {"each": "active", "each[0]": "active", "each[1]": "retrying"}
    again = told(run)["each[1]"]
    assert again == replace(again, attempt=2, ended_at=None, failure=None)


def test_what_is_under_way_when_a_run_is_undone_is_cancelled_and_what_undoes_it_is_not() -> None:
    run = begun(
        "workflow: trip\nnodes:\n"
        "  - { id: book, tool: book, compensate: { tool: cancel } }\n"
        "  - { id: pay, tool: pay, needs: [book] }\n"
        "  - { id: post, tool: post, needs: [book] }\n"
    )
    run.tool("book")
    run.tool("pay", failure=BROKEN)
    assert statuses(run) == {
        "book": "completed",
        "pay": "failed",
        "post": "cancelled",
        "book.undo": "active",
    }
    run.tool("book.undo", failure=BROKEN)
    assert statuses(run)["book.undo"] == "failed"
    assert told(run)["book.undo"].node == "book"
