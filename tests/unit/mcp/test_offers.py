"""What is offered as MCP tools, under which name, on which page."""

from collections.abc import Mapping
from typing import Any

from jsonschema_rs import Draft202012Validator

from stepwell.orchestrator.views import Workflow
from stepwell.tools.port import ToolSpec
from stepwell.tools.registry import RESERVED
from stepwell_mcp.meta_tools import META_TOOLS
from stepwell_mcp.offers import DEFINITION_META, offered, workflow_called
from stepwell_mcp.results import HANDLE_SCHEMA
from stepwell_mcp.run_tools import RUN_TOOLS

OBJECT = {"type": "object"}
HANDLE = {"run": "r", "status": "running", "workflow": "call", "next": "wait"}


def spec(name: str, **more: Any) -> ToolSpec:
    return ToolSpec(name=name, description="Does it.", input_schema=OBJECT, **more)


def workflow(name: str, input_schema: Mapping[str, Any] = OBJECT, **more: Any) -> Workflow:
    return Workflow(
        name=name,
        version="sha256:1",
        description="",
        input_schema=input_schema,
        source=b"",
        principal="user:local",
        created_at=0,
        **more,
    )


def test_everything_is_listed_by_name() -> None:
    names = [
        tool.name for tool in offered([spec("zoo"), spec("ant")], [workflow("mule")], any_root=True)
    ]
    ours = ["run_cancel", "run_events", "run_get", "run_result", "run_signal", "run_start"]
    assert names == ["ant", "mule", *ours, "zoo"]


def test_a_workflow_whose_name_a_tool_has_is_offered_with_a_prefix() -> None:
    names = {tool.name for tool in offered([spec("post")], [workflow("post")], any_root=True)}
    assert names == {"post", "workflow_post", *RUN_TOOLS}
    assert workflow_called("workflow_post", {"post"}) == "post"
    assert workflow_called("workflow_post", {"other"}) == "workflow_post"


def test_no_workflow_hides_behind_the_name_of_a_tool_that_finds_others() -> None:
    names = {tool.name for tool in offered([], [workflow("call_tool")], any_root=True)}
    assert names == {"workflow_call_tool", *RUN_TOOLS}


def test_a_workflow_that_is_not_published_is_not_offered() -> None:
    offers = offered([], [workflow("mule", published=False)], any_root=True)
    assert {tool.name for tool in offers} == {*RUN_TOOLS}


def test_no_tool_can_have_the_name_of_a_tool_of_ours() -> None:
    assert RUN_TOOLS.keys() | META_TOOLS == RESERVED


def test_a_tool_is_offered_with_the_hash_of_what_it_says_of_itself() -> None:
    given = spec("post")
    tool = offered([given], [], any_root=True)[0]
    assert tool.meta == {DEFINITION_META: given.definition}


def test_the_hints_of_a_tool_are_passed_on() -> None:
    given = spec("drop", title="Drop it", destructive=True, idempotent=True)
    tool = offered([given], [], any_root=True)[0]
    assert tool.title == "Drop it"
    assert tool.annotations is not None
    assert tool.annotations.model_dump(exclude_none=True) == {
        "read_only_hint": False,
        "destructive_hint": True,
        "idempotent_hint": True,
    }


def test_what_nobody_said_of_a_tool_is_not_claimed_in_its_name() -> None:
    tool = offered([spec("post")], [], any_root=True)[0]
    assert tool.annotations is not None
    assert "destructive_hint" not in tool.annotations.model_dump(exclude_none=True)


def test_an_output_schema_admits_the_handle_of_a_long_call_and_keeps_its_definitions() -> None:
    schema = {
        "type": "object",
        "required": ["row"],
        "properties": {"row": {"$ref": "#/$defs/Row"}},
        "$defs": {"Row": {"type": "integer"}},
    }
    tool = offered([spec("get", output_schema=schema)], [], any_root=False)[0]
    assert tool.output_schema is not None
    validator = Draft202012Validator(tool.output_schema)
    assert validator.is_valid({"row": 1})
    assert validator.is_valid(HANDLE)
    assert not validator.is_valid({"row": "1"})
    assert tool.output_schema["type"] == "object"


def test_an_output_schema_that_is_no_object_is_for_newer_clients_only() -> None:
    given = spec("count", output_schema={"type": "integer"})
    assert offered([given], [], any_root=False)[0].output_schema is None
    newer = offered([given], [], any_root=True)[0].output_schema
    assert newer == {"anyOf": [{"type": "integer"}, HANDLE_SCHEMA]}


def test_a_workflow_that_takes_no_object_takes_it_as_input() -> None:
    schema = {"type": "array", "items": {"$ref": "#/$defs/Id"}, "$defs": {"Id": {"type": "string"}}}
    tool = offered([], [workflow("a-list", schema)], any_root=True)[0]
    validator = Draft202012Validator(tool.input_schema)
    assert validator.is_valid({"input": ["a"]})
    assert not validator.is_valid({"input": [1]})
    assert not validator.is_valid({})
