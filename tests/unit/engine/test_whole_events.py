"""Every event says all that is known of what happened: each is compared as a whole."""

from typing import Any

from msgspec.structs import replace
from tests.unit.engine.story import RUN, Story, plain, wish

from stepwell.engine.calls import REPAIR
from stepwell.engine.commands import child_run
from stepwell.engine.events import (
    ApprovalDecided,
    ApprovalExpired,
    ApprovalRequested,
    Custom,
    LlmCall,
    Parent,
    PolicyDecided,
    RunAdmitted,
    RunCancelled,
    RunCompensating,
    RunCompleted,
    RunFailed,
    RunForked,
    RunPaused,
    RunResumed,
    RunStarted,
    SignalReceived,
    StepCompleted,
    StepFailed,
    StepRetryScheduled,
    StepScheduled,
    StepSkipped,
    StepStarted,
    TimerFired,
    ToolCall,
    ToolCallStarted,
)
from stepwell.engine.inputs import (
    Admitted,
    Answer,
    CallDenied,
    CallLost,
    Cancel,
    ChildEnded,
    ChildStarted,
    Expire,
    Fired,
    Fork,
    ModelAnswered,
    Pause,
    Publish,
    Resolve,
    Resume,
    RetryStep,
    Signal,
    Start,
    ToolAnswered,
    ToolBegun,
)
from stepwell.engine.messages import Opaque, ToolRequest, Usage
from stepwell.engine.values import NOTHING, Data, Failure

SEAL = "datasource:shop"
NO = Failure("TOOL_ERROR", "no")
LATER = Failure("TOOL_ERROR", "busy", retryable=True, detail={"retry_after": "2.5"})


def story(nodes: str, **top: str) -> Story:
    """A run that has not begun, of these nodes."""
    rest = "".join(f"\n{key}: {value}" for key, value in top.items())
    return Story(f"workflow: w\ninput: {{ type: object }}\nnodes: [{nodes}]{rest}")


def begun(nodes: str, given: Any = None, **top: str) -> Story:
    run = story(nodes, **top)
    run.start(given)
    return run


def place(
    run: Story, step: str, *, attempt: int = 1, call: Any = "", at: int = 7
) -> dict[str, Any]:
    return {"at": at, "step": step, "attempt": attempt, "call": call}


# --- the run ------------------------------------------------------------------------------


def test_a_start() -> None:
    run = story("{id: t, transform: 1}")
    parent = Parent("p", "s", 2, depth=3)
    given = Start(
        at=5,
        principal="user:ann",
        input=plain({"n": 1}),
        labels={"a": "b"},
        run_key="key",
        parent=parent,
        trace="00-1",
    )
    assert run.give(given) == [
        RunStarted(
            at=5,
            workflow="w",
            version=run.graph.version,
            principal="user:ann",
            input=plain({"n": 1}),
            labels={"a": "b"},
            run_key="key",
            parent=parent,
            trace="00-1",
        ),
        StepScheduled(at=5, step="t", node="t"),
        StepCompleted(at=5, step="t", attempt=1, output=plain(1)),
        RunCompleted(at=5, output=plain({"t": 1})),
    ]
    state = run.state
    assert (state.labels, state.run_key, state.trace) == ({"a": "b"}, "key", "00-1")
    assert (state.parent, state.principal) == (parent, "user:ann")
    assert (state.started_at, state.ended_at, state.input) == (5, 5, plain({"n": 1}))


def test_a_start_in_a_queue_and_its_admission() -> None:
    run = story("{id: t, transform: 1}", queue="nightly")
    assert run.start() == [
        RunStarted(
            at=0,
            workflow="w",
            version=run.graph.version,
            principal="user:ann",
            input=plain({}),
            queue="nightly",
        )
    ]
    assert not run.state.is_admitted
    assert run.give(Admitted(at=3, step=""))[0] == RunAdmitted(at=3)
    assert run.state.is_admitted


def test_the_queue_of_a_start_goes_before_that_of_the_workflow() -> None:
    run = story("{id: t, transform: 1}", queue="nightly")
    [started] = run.give(Start(at=0, input=plain({}), queue="other"))
    assert isinstance(started, RunStarted)
    assert started.queue == run.state.queue == "other"


