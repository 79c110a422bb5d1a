"""How `run_events` shows an event."""

from stepwell.engine.events import ApprovalRequested, Event
from stepwell.orchestrator.views import RunEvent
from stepwell_mcp.run_tools import event_view


def seen(event: Event) -> dict[str, object]:
    given = RunEvent(
        run="r1", sequence=4, kind="approval_requested", principal="agent:local", event=event
    )
    return event_view(given)


def test_every_time_of_an_event_is_written_in_the_same_way() -> None:
    view = seen(ApprovalRequested(at=1_000_000, step="call", expires_at=60_000_000))
    assert (view["at"], view["expires_at"]) == ("1970-01-01T00:00:01Z", "1970-01-01T00:01:00Z")


def test_a_question_that_does_not_expire_has_no_time() -> None:
    assert seen(ApprovalRequested(at=1_000_000, step="call"))["expires_at"] is None
