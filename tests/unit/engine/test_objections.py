"""What stands against a wish, each time as a whole: the code, and the sentence for the caller."""

from typing import Any

import pytest
from tests.unit.engine.story import RUN, Story, plain

from stepwell.engine.graph import UNDO
from stepwell.engine.inputs import Cancel, Fork, Input, Pause, Resume, RetryStep, Signal
from stepwell.engine.objections import Objection, objection
from stepwell.engine.values import Failure
from stepwell.errors import Code

NO = Failure("TOOL_ERROR", "no")
ODD = Failure("EXPRESSION_ERROR", "no such key: x")


def begun(nodes: str, **top: str) -> Story:
    rest = "".join(f"\n{key}: {value}" for key, value in top.items())
    run = Story(f"workflow: w\nnodes: [{nodes}]{rest}")
    run.start()
    return run


def failed(nodes: str = "{ id: a, tool: t }", failure: Failure = NO, **top: str) -> Story:
    run = begun(nodes, **top)
    run.tool("a", failure=failure)
    return run


def paused() -> Story:
    run = begun("{ id: a, tool: t }")
    run.give(Pause(at=0))
    return run


def retry(step: str) -> RetryStep:
    return RetryStep(at=0, step=step)


def fork(step: str, *, edited: bool = True) -> Fork:
    return Fork(at=0, run=RUN, sequence=1, step=step, edited=edited)


def undone() -> Story:
    run = begun("{ id: a, tool: t, compensate: { tool: u } }, { id: b, tool: t, needs: [a] }")
    run.tool("a")
    run.tool("b", failure=NO)
    run.tool(f"a{UNDO}")
    return run


def bounded() -> Story:
    run = failed()
    run.state.max_events = run.state.sequence + 1
    return run


AGREES: dict[str, tuple[Story, Input]] = {
    "pause": (begun("{ id: a, tool: t }"), Pause(at=0)),
    "resume": (paused(), Resume(at=0)),
    "cancel": (begun("{ id: a, tool: t }"), Cancel(at=0)),
    "signal": (begun("{ id: a, signal: go }"), Signal(at=0, name="go")),
    "retry": (failed(), retry("a")),
    "fork": (begun("{ id: a, tool: t }"), fork("a")),
    "fork as it was": (begun("{ id: a, wait: 5s }"), fork("a", edited=False)),
}

STANDS: dict[str, tuple[Story, Input, Code, str]] = {
    "ended": (
        failed(),
        Pause(at=0),
        Code.RUN_ENDED,
        f"the run {RUN} has ended (failed)",
    ),
    "paused": (
        paused(),
        Pause(at=0),
        Code.NOT_APPLICABLE,
        f"the run {RUN} is paused already",
    ),
    "not paused": (
        begun("{ id: a, tool: t }"),
        Resume(at=0),
        Code.NOT_APPLICABLE,
        f"the run {RUN} is not paused",
    ),
    "retry of what goes on": (
        begun("{ id: a, tool: t }"),
        retry("a"),
        Code.NOT_APPLICABLE,
        f"a step is tried again when its run has failed, and the run {RUN} is running",
    ),
    "retry of no step": (
        failed(),
        retry("b"),
        Code.STEP_NOT_FOUND,
        f"the run {RUN} has no step 'b'; it has a",
    ),
    "retry without events left": (
        bounded(),
        retry("a"),
        Code.LIMIT_EXCEEDED,
        f"the run has the {bounded().state.max_events} events that one run may have",
    ),
    "retry of another": (
        failed("{ id: a, tool: t }, { id: b, tool: t }"),
        retry("b"),
        Code.NOT_APPLICABLE,
        "the run failed over the step 'a', not over 'b'",
    ),
    "retry of an expression": (
        failed(failure=ODD),
        retry("a"),
        Code.NOT_APPLICABLE,
        (
            "the step 'a' has an expression without a value, which it will not have next time "
            "either; fork the run from an earlier step, with another input"
        ),
    ),
    "retry of what was undone": (
        undone(),
        retry("b"),
        Code.NOT_APPLICABLE,
        (
            "what the run had done was undone when it failed; fork it from the first step that was "
            "undone, or start a new run"
        ),
    ),
    "edited wait": (
        begun("{ id: a, wait: 5s }"),
        fork("a"),
        Code.NOT_APPLICABLE,
        "the step 'a' takes no input that could be another; fork from one that does",
    ),
}


@pytest.mark.parametrize("case", AGREES)
def test_nothing_stands_against_what_can_be(case: str) -> None:
    run, given = AGREES[case]
    assert objection(run.state, given) is None


@pytest.mark.parametrize("case", STANDS)
def test_it_is_said_what_stands_against_it(case: str) -> None:
    run, given, code, message = STANDS[case]
    assert objection(run.state, given) == Objection(code, message)


def answered(run: Story, step: str, verdict: str, **given: Any) -> Objection | None:
    return objection(run.state, run.answer(step, verdict, **given))


def test_an_answer_to_what_does_not_ask_is_told_who_does() -> None:
    run = begun("{ id: a, tool: t }, { id: b, approval: sure? }, { id: c, approval: sure? }")
    assert answered(run, "a", "approve") == Objection(
        Code.NOT_APPLICABLE, "the step 'a' does not ask anything; steps of the run that do: b, c"
    )
    assert answered(run, "x", "approve") == Objection(
        Code.STEP_NOT_FOUND, f"the run {RUN} has no step 'x'; it has a, b, c"
    )
    assert answered(run, "b", "done") == Objection(
        Code.INVALID_REQUEST, "'done' is no answer here: the step 'b' asks for approve or deny"
    )
    assert answered(run, "b", "approve", call="z") == Objection(
        Code.NOT_APPLICABLE, "the step 'b' does not ask about the call 'z', but about "
    )
    quiet = begun("{ id: a, tool: t }")
    assert answered(quiet, "a", "approve") == Objection(
        Code.NOT_APPLICABLE, "the step 'a' does not ask anything; steps of the run that do: none"
    )


def test_a_run_is_full_of_messages_when_no_step_has_taken_ten_thousand() -> None:
    run = begun("{ id: a, tool: t }, { id: b, signal: go, needs: [a] }")
    for number in range(10_000):
        assert objection(run.state, Signal(at=0, name="go", payload=plain(number))) is None
        run.signal("go", number)
    assert objection(run.state, Signal(at=0, name="go")) == Objection(
        Code.LIMIT_EXCEEDED,
        f"the run {RUN} keeps 10000 messages that no step has taken, and takes no more; let its "
        "steps take some first",
    )


def test_a_run_that_failed_over_no_step_is_not_tried_again() -> None:
    run = begun("{ id: a, tool: t }", output="{ x: '=a.output.nothing' }")
    run.tool("a", {})
    assert objection(run.state, retry("a")) == Objection(
        Code.NOT_APPLICABLE,
        "the run did not fail over a step; start a new run, or fork it",
    )


def test_a_wish_that_nobody_objects_to_needs_no_sentence() -> None:
    run = begun("{ id: a, approval: sure? }")
    assert answered(run, "a", "approve") is None
    assert answered(run, "a", "deny", call="") is None