def test_pause_resume_cancel_and_an_event_of_a_service() -> None:
    run = begun("{id: a, tool: look}")
    assert run.give(Pause(at=1, reason="lunch")) == [RunPaused(at=1, reason="lunch")]
    assert run.give(Resume(at=2, reason="back")) == [RunResumed(at=2, reason="back")]
    note = Publish(at=3, type="note", payload=plain({"x": 1}))
    assert run.give(note) == [Custom(at=3, type="note", payload=plain({"x": 1}))]
    assert run.give(Cancel(at=4, reason="enough")) == [RunCancelled(at=4, reason="enough")]
    assert (run.state.reason, run.state.ended_at) == ("enough", 4)


def test_a_fork() -> None:
    run = begun("{id: a, tool: look}, {id: b, tool: look, with: {n: =a.output}}")
    run.tool("a", 1)
    other = Story(run.source, run="01930000-0000-7000-8000-00000000000f")
    other.fold(run.log[:-1])
    given = Fork(
        at=9,
        principal="user:bob",
        run=RUN,
        sequence=4,
        step="b",
        labels={"x": "y"},
        edited=True,
        input=plain({"n": 2}),
    )
    assert other.give(given) == [
        RunForked(
            at=9,
            run=RUN,
            sequence=4,
            step="b",
            workflow="w",
            version=run.graph.version,
            principal="user:bob",
            labels={"x": "y"},
            edited=True,
            input=plain({"n": 2}),
        ),
        StepScheduled(at=9, step="b", node="b", input=plain({"n": 2})),
    ]
    state = other.state
    assert (state.forked_from, state.labels, state.started_at) == (RUN, {"x": "y"}, 9)


def test_a_fork_that_changes_nothing() -> None:
    run = begun("{id: a, tool: look, with: {n: 1}}")
    other = Story(run.source)
    other.fold(run.log[:1])
    assert other.give(Fork(at=9, run=RUN, sequence=1, step="a")) == [
        RunForked(
            at=9,
            run=RUN,
            sequence=1,
            step="a",
            workflow="w",
            version=run.graph.version,
            principal="",
        ),
        StepScheduled(at=9, step="a", node="a", input=plain({"n": 1})),
    ]


# --- steps --------------------------------------------------------------------------------


def test_a_step_that_fails_fails_the_run() -> None:
    run = begun("{id: a, tool: look, with: {n: 1}}")
    assert run.tool("a", failure=NO, at=7) == [
        ToolCall(
            at=7,
            step="a",
            attempt=1,
            call="",
            tool="look",
            key="a",
            arguments=plain({"n": 1}),
            result=NOTHING,
            failure=NO,
        ),
        StepFailed(at=7, step="a", attempt=1, failure=NO),
        RunFailed(at=7, step="a", failure=NO),
    ]
    assert (run.state.failure, run.state.failed_step, run.state.ended_at) == (NO, "a", 7)


def test_a_step_that_is_tried_again_when_it_was_asked_to() -> None:
    run = begun("{id: a, tool: look, retry: {max: 1}}")
    events = run.tool("a", failure=LATER, at=7)
    again = StepRetryScheduled(at=7, step="a", attempt=2, retry_at=2_500_007, failure=LATER)
    assert events[1:] == [again]
    assert run.state.steps["a"].attempt == 2


def test_nobody_is_asked_to_wait_longer_than_the_ceiling() -> None:
    retry = "retry: {max: 1, initial: 100ms, ceiling: 1s}"
    for asked, wait in (("9", 1_000_000), ("soon", 50_000), ("inf", 50_000), ("nan", 50_000)):
        run = begun(f"{{id: a, tool: look, {retry}}}")
        failure = replace(LATER, detail={"retry_after": asked})
        [_, again] = run.tool("a", failure=failure, at=7)
        assert isinstance(again, StepRetryScheduled)
        assert again.retry_at == 7 + wait


def test_a_node_that_takes_over() -> None:
    run = begun("{id: a, tool: look, on_error: b}, {id: b, transform: =a.error}")
    assert run.tool("a", failure=NO, at=7)[1:] == [
        StepFailed(at=7, step="a", attempt=1, failure=NO, handled="b"),
        StepScheduled(at=7, step="b", node="b"),
        StepCompleted(
            at=7, step="b", attempt=1, output=plain({"reason": "TOOL_ERROR", "message": "no"})
        ),
        RunCompleted(at=7, output=plain({"b": {"reason": "TOOL_ERROR", "message": "no"}})),
    ]


