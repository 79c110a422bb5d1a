"""What a run waits for, as a person at a terminal is told."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from stepwell.client import Event, Run, RunStatus, Step, StepStatus, Waiting, WaitingOn
from stepwell.engine.events import ApprovalRequested, BudgetExhausted
from stepwell.engine.values import BlobRef, Data
from stepwell_server.cli.output import Output
from stepwell_server.cli.times import day_and_time
from stepwell_server.cli.waiting import MOST, Asked, waiting_lines, waits_of

AT = datetime(2026, 1, 1, tzinfo=UTC)


def run(status: RunStatus = RunStatus.WAITING) -> Run:
    return Run(
        id="r-1",
        workflow="w",
        version="v",
        principal="user:local",
        status=status,
        created_at=AT,
        updated_at=AT,
    )


def step(*waiting: Waiting) -> Step:
    return Step(id="s", node="s", status=StepStatus.WAITING, attempt=1, waiting_for=waiting)


def asked(**given: Any) -> Waiting:
    return Waiting(**{"step": "ok", "on": WaitingOn.HUMAN, "about": "approval", **given})


def test_an_approval_is_answered_by_one_of_two_commands() -> None:
    assert waiting_lines("r-1", asked(message="Go on?"), " --home /srv") == (
        "ok asks a person: Go on?",
        "stepwell resolve r-1 ok approve --home /srv",
        "stepwell resolve r-1 ok deny --home /srv",
    )


def test_what_became_of_a_call_is_answered_by_naming_it() -> None:
    about = {"text": "nobody knows", "tool": "pay", "key": "k"}
    one = asked(step="each[0]", about="outcome", call="1.0", message=about)
    assert waiting_lines("r-1", one, "") == (
        "each[0] asks a person: nobody knows",
        "stepwell resolve r-1 'each[0]' done --value JSON --call 1.0",
        "stepwell resolve r-1 'each[0]' retry --call 1.0",
        "stepwell resolve r-1 'each[0]' fail --call 1.0",
    )


def test_what_a_tool_asks_is_answered_or_not() -> None:
    about = {"message": "How much?", "schema": {"properties": {"cents": {"type": "integer"}}}}
    one = asked(on=WaitingOn.INPUT, about="form", tool="refund", question="q7", message=about)
    assert waiting_lines("r-1", one, " --home /srv") == (
        "ok: the tool refund asks: How much?",
        """stepwell answer r-1 q7 --accept '{"cents": 0}' --home /srv""",
        "stepwell answer r-1 q7 --decline --home /srv",
    )
    page = {"message": "Pay", "url": "https://pay.example/"}
    one = asked(on=WaitingOn.INPUT, about="url", tool="refund", question="q7", message=page)
    assert waiting_lines("r-1", one, "")[:2] == (
        "ok: the tool refund asks: Pay https://pay.example/",
        "stepwell answer r-1 q7 --accept null",
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ({"type": "string"}, '"..."'),
        ({"type": "string", "default": "Ada"}, '"Ada"'),
        ({"type": "string", "enum": ["kind", "firm"]}, '"kind"'),
        ({"type": "string", "oneOf": [{"const": "a", "title": "A"}]}, '"a"'),
        ({"type": "boolean"}, "true"),
        ({"type": "array", "items": {"enum": ["a"]}}, "[]"),
        ("no schema", '"..."'),
    ],
)
def test_the_command_that_answers_a_form_names_its_fields(field: object, value: str) -> None:
    about = {"message": "Which?", "schema": {"properties": {"it": field}}}
    one = asked(on=WaitingOn.INPUT, about="form", tool="t", question="q7", message=about)
    assert (
        waiting_lines("r-1", one, "")[1] == f"stepwell answer r-1 q7 --accept '{{\"it\": {value}}}'"
    )


def test_what_only_a_client_answers_has_no_command() -> None:
    one = asked(on=WaitingOn.INPUT, about="sampling", tool="think", question="q7", message={})
    assert waiting_lines("r-1", one, "") == (
        "ok: the tool think asks the MCP client for its sampling",
    )


def test_a_question_that_is_sealed_is_named_by_its_size() -> None:
    one = asked(message_ref=BlobRef("sha256:1", 40_000, "datasource:shop"))
    assert waiting_lines("r-1", one, "")[0] == ("ok asks a person: <40000 bytes, datasource:shop>")


def test_times_and_messages_are_told_too() -> None:
    message = Waiting(step="go", on=WaitingOn.SIGNAL, about="paid")
    time = Waiting(step="nap", on=WaitingOn.TIMER, until=AT)
    sealed = Waiting(step="nap", on=WaitingOn.TIMER)
    place = Waiting(step="each[0]", on=WaitingOn.QUEUE, about="db")
    newer = Waiting(step="x", on=WaitingOn.UNSPECIFIED)

    assert waiting_lines("r-1", message, "") == (
        "go waits for the message paid",
        'stepwell signal r-1 paid \'{"any": "JSON"}\'',
    )
    assert waiting_lines("r-1", time, "") == (f"nap waits until {day_and_time(AT)}",)
    assert waiting_lines("r-1", sealed, "") == ("nap waits for a time that is sealed",)
    assert waiting_lines("r-1", place, " --home /srv") == (
        "each[0] waits for a place in the queue db",
        "stepwell queues show db --home /srv",
    )
    assert waiting_lines("r-1", newer, "") == (
        "x waits for something that this version does not know",
    )


def test_a_run_that_waits_for_its_own_place_has_no_step_to_say_so() -> None:
    place = Waiting(step="", on=WaitingOn.QUEUE, about="db")
    assert list(waits_of(replace(run(), waiting_for=(place,)), (), "")) == [
        ("waits", "the run waits for a place in the queue db"),
        ("", "stepwell queues show db"),
    ]


def test_a_paused_run_says_how_it_goes_on() -> None:
    assert list(waits_of(run(RunStatus.PAUSED), (), "")) == [
        ("paused", "it goes on with: stepwell resume r-1")
    ]


def test_of_very_many_things_only_some_are_named() -> None:
    waits = [Waiting(step=f"n{n}", on=WaitingOn.TIMER) for n in range(MOST + 5)]
    told = list(waits_of(run(), [step(*waits)], ""))
    assert (len(told), told[-1]) == (MOST + 1, ("", "and for 5 more"))


def test_a_question_is_told_when_it_is_newer_than_who_waits(
    capsys: pytest.CaptureFixture[str],
) -> None:
    watcher = Asked(Output(), "", since=5)
    for at in (4, 5):
        fact = ApprovalRequested(at=at, step="ok", attempt=1, message=Data(f"at {at}"))
        watcher.see(Event(run="r-1", sequence=1, kind="", principal="p", at=AT, fact=fact))
    told = capsys.readouterr().err.splitlines()

    assert (told[0], len(told)) == ("ok asks a person: at 5", 3)


def test_whoever_waits_is_told_that_a_budget_is_spent(capsys: pytest.CaptureFixture[str]) -> None:
    fact = BudgetExhausted(
        at=7, step="s", resource="note", scope="run:r-1", unit="calls", limit=2, taken=2, wanted=1
    )
    event = Event(
        run="r-1", sequence=4, kind="budget_exhausted", principal="user:local", at=AT, fact=fact
    )
    Asked(Output(), " --home /srv", since=0).see(event)
    assert capsys.readouterr().err.splitlines() == [
        "budget: note may need 1 call, and of the 2 calls of run:r-1 2 calls are taken",
        "it goes on with: stepwell budget raise r-1 --calls N --home /srv",
    ]


def test_a_held_call_is_answered_by_its_approval() -> None:
    one = asked(step="pay", about="call", approval="a1", tool="pay", rules=("big",), reason="a lot")
    assert waiting_lines("r-1", one, " --home /srv") == (
        "pay: the call of pay is held by big: a lot",
        "stepwell approvals approve a1 --home /srv",
        "stepwell approvals deny a1 --home /srv",
    )
    assert waiting_lines("r-1", asked(about="call", tool="pay"), "")[0] == (
        "ok: the call of pay is held"
    )


def test_a_held_call_is_told_as_it_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    fact = ApprovalRequested(at=7, step="pay", about="call", tool="pay", subject="ab" * 32)
    event = Event(
        run="r-1", sequence=4, kind="approval_requested", principal="agent:local", at=AT, fact=fact
    )
    Asked(Output(), "", since=0).see(event)
    assert f"stepwell approvals approve {'ab' * 10}" in capsys.readouterr().err
