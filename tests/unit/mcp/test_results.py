"""How a run is told to a model."""

from typing import Any

import msgspec
import pytest
from jsonschema_rs import Draft202012Validator
from mcp_types import CallToolResult, ResourceLink, TextContent

from stepwell.engine.values import BlobRef, Data, Failure, Json
from stepwell.errors import Code, InvalidRequest
from stepwell.orchestrator.views import Run, RunStatus, Waiting
from stepwell_mcp.results import (
    ERROR_META,
    HANDLE_SCHEMA,
    RUN_META,
    TEXT_LIMIT,
    TRUNCATED_META,
    Structured,
    advice,
    handle_of,
    json_result,
    refusal_result,
    run_result,
)


def run(status: RunStatus = RunStatus.COMPLETED, **more: Any) -> Run:
    return Run(
        id="r1",
        workflow="ask",
        version="sha256:1",
        principal="agent:local",
        status=status,
        created_at=0,
        updated_at=0,
        **more,
    )


def text_of(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


def test_an_output_is_structured_content_with_its_text_twin() -> None:
    result = run_result(run(output=Data(value={"total": 3, "none": None})), Structured.OBJECTS)
    assert result.structured_content == {"total": 3, "none": None}
    assert text_of(result) == '{"total":3,"none":null}'
    assert result.meta == {RUN_META: "r1"}
    assert not result.is_error


@pytest.mark.parametrize(
    ("protocol", "value", "structured"),
    [
        ("2026-07-28", [1, 2], [1, 2]),
        ("2025-11-25", [1, 2], None),
        ("2025-06-18", {"a": 1}, {"a": 1}),
        ("2025-03-26", {"a": 1}, None),
        ("2024-11-05", {"a": 1}, None),
    ],
)
def test_structured_content_is_what_the_version_of_the_protocol_knows(
    protocol: str, value: Json, structured: Json
) -> None:
    result = run_result(run(output=Data(value=value)), Structured.of_version(protocol))
    assert result.structured_content == structured
    assert text_of(result) == msgspec.json.encode(value).decode()


def test_a_long_text_is_cut_where_structured_content_has_it_all() -> None:
    value = {"rows": ["x" * 100] * 1000}
    result = run_result(run(output=Data(value=value)), Structured.OBJECTS)
    text, link = result.content
    assert result.structured_content == value
    assert isinstance(text, TextContent)
    assert len(text.text) < 3000
    assert text.text.startswith(
        "[truncated: this result has 103010 characters. All of it is in str"
    )
    assert '\n{"rows":["xxx' in text.text
    assert link == ResourceLink(
        uri="stepwell://runs/r1/result",
        name="result",
        title="The whole result",
        mime_type="application/json",
        size=103010,
    )
    assert result.meta == {RUN_META: "r1", TRUNCATED_META: {"size": 103010, "limit": TEXT_LIMIT}}


@pytest.mark.parametrize("structured", [Structured.NOTHING, Structured.OBJECTS])
def test_a_long_text_that_is_the_only_copy_says_which_resource_has_the_rest(
    structured: Structured,
) -> None:
    result = run_result(run(output=Data(value="x" * 50_000)), structured)
    text = result.content[0]
    assert isinstance(text, TextContent)
    assert "All of it is the resource stepwell://runs/r1/result" in text.text
    assert text.text.endswith("]\n" + "x" * TEXT_LIMIT)
    assert len(result.content) == (1 if structured is Structured.NOTHING else 2)


def test_a_long_text_of_which_no_resource_has_the_rest_is_whole() -> None:
    text = "x" * 50_000
    assert text_of(json_result(text, Structured.OBJECTS)) == text


def test_a_text_that_is_short_enough_is_whole() -> None:
    result = run_result(run(output=Data(value="x" * TEXT_LIMIT)), Structured.ANYTHING)
    assert text_of(result) == "x" * TEXT_LIMIT


def test_blocks_are_given_out_as_they_came_in() -> None:
    image = {"type": "image", "data": "AA==", "mimeType": "image/png"}
    link = {"type": "resource_link", "uri": "a:b", "name": "B"}
    value = {"content": [image, link], "structuredContent": {"n": 1}, "_meta": {"shop/x": 1}}
    result = run_result(run(output=Data(value=value)), Structured.OBJECTS)
    assert [block.type for block in result.content] == ["image", "resource_link"]
    assert result.structured_content == {"n": 1}
    assert result.meta == {"shop/x": 1, RUN_META: "r1"}


def test_an_old_client_is_told_of_a_link_in_words() -> None:
    link = {"type": "resource_link", "uri": "a:b", "name": "B"}
    result = run_result(run(output=Data(value={"content": [link]})), Structured.NOTHING)
    assert text_of(result) == "B: a:b"


@pytest.mark.parametrize(
    "value",
    [
        {"content": []},
        {"content": [{"type": "text", "text": "a"}], "more": 1},
        {"content": [{"type": "paragraph"}]},
        {"content": ["a"]},
        {"content": [{"type": "image"}]},
    ],
)
def test_data_that_only_looks_like_blocks_is_data(value: Json) -> None:
    assert run_result(run(output=Data(value=value)), Structured.OBJECTS).structured_content == value


def test_a_text_is_shown_as_it_is() -> None:
    assert text_of(run_result(run(output=Data(value='say "hi"')), Structured.OBJECTS)) == 'say "hi"'


def test_an_output_that_was_not_loaded_is_named() -> None:
    output = Data(blob=BlobRef("sha256:2", 70_000), sealed="datasource:shop")
    result = run_result(run(output=output), Structured.OBJECTS)
    assert result.structured_content == {
        "sealed": "datasource:shop",
        "blob": "sha256:2",
        "size": 70_000,
    }


def test_a_run_that_goes_on_answers_a_handle_that_says_how_to_follow_it() -> None:
    result = run_result(run(RunStatus.RUNNING), Structured.OBJECTS)
    assert result.structured_content == msgspec.to_builtins(handle_of(run(RunStatus.RUNNING)))
    assert Draft202012Validator(HANDLE_SCHEMA).is_valid(result.structured_content)
    assert "run_get" in text_of(result)
    assert not result.is_error


def test_a_failed_run_is_an_error_with_code_message_and_run() -> None:
    failure = Failure("TOOL_ERROR", "ValueError: no such row", detail={"row": "7"})
    result = run_result(run(RunStatus.FAILED, failure=failure), Structured.OBJECTS)
    assert result.is_error
    assert text_of(result) == (
        "TOOL_ERROR: ValueError: no such row\n- row: 7\nThis was run r1; run_events tells what it did."
    )
    assert result.meta is not None
    assert result.meta[ERROR_META]["reason"] == "TOOL_ERROR"


def test_a_cancelled_run_is_an_error() -> None:
    result = run_result(run(RunStatus.CANCELLED), Structured.OBJECTS)
    assert result.is_error
    assert text_of(result).startswith("RUN_CANCELLED: ")


def test_a_refusal_says_each_thing_once() -> None:
    problem = "`count` must be an integer"
    error = InvalidRequest(
        f"the arguments do not fit: {problem}",
        code=Code.INVALID_ARGUMENTS,
        detail={"arguments": problem},
    )
    assert (
        text_of(refusal_result(error)) == f"INVALID_ARGUMENTS: the arguments do not fit: {problem}"
    )


# --- what a run waits for -------------------------------------------------------------------

ASKED = Waiting(step="ok", on="human", about="approval")
MESSAGE = Waiting(step="go", on="signal", about="paid")
PLACE = Waiting(step="", on="queue", about="db")
MONEY = Waiting(
    step="go", on="budget", about="namespace/day", rules=("calls",), reason="2 of 2 are taken"
)
TIME = Waiting(step="nap", on="timer", until=1_700_000_000_000_000)


@pytest.mark.parametrize("status", [RunStatus.WAITING, RunStatus.PAUSED])
def test_a_run_that_waits_answers_a_handle_that_says_for_what(status: RunStatus) -> None:
    found = run(status, waiting=(ASKED, MESSAGE, TIME, PLACE, MONEY))
    result = run_result(found, Structured.OBJECTS)
    assert result.structured_content == {
        "run": "r1",
        "status": status,
        "workflow": "ask",
        "next": advice(found),
        "waiting_for": (
            {"step": "ok", "on": "human", "about": "approval"},
            {"step": "go", "on": "signal", "about": "paid"},
            {"step": "nap", "on": "timer", "until": "2023-11-14T22:13:20Z"},
            {"step": "", "on": "queue", "about": "db"},
            {
                "step": "go",
                "on": "budget",
                "about": "namespace/day",
                "rules": ("calls",),
                "reason": "2 of 2 are taken",
            },
        ),
    }
    assert Draft202012Validator(HANDLE_SCHEMA).is_valid(result.structured_content)


def test_a_model_is_told_that_only_a_person_answers_for_a_person() -> None:
    said = advice(run(RunStatus.WAITING, waiting=(ASKED,)))
    assert "only a person can answer" in said
    assert "Tell the user that `stepwell show r1` shows the question" in said
    assert "run_signal" not in said


def test_a_model_is_told_which_message_is_waited_for_and_until_when() -> None:
    said = advice(run(RunStatus.WAITING, waiting=(MESSAGE, TIME, MESSAGE)))
    assert said == (
        "The step 'go' waits for the message 'paid': send it with run_signal if that is yours to "
        "do. The step 'nap' waits until 2023-11-14 22:13:20 UTC. The run goes on by itself when "
        "that has come. Call run_get with run='r1' and wait_seconds=20 to see it end."
    )


def test_a_model_is_told_of_which_queue_there_is_no_place_yet() -> None:
    step = Waiting(step="a", on="queue", about="db")
    said = advice(run(RunStatus.WAITING, waiting=(PLACE, step)))
    assert said.startswith(
        "The run waits for a place in the queue 'db', behind others. The step 'a' waits for a "
        "place in the queue 'db', behind others. The run goes on by itself when that has come."
    )


def test_a_model_leaves_a_paused_run_to_who_paused_it() -> None:
    said = advice(run(RunStatus.PAUSED))
    assert "`stepwell resume r1`" in said
    assert "do not start it again" in said


def test_a_model_is_told_that_a_person_allows_more_than_the_budget() -> None:
    said = advice(run(RunStatus.PAUSED, waiting=(MONEY,)))
    assert said == (
        "A budget is spent: 2 of 2 are taken. Only a person can allow more: tell the user that "
        "`stepwell show r1` names the command, and do not start it again. The run goes on by itself "
        "then. Call run_get with run='r1' and wait_seconds=20 to see it end."
    )


def test_of_a_run_that_has_ended_there_is_nothing_to_do() -> None:
    assert advice(run(RunStatus.FAILED)) == ""


HELD = Waiting(
    step="call",
    on="human",
    about="call",
    until=60_000_000,
    approval="0123456789abcdef0123",
    tool="pay",
    rules=("big", "late"),
    reason="more than 3",
)


def test_a_held_call_says_that_it_is_and_by_which_rule_and_where_to_decide() -> None:
    held = run(RunStatus.WAITING, waiting=(HELD,))
    handle = handle_of(held, lambda id: f"http://localhost/approvals/{id}")
    assert Draft202012Validator(HANDLE_SCHEMA).is_valid(msgspec.to_builtins(handle))
    [wait] = handle.waiting_for
    assert (wait.approval, wait.rules, wait.reason) == (HELD.approval, HELD.rules, HELD.reason)
    assert wait.page == "http://localhost/approvals/0123456789abcdef0123"
    assert handle.next.startswith(
        "The call of pay has not been made: policy holds it by the rule big, late: more than 3. Only a "
        "person can approve it until 1970-01-01 00:01:00 UTC. Tell the user that the approval "
        "0123456789abcdef0123 waits on http://localhost/approvals/0123456789abcdef0123, with the exact "
        "arguments, and do not call the tool again: once approved, this call is made."
    )
    assert "run_get" in handle.next


def test_a_held_call_without_a_page_names_its_approval() -> None:
    held = Waiting(step="call", on="human", about="call", approval="a1", tool="pay")
    said = advice(run(RunStatus.WAITING, waiting=(held,)))
    assert said.startswith(
        "The call of pay has not been made: policy holds it. Only a person can approve it. Tell the "
        "user that the approval a1 waits, with the exact arguments, and do not call the tool again"
    )