def test_nodes_that_are_skipped() -> None:
    run = story(
        "{id: a, switch: [{if: =input.x, then: b}, {else: c}]}, {id: b, transform: 1},"
        "{id: c, transform: 1, if: =false}, {id: d, transform: 1, needs: [b, c]},"
        "{id: e, tool: look, on_error: f}, {id: f, transform: 1}"
    )
    started = run.start({"x": False})
    assert [it for it in started if isinstance(it, StepSkipped)] == [
        StepSkipped(at=0, step="b", node="b", reason="switch"),
        StepSkipped(at=0, step="c", node="c", reason="condition"),
        StepSkipped(at=0, step="d", node="d", reason="needs"),
    ]
    ended = run.tool("e", 1, at=3)
    assert StepSkipped(at=3, step="f", node="f", reason="on_error") in ended


def test_an_expression_without_a_value() -> None:
    run = begun("{id: a, tool: look}, {id: b, transform: =a.output.x}")
    failed = run.tool("a", {}, at=7)[2:]
    why = Failure("EXPRESSION_ERROR", run.failure.message)
    assert run.failure.message.startswith("node b: ")
    assert failed == [
        StepFailed(at=7, step="b", attempt=1, failure=why),
        RunFailed(at=7, step="b", failure=why),
    ]


def test_an_output_without_a_value() -> None:
    run = begun("{id: a, tool: look}", output="=a.output.x")
    [failed] = run.tool("a", {}, at=7)[2:]
    assert run.failure.message.startswith("the output of the workflow: ")
    assert failed == RunFailed(at=7, failure=Failure("EXPRESSION_ERROR", run.failure.message))


def test_a_step_that_is_tried_again_by_somebody() -> None:
    run = begun("{id: a, tool: look}")
    run.tool("a", failure=NO)
    assert run.give(RetryStep(at=9, step="a", reason="now it works")) == [
        RunResumed(at=9, reason="now it works"),
        StepRetryScheduled(at=9, step="a", attempt=2, retry_at=9, failure=NO),
    ]
    state = run.state
    assert (state.failure, state.failed_step, state.ended_at) == (None, "", None)


def test_what_is_undone() -> None:
    run = begun(
        "{id: a, tool: pay, compensate: {tool: refund, with: {id: =output.id}}},"
        "{id: b, tool: look, needs: [a]}"
    )
    run.tool("a", {"id": 5})
    assert run.tool("b", failure=NO, at=7)[1:] == [
        StepFailed(at=7, step="b", attempt=1, failure=NO),
        RunCompensating(at=7, failure=NO, step="b"),
        StepScheduled(at=7, step="a.undo", node="a", input=plain({"id": 5})),
    ]
    assert run.tool("a.undo", 1, at=8)[1:] == [
        StepCompleted(at=8, step="a.undo", attempt=1, output=plain(1)),
        RunFailed(at=8, step="b", failure=NO),
    ]


def test_what_could_not_be_undone() -> None:
    undo = "compensate: {tool: refund, with: {id: =output.id}, retry: {max: 0}}"
    run = begun(
        f"{{id: a, tool: pay, {undo}}}, {{id: b, tool: pay, needs: [a], {undo}}},"
        f"{{id: c, tool: pay, needs: [b], {undo}}}, {{id: d, tool: look, needs: [c]}}"
    )
    run.tool("a", {})
    run.tool("b", {"id": 2})
    run.give(ToolAnswered(**place(run, "c", at=3), result=Data(value={}, sealed=SEAL)))
    events = run.tool("d", failure=NO, at=7)[2:]
    withheld = f"what was said may quote data of {SEAL}, so it is sealed"
    assert events == [
        RunCompensating(at=7, failure=NO, step="d"),
        StepFailed(
            at=7,
            step="c.undo",
            attempt=1,
            failure=Failure("EXPRESSION_ERROR", withheld),
            handled="continue",
        ),
        StepScheduled(at=7, step="b.undo", node="b", input=plain({"id": 2})),
    ]
    events = run.tool("b.undo", failure=NO, at=8)[1:]
    assert events[0] == StepFailed(at=8, step="b.undo", attempt=1, failure=NO, handled="continue")
    assert isinstance(events[1], StepFailed)
    assert events[1].failure.message.startswith("undoing a: ")
    told = replace(NO, detail={"not_undone": "c, b, a"})
    assert events[2:] == [RunFailed(at=8, step="d", failure=told)]


