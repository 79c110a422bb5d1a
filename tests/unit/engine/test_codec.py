"""What an event looks like in the log."""

import pytest

from stepwell.engine import codec
from stepwell.engine.events import NAMES, Event, StepScheduled, StepSkipped, ToolCall

INLINE = 16 * 1024


@pytest.mark.parametrize(
    ("event", "body"),
    [
        (StepScheduled(at=1, step="ask", node="ask"), b'{"at":1,"step":"ask"}'),
        (StepScheduled(at=1, step="all[0]", node="all"), b'{"at":1,"step":"all[0]","node":"all"}'),
        (
            StepSkipped(at=1, step="ask", node="ask", reason="needs"),
            b'{"at":1,"step":"ask","reason":"needs"}',
        ),
        (
            ToolCall(at=1, step="ask", tool="look", key="ask"),
            b'{"at":1,"step":"ask","tool":"look"}',
        ),
        (
            ToolCall(at=1, step="ask", call="1.0", tool="look", key="ask/1.0"),
            b'{"at":1,"step":"ask","call":"1.0","tool":"look","key":"ask/1.0"}',
        ),
    ],
)
def test_the_id_of_the_step_is_written_once_and_read_wherever_it_belongs(
    event: Event, body: bytes
) -> None:
    assert codec.encode(event, INLINE) == (body, ())
    assert codec.decode(NAMES[type(event)], body) == event


def test_a_body_in_which_it_was_written_twice_still_reads_the_same() -> None:
    body = b'{"at":1,"step":"ask","tool":"look","key":"ask"}'
    assert codec.decode("tool_call", body) == ToolCall(at=1, step="ask", tool="look", key="ask")
