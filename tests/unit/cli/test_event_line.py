from datetime import UTC, datetime

import pytest

from stepwell.client import Event
from stepwell.engine import events
from stepwell.engine.values import BlobRef, Data, Failure
from stepwell_server.cli.event_line import event_line

AT = datetime(2026, 1, 1, tzinfo=UTC)
BROKEN = Failure("TOOL_ERROR", "ValueError: no")
SEALED = Data(blob=BlobRef("sha256:1", 304, "datasource:shop"), sealed="datasource:shop")


def line(fact: events.Event) -> str:
    kind = events.NAMES[type(fact)]
    return event_line(
        Event(run="r", sequence=7, kind=kind, principal="user:local", at=AT, fact=fact)
    )


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        (events.RunCompleted(at=0, output=Data({"a": 1})), '   7  run_completed        {"a":1}'),
        (events.RunCompleted(at=0, output=Data(None)), "   7  run_completed"),
        (
            events.LlmCall(
                at=0, step="ask", attempt=1, call=1, model="m", tools=Data([{"name": "db_query"}])
            ),
            "   7  llm_call             ask: m -> db_query",
        ),
        (
            events.ToolCall(
                at=0,
                step="ask",
                attempt=1,
                call="1",
                tool="db_query",
                key="k",
                arguments=SEALED,
                decision="allow: grants",
            ),
            "   7  tool_call            ask: db_query(<304 bytes, datasource:shop>) [allow: grants]",
        ),
        (
            events.StepFailed(at=0, step="post", attempt=2, failure=BROKEN),
            "   7  step_failed          post failed: TOOL_ERROR: ValueError: no",
        ),
        (
            events.StepSkipped(at=0, step="post", node="post", reason="condition"),
            "   7  step_skipped         post: condition",
        ),
    ],
)
def test_a_line_says_what_matters_of_an_event(fact: events.Event, text: str) -> None:
    assert line(fact) == text


def test_a_long_value_is_cut() -> None:
    assert len(line(events.RunCompleted(at=0, output=Data("x" * 1000)))) < 150


def test_a_kind_that_this_version_does_not_know_is_shown_by_its_name() -> None:
    unknown = Event(run="r", sequence=7, kind="dreamt", principal="user:local", at=AT, fact=None)
    assert event_line(unknown) == "   7  dreamt"