def test_nothing_could_be_undone() -> None:
    run = begun(
        "{id: a, tool: pay, compensate: {tool: refund, with: {id: =output.id}}},"
        "{id: b, tool: look, needs: [a]}"
    )
    run.tool("a", {})
    [*_, ended] = run.tool("b", failure=NO, at=7)
    told = replace(NO, detail={"not_undone": "a"})
    assert ended == RunFailed(at=7, step="b", failure=told)


# --- calls --------------------------------------------------------------------------------


def test_a_tool_call() -> None:
    run = begun("{id: a, tool: pay, with: {n: 1}}")
    assert run.give(ToolBegun(**place(run, "a"))) == [
        ToolCallStarted(
            at=7, step="a", attempt=1, call="", tool="pay", key="a", arguments=plain({"n": 1})
        )
    ]
    answered = ToolAnswered(
        **place(run, "a", at=8), result=plain(5), latency_us=3, decision="allow: rule"
    )
    assert run.give(answered)[:2] == [
        ToolCall(
            at=8,
            step="a",
            attempt=1,
            call="",
            tool="pay",
            key="a",
            arguments=plain({"n": 1}),
            result=plain(5),
            latency_us=3,
            decision="allow: rule",
        ),
        StepCompleted(at=8, step="a", attempt=1, output=plain(5)),
    ]


def test_a_call_that_policy_denies() -> None:
    run = begun("{id: a, tool: pay}")
    denied = CallDenied(**place(run, "a"), rules=("r1", "r2"), reason="too much")
    why = Failure("POLICY_DENIED", "too much", detail={"rules": "r1, r2"})
    assert run.give(denied) == [
        PolicyDecided(
            at=7,
            step="a",
            attempt=1,
            call="",
            action="call_tool",
            resource="pay",
            effect="deny",
            rules=("r1", "r2"),
            reason="too much",
        ),
        StepFailed(at=7, step="a", attempt=1, failure=why),
        RunFailed(at=7, step="a", failure=why),
    ]


def test_a_call_that_was_lost() -> None:
    run = begun("{id: a, tool: pay}")
    run.give(ToolBegun(**place(run, "a")))
    [asked] = run.give(CallLost(**place(run, "a", at=8)))
    text = (
        "the call of 'pay' was begun by a process that died, so nobody knows whether it took "
        "effect; it is not repeated because neither the tool nor the node says that it is "
        f"idempotent. Look up its key '{RUN}/a' where the tool leaves its traces"
    )
    message = plain({"text": text, "tool": "pay", "key": f"{RUN}/a"})
    assert asked == ApprovalRequested(
        at=8, step="a", attempt=1, about="outcome", call="", message=message
    )
    decided = Resolve(
        at=9, principal="user:ann", step="a", verdict="fail", reason="not there", value=plain(1)
    )
    unknown = Failure("OUTCOME_UNKNOWN", "not there", detail={"tool": "pay", "key": f"{RUN}/a"})
    assert run.give(decided) == [
        ApprovalDecided(
            at=9,
            step="a",
            attempt=1,
            decision="fail",
            reason="not there",
            value=plain(1),
            by="user:ann",
        ),
        ToolCall(
            at=9,
            step="a",
            attempt=1,
            call="",
            tool="pay",
            key="a",
            arguments=plain({}),
            result=NOTHING,
            failure=unknown,
        ),
        StepFailed(at=9, step="a", attempt=1, failure=unknown),
        RunFailed(at=9, step="a", failure=unknown),
    ]


def test_an_outcome_that_somebody_gives_up_without_a_reason() -> None:
    run = begun("{id: a, tool: pay}")
    run.give(ToolBegun(**place(run, "a")))
    run.give(CallLost(**place(run, "a")))
    run.resolve("a", "fail")
    assert run.failure.message == "user:ann ended the call of 'pay' as failed"


