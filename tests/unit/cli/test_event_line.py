from datetime import UTC, datetime

import pytest

from stepwell.client import Event
from stepwell.engine import events
from stepwell.engine.values import BlobRef, Data, Failure
from stepwell_server.cli.event_line import EventLines
from stepwell_server.cli.times import instant, time_of_day

AT = datetime(2026, 1, 1, tzinfo=UTC)
BROKEN = Failure("TOOL_ERROR", "ValueError: no")
WHY = "TOOL_ERROR: ValueError: no"
SEALED = Data(blob=BlobRef("sha256:1", 304, "datasource:shop"), sealed="datasource:shop")


NOW = f"{AT.astimezone():%H:%M:%S}"


def entry(fact: events.Event) -> Event:
    kind = events.NAMES[type(fact)]
    return Event(run="r", sequence=7, kind=kind, principal="user:local", at=AT, fact=fact)


def line(fact: events.Event) -> str:
    return EventLines().line(entry(fact))


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        (
            events.RunCompleted(at=0, output=Data({"a": 1})),
            f'   7  {NOW}  run_completed        {{"a":1}}',
        ),
        (events.RunCompleted(at=0, output=Data(None)), f"   7  {NOW}  run_completed"),
        (
            events.LlmCall(
                at=0, step="ask", attempt=1, call=1, model="m", tools=Data([{"name": "db_query"}])
            ),
            f"   7  {NOW}  llm_call             ask: m -> db_query",
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
            f"   7  {NOW}  tool_call            ask: db_query(<304 bytes, datasource:shop>) [allow: grants]",
        ),
        (
            events.StepFailed(at=0, step="post", attempt=2, failure=BROKEN),
            f"   7  {NOW}  step_failed          post failed: TOOL_ERROR: ValueError: no",
        ),
        (
            events.StepSkipped(at=0, step="post", node="post", reason="condition"),
            f"   7  {NOW}  step_skipped         post: condition",
        ),
        (
            events.RunForked(
                at=0,
                run="r-0",
                sequence=3,
                step="post",
                workflow="w",
                version="v",
                principal="user:ann",
                edited=True,
                input=Data({"a": 1}),
            ),
            f'   7  {NOW}  run_forked           w from r-0 at post with {{"a":1}}',
        ),
        (events.RunAdmitted(at=0), f"   7  {NOW}  run_admitted"),
        (events.RunPaused(at=0, reason="lunch"), f"   7  {NOW}  run_paused           lunch"),
        (events.RunResumed(at=0), f"   7  {NOW}  run_resumed"),
        (
            events.RunCompensating(at=0, failure=BROKEN, step="post"),
            f"   7  {NOW}  run_compensating     post failed: TOOL_ERROR: ValueError: no",
        ),
        (
            events.StepStarted(at=0, step="call", attempt=1, child="r-2"),
            f"   7  {NOW}  step_started         call: run r-2",
        ),
        (
            events.StepStarted(at=0, step="call", attempt=1),
            f"   7  {NOW}  step_started         call",
        ),
        (
            events.StepFailed(at=0, step="post", attempt=1, failure=BROKEN, handled="continue"),
            f"   7  {NOW}  step_failed          post failed: {WHY}; the run goes on",
        ),
        (
            events.StepFailed(at=0, step="post", attempt=1, failure=BROKEN, handled="sorry"),
            f"   7  {NOW}  step_failed          post failed: {WHY}; sorry takes over",
        ),
        (events.TimerFired(at=0, step="nap", attempt=1), f"   7  {NOW}  timer_fired          nap"),
        (
            events.SignalReceived(at=0, name="paid", payload=Data(5), id="m-1"),
            f"   7  {NOW}  signal_received      paid 5",
        ),
        (
            events.ApprovalRequested(at=0, step="ok", attempt=1, message=Data("Go on?")),
            f"   7  {NOW}  approval_requested   ok: Go on?",
        ),
        (
            events.ApprovalRequested(
                at=0,
                step="pay",
                attempt=1,
                about="outcome",
                message=Data({"text": "nobody knows", "tool": "pay", "key": "k"}),
            ),
            f"   7  {NOW}  approval_requested   pay: nobody knows",
        ),
        (
            events.ApprovalDecided(at=0, step="ok", attempt=1, decision="deny", reason="too much"),
            f"   7  {NOW}  approval_decided     ok: deny by user:local: too much",
        ),
        (
            events.ApprovalExpired(at=0, step="ok", attempt=1),
            f"   7  {NOW}  approval_expired     ok",
        ),
    ],
)
def test_a_line_says_what_matters_of_an_event(fact: events.Event, text: str) -> None:
    assert line(fact) == text


def test_an_attempt_that_follows_says_why() -> None:
    fact = events.StepRetryScheduled(at=0, step="post", attempt=2, retry_at=0, failure=BROKEN)
    assert line(fact).endswith("post: attempt 2 follows: TOOL_ERROR: ValueError: no")


def test_a_failure_that_goes_on_to_its_run_is_told_once() -> None:
    lines = EventLines()
    facts: list[events.Event] = [
        events.StepFailed(at=0, step="post", attempt=1, failure=BROKEN),
        events.RunFailed(at=0, failure=BROKEN, step="post"),
        events.RunFailed(at=0, failure=Failure("TOOL_ERROR", "KeyError: no"), step="post"),
    ]
    assert [lines.line(entry(fact)).partition("failed: ")[2] for fact in facts] == [
        "TOOL_ERROR: ValueError: no",
        "TOOL_ERROR (as above)",
        "TOOL_ERROR: KeyError: no",
    ]


def test_a_long_value_is_cut() -> None:
    assert len(line(events.RunCompleted(at=0, output=Data("x" * 1000)))) < 150


def test_a_kind_that_this_version_does_not_know_is_shown_by_its_name() -> None:
    unknown = Event(run="r", sequence=7, kind="dreamt", principal="user:local", at=AT, fact=None)
    assert EventLines().line(unknown) == f"   7  {NOW}  dreamt"


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        (
            events.PolicyDecided(
                at=0, step="pay", action="call_tool", resource="pay", effect="deny",
                rules=("spent",), reason="spent", remedy="raise it",
            ),
            "pay: deny call_tool pay spent; raise it [spent]",
        ),
        (
            events.PolicyDecided(
                at=0, step="pay", action="call_tool", resource="pay", effect="throttle",
                retry_at=5_000_000,
            ),
            f"pay: throttle call_tool pay until {time_of_day(instant(5_000_000))}",
        ),
        (
            events.ApprovalRequested(
                at=0, step="pay", about="call", tool="pay", rules=("a", "b"), reason="a lot"
            ),
            "pay: the call of pay is held by a, b: a lot",
        ),
        (
            events.ToolCallStarted(at=0, step="pay", tool="pay", decision="allow: big"),
            "pay: pay() [allow: big]",
        ),
    ],
)  # fmt: skip
def test_what_policy_said_is_told_with_its_rules(fact: events.Event, text: str) -> None:
    assert line(fact).split(maxsplit=3)[3] == text
