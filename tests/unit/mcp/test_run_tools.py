"""How the run tools are described, and how `run_events` shows an event."""

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema_rs import validator_for

from stepwell.engine.events import ApprovalRequested, Event
from stepwell.orchestrator.views import RunEvent
from stepwell_mcp.meta_tools import definitions
from stepwell_mcp.run_tools import RUN_TOOLS, event_view

OURS = (*(tool.definition for tool in RUN_TOOLS.values()), *definitions(read_only=False))


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


def schemas(schema: dict[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    """A schema and those within it, each with where it is."""
    yield path, schema
    for word in ("properties", "$defs"):
        for name, within in schema.get(word, {}).items():
            yield from schemas(within, f"{path}.{name}")
    for number, within in enumerate(schema.get("anyOf", ())):
        yield from schemas(within, f"{path}.{number}")
    if "items" in schema:
        yield from schemas(schema["items"], f"{path}.items")


@pytest.mark.parametrize("tool", OURS, ids=lambda tool: tool.name)
def test_every_field_of_our_own_tools_says_its_type_as_any_client_reads_it(tool: Any) -> None:
    of_tool = [tool.input_schema, *([tool.output_schema] if tool.output_schema else [])]
    found = [each for schema in of_tool for each in schemas(schema, tool.name)]
    mute = [path for path, schema in found if not schema.keys() & {"type", "anyOf", "enum", "$ref"}]
    listed = [path for path, schema in found if isinstance(schema.get("type"), list)]
    assert (mute, listed) == ([], [])


@pytest.mark.parametrize("value", [{"a": [1]}, [1, "b"], "text", 1, 1.5, True, None])
def test_a_field_of_any_value_takes_any_value(value: object) -> None:
    definition = RUN_TOOLS["run_signal"].definition
    given = {"run": "r1", "name": "paid", "payload": value}
    assert validator_for(definition.input_schema).is_valid(given)
    assert definition.output_schema is not None
    told = {
        "run": "r1",
        "workflow": "w",
        "status": "completed",
        "created_at": "1970-01-01T00:00:00Z",
    }
    assert validator_for(definition.output_schema).is_valid({**told, "output": value})