def test_calls_of_one_turn_that_were_under_way_when_their_time_was_over() -> None:
    run = Story(AGENT.replace("{ message: =input.q }", "{ message: =input.q }, timeout: 1500ms"))
    run.start({"q": "?"})
    run.model("ask", 1, tools=(wish("c1"), wish("c2"), wish("c3")))
    run.give(ToolBegun(**place(run, "ask", call="1.0")))
    run.give(ToolBegun(**place(run, "ask", call="1.2")))
    asked = run.give(Expire(at=1_500_000, step="ask", attempt=1))
    assert [(it.call, it.about) for it in asked if isinstance(it, ApprovalRequested)] == [
        ("1.0", "outcome"),
        ("1.2", "outcome"),
    ]
    assert isinstance(asked[0], ApprovalRequested)
    assert "was under way when its 1.5 s were over" in asked[0].message.value["text"]
    assert asked[0].message.value["key"] == f"{RUN}/ask/1.0"


# --- models -------------------------------------------------------------------------------

AGENT = """
workflow: asking
input: { type: object }
agents: { a: { model: small, tools: [look], limits: { turns: 3, repairs: 1 } } }
nodes: [{ id: ask, agent: a, with: { message: =input.q } }]
output: =ask.output
"""
USAGE = Usage(input=5, output=2)
SAID = plain([{"role": "user", "text": "?"}])


def answered(call: int, answer: Answer | None = None, **more: Any) -> ModelAnswered:
    return ModelAnswered(
        at=7,
        step="ask",
        attempt=1,
        call=call,
        model="fake:1",
        messages=SAID,
        answer=answer,
        usage=USAGE,
        latency_us=4,
        **more,
    )


def test_a_model_call_that_asks_for_tools() -> None:
    run = Story(AGENT)
    run.start({"q": "?"})
    answer = Answer(
        text=Data(value="...", sealed=SEAL),
        tools=(ToolRequest("c1", "look", {"n": 1}),),
        opaque=(Opaque("fake", {"s": 1}),),
        finish="tools",
    )
    assert run.give(answered(1, answer)) == [
        LlmCall(
            at=7,
            step="ask",
            attempt=1,
            call=1,
            model="fake:1",
            messages=SAID,
            text=Data(value="...", sealed=SEAL),
            tools=Data(value=[{"id": "c1", "name": "look", "arguments": {"n": 1}}], sealed=SEAL),
            opaque=Data(value=[{"provider": "fake", "data": {"s": 1}}], sealed=SEAL),
            finish="tools",
            usage=USAGE,
            latency_us=4,
        )
    ]
    assert run.calls[0].arguments == Data(value={"n": 1}, sealed=SEAL)


def test_a_model_call_that_ends_the_step() -> None:
    run = Story(AGENT)
    run.start({"q": "?"})
    answer = Answer(text=Data(value="7", sealed=SEAL), final=plain(7), finish="stop")
    assert run.give(answered(1, answer))[:2] == [
        LlmCall(
            at=7,
            step="ask",
            attempt=1,
            call=1,
            model="fake:1",
            messages=SAID,
            text=Data(value="7", sealed=SEAL),
            finish="stop",
            usage=USAGE,
            latency_us=4,
        ),
        StepCompleted(at=7, step="ask", attempt=1, output=plain(7)),
    ]


def test_a_model_call_that_has_to_be_repaired_and_then_cannot() -> None:
    run = Story(AGENT)
    run.start({"q": "?"})
    bad = Answer(text=plain("?!"), problem="it is no JSON")
    first = LlmCall(
        at=7,
        step="ask",
        attempt=1,
        call=1,
        model="fake:1",
        messages=SAID,
        text=plain("?!"),
        problem=REPAIR.format(problem="it is no JSON"),
        usage=USAGE,
        latency_us=4,
    )
    assert run.give(answered(1, bad)) == [first]
    why = Failure(
        "MODEL_OUTPUT_INVALID",
        "after 1 repairs the model's answer still cannot be used: it is no JSON",
    )
    assert run.give(answered(2, bad)) == [
        replace(first, call=2, problem=""),
        StepFailed(at=7, step="ask", attempt=1, failure=why),
        RunFailed(at=7, step="ask", failure=why),
    ]


def test_a_model_call_that_fails() -> None:
    run = Story(AGENT)
    run.start({"q": "?"})
    why = Failure("MODEL_REFUSED", "no")
    call = LlmCall(
        at=7,
        step="ask",
        attempt=1,
        call=1,
        model="fake:1",
        messages=SAID,
        usage=USAGE,
        latency_us=4,
        failure=why,
    )
    assert run.give(answered(1, failure=why)) == [
        call,
        StepFailed(at=7, step="ask", attempt=1, failure=why),
        RunFailed(at=7, step="ask", failure=why),
    ]


def test_a_model_call_that_fails_over_sealed_data() -> None:
    run = Story(AGENT)
    run.start({"q": "?"})
    run.model("ask", 1, tools=(wish("c1"),))
    run.tool("ask", "a row", call="1.0", sealed=SEAL)
    [call, failed, _] = run.give(answered(2, failure=Failure("MODEL_REFUSED", "a row!")))
    withheld = Failure("MODEL_REFUSED", f"what was said may quote data of {SEAL}, so it is sealed")
    assert isinstance(call, LlmCall)
    assert (call.text, call.failure) == (Data(value="a row!", sealed=SEAL), withheld)
    assert isinstance(failed, StepFailed)
    assert failed.failure == withheld


def test_a_model_refuses_in_words_that_quote_the_data_of_a_subject() -> None:
    run = Story(AGENT)
    run.state.subject_label = "subject"
    given = plain({"q": "?"})
    run.give(Start(at=0, principal="user:ann", input=given, labels={"subject": "bo"}))
    [call, failed, _] = run.give(answered(1, failure=Failure("MODEL_REFUSED", "of Bo? no")))
    about = "what was said may quote data of the subject bo, so it is sealed"
    withheld = Failure("MODEL_REFUSED", about)
    assert isinstance(call, LlmCall)
    assert (call.text, call.failure) == (plain("of Bo? no"), withheld)
    assert isinstance(failed, StepFailed)
    assert failed.failure == withheld


# --- waiting ------------------------------------------------------------------------------


def test_a_timer() -> None:
    run = begun("{id: a, wait: 1s}")
    until = plain({"until": "1970-01-01T00:00:01Z"})
    assert run.log[-1] == StepScheduled(at=0, step="a", node="a", input=until)
    assert run.give(Fired(at=1_000_000, step="a", attempt=1))[:2] == [
        TimerFired(at=1_000_000, step="a", attempt=1),
        StepCompleted(at=1_000_000, step="a", attempt=1, output=until),
    ]


def test_a_message_that_comes_late_and_one_that_came_early() -> None:
    run = begun("{id: a, signal: x}, {id: b, tool: look}, {id: c, signal: y, needs: [b]}")
    payload = Data(value=1, sealed=SEAL)
    assert run.give(Signal(at=1, name="x", payload=payload, id="m")) == [
        SignalReceived(at=1, name="x", payload=payload, id="m"),
        StepCompleted(at=1, step="a", attempt=1, output=payload),
    ]
    assert run.give(Signal(at=2, name="y", payload=payload)) == [
        SignalReceived(at=2, name="y", payload=payload)
    ]
    assert run.tool("b", 1, at=3)[2:4] == [
        StepScheduled(at=3, step="c", node="c"),
        StepCompleted(at=3, step="c", attempt=1, output=payload),
    ]


def test_an_approval() -> None:
    run = begun("{id: a, approval: '=input.q', timeout: 1h}", {"q": "really?"})
    assert run.log[-2:] == [
        StepScheduled(at=0, step="a", node="a", input=plain("really?")),
        ApprovalRequested(at=0, step="a", attempt=1, message=plain("really?")),
    ]
    value = Data(value=5, sealed=SEAL)
    given = Resolve(
        at=3, principal="user:bob", step="a", verdict="approve", reason="yes", value=value
    )
    output = {"approved": True, "by": "user:bob", "reason": "yes", "value": 5}
    assert run.give(given)[:2] == [
        ApprovalDecided(
            at=3, step="a", attempt=1, decision="approve", reason="yes", value=value, by="user:bob"
        ),
        StepCompleted(at=3, step="a", attempt=1, output=Data(value=output, sealed=SEAL)),
    ]


def test_a_denial_without_a_reason() -> None:
    run = begun("{id: a, approval: really}")
    run.resolve("a", "deny")
    assert run.failure == Failure("APPROVAL_DENIED", "user:ann said no")


def test_an_approval_that_expires() -> None:
    run = begun("{id: a, approval: really, timeout: 90s}")
    why = Failure("APPROVAL_EXPIRED", "nobody answered within 90 s")
    assert run.give(Expire(at=90_000_000, step="a", attempt=1)) == [
        ApprovalExpired(at=90_000_000, step="a", attempt=1),
        StepFailed(at=90_000_000, step="a", attempt=1, failure=why),
        RunFailed(at=90_000_000, step="a", failure=why),
    ]


def test_a_child() -> None:
    run = begun("{id: a, workflow: other, with: {n: 1}, retry: {max: 1, initial: 2s}}")
    child = child_run(RUN, "a", 1)
    assert run.give(ChildStarted(at=1, step="a", attempt=1, child=child)) == [
        StepStarted(at=1, step="a", attempt=1, child=child)
    ]
    assert run.state.steps["a"].child == child
    gone = Failure("CHILD_FAILED", "it failed", retryable=True)
    assert run.give(ChildEnded(at=5, step="a", attempt=1, failure=gone, jitter=0.5)) == [
        StepRetryScheduled(at=5, step="a", attempt=2, retry_at=1_500_005, failure=gone)
    ]
    assert run.give(ChildEnded(at=9, step="a", attempt=2))[:1] == [
        StepCompleted(at=9, step="a", attempt=2, output=NOTHING)
    ]


def test_a_step_that_has_its_place() -> None:
    run = begun("{id: a, tool: look, queue: db, retry: {max: 1}}")
    assert run.give(Admitted(at=4, step="a")) == [StepStarted(at=4, step="a", attempt=1)]


# --- maps and loops -----------------------------------------------------------------------


def test_a_map() -> None:
    run = story("{id: m, map: =input.l, concurrency: 1, do: {tool: look, with: {n: =item}}}")
    assert run.start({"l": [5, 6]})[1:] == [
        StepScheduled(at=0, step="m", node="m", input=plain([5, 6])),
        StepScheduled(at=0, step="m[0]", node="m", input=plain({"n": 5})),
    ]
    assert run.tool("m[0]", "a", at=1)[1:] == [
        StepCompleted(at=1, step="m[0]", attempt=1, output=plain("a")),
        StepScheduled(at=1, step="m[1]", node="m", input=plain({"n": 6})),
    ]
    assert run.tool("m[1]", "b", at=2)[1:] == [
        StepCompleted(at=2, step="m[1]", attempt=1, output=plain("b")),
        StepCompleted(at=2, step="m", attempt=1, output=plain(["a", "b"])),
        RunCompleted(at=2, output=plain({"m": ["a", "b"]})),
    ]


def test_a_map_that_fails_over_one_of_its_steps() -> None:
    run = begun("{id: m, map: '=[1]', do: {tool: look}}")
    said = Failure("TOOL_ERROR", "m[0]: busy", detail=LATER.detail)
    assert run.tool("m[0]", failure=LATER, at=7)[1:] == [
        StepFailed(at=7, step="m[0]", attempt=1, failure=LATER),
        StepFailed(at=7, step="m", attempt=1, failure=said),
        RunFailed(at=7, step="m", failure=said),
    ]


def test_a_loop() -> None:
    run = begun("{id: l, loop: {while: =index < 2, max: 5}, do: {tool: look, with: {n: =last}}}")
    assert run.log[1:] == [
        StepScheduled(at=0, step="l", node="l"),
        StepScheduled(at=0, step="l[0]", node="l", input=plain({"n": None})),
    ]
    run.tool("l[0]", 1, at=1)
    assert run.log[-1] == StepScheduled(at=1, step="l[1]", node="l", input=plain({"n": 1}))
    assert run.tool("l[1]", 2, at=2)[1:] == [
        StepCompleted(at=2, step="l[1]", attempt=1, output=plain(2)),
        StepCompleted(at=2, step="l", attempt=1, output=plain(2)),
        RunCompleted(at=2, output=plain({"l": 2})),
    ]
