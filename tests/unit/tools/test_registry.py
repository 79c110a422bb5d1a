"""The tools of a runtime, by name."""

from typing import Any

import msgspec
import pytest

from stepwell.engine.values import NOTHING, Data, Json
from stepwell.errors import AlreadyExists, Code, InvalidRequest, SetupError
from stepwell.policy.schema import DATA_ACTIONS
from stepwell.tools.port import CallContext, ToolSpec
from stepwell.tools.registry import RESERVED, ToolRegistry


class Still:
    def __init__(
        self,
        name: str,
        *,
        published: bool = True,
        schema: Json = None,
        kind: str = "python",
        description: str = "Does nothing.",
    ) -> None:
        self.spec = ToolSpec(
            name=name,
            description=description,
            input_schema=schema or {},
            published=published,
            kind=kind,
        )

    async def call(self, arguments: dict[str, Json], context: CallContext) -> Data:
        return NOTHING


def test_tools_are_found_by_name_and_listed_in_order() -> None:
    registry = ToolRegistry()
    tools = [Still("b"), Still("hidden", published=False), Still("a.x-1_y")]
    for tool in tools:
        registry.add(tool)
    assert registry.get("b") is tools[0]
    assert registry.get("c") is None
    assert registry.names() == ("a.x-1_y", "b", "hidden")
    assert registry.published() == (tools[2].spec, tools[0].spec)


def test_a_name_is_given_once() -> None:
    registry = ToolRegistry()
    first = Still("a")
    registry.add(first)
    with pytest.raises(AlreadyExists, match="two tools named a"):
        registry.add(Still("a"))
    assert registry.get("a") is first


@pytest.mark.parametrize("name", ["", "A", "1a", "a b", "a" * 65, "a\n", "ä", ".a"])
def test_a_name_that_clients_would_refuse_is_refused(name: str) -> None:
    with pytest.raises(SetupError, match="cannot be the name of a tool") as refused:
        ToolRegistry().add(Still(name))
    assert refused.value.code is Code.INVALID_DEFINITION


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_name_of_our_own_tools_is_refused(name: str) -> None:
    with pytest.raises(SetupError, match=f"{name} is the name of a tool of Stepwell's") as refused:
        ToolRegistry().add(Still(name))
    assert refused.value.code is Code.INVALID_DEFINITION


@pytest.mark.parametrize("name", DATA_ACTIONS)
def test_what_policies_call_an_action_of_data_is_no_name_of_a_tool(name: str) -> None:
    with pytest.raises(SetupError, match="an action of data"):
        ToolRegistry().add(Still(name))


def test_a_schema_that_is_none_is_refused_when_the_tool_is_added() -> None:
    registry = ToolRegistry()
    with pytest.raises(InvalidRequest):
        registry.add(Still("a", schema={"type": "objekt"}))
    assert registry.names() == ()


@pytest.mark.parametrize("name", ["readFile", "READ", "repo/read.file", "x" * 128, "1_tool"])
def test_a_tool_of_an_mcp_server_keeps_whatever_name_mcp_allows(name: str) -> None:
    registry = ToolRegistry()
    registry.add(Still(name, kind="mcp"))
    assert registry.names() == (name,)


@pytest.mark.parametrize("name", ["", "x" * 129, "a b", "ä", "a\nb"])
def test_a_tool_of_an_mcp_server_needs_a_name_that_mcp_allows(name: str) -> None:
    with pytest.raises(SetupError, match="cannot be the name of a tool"):
        ToolRegistry().add(Still(name, kind="mcp"))


def test_a_suspended_tool_is_there_but_not_offered() -> None:
    registry = ToolRegistry()
    registry.add(Still("a"))
    registry.suspend("a", "it has changed")
    assert registry.published() == ()
    assert registry.get("a") is not None
    assert registry.suspension("a") == "it has changed"
    assert "a" in registry.published_names
    registry.replace(Still("a", description="Now it does."))
    assert registry.suspension("a") == "it has changed"
    registry.resume("a")
    assert [spec.description for spec in registry.published()] == ["Now it does."]


def test_those_that_listen_are_told_once_of_each_change_and_of_nothing_else() -> None:
    registry, told = ToolRegistry(), []
    leave = registry.listen(lambda: told.append(registry.names()))
    registry.replace(Still("a"))
    registry.replace(Still("a"))
    with registry.changing():
        registry.replace(Still("b"))
        registry.withdraw("a")
    registry.withdraw("a")
    registry.suspend("none", "there is none")
    assert told == [("a",), ("b",)]
    leave()
    registry.withdraw("b")
    assert told == [("a",), ("b",)]
    assert registry.published_names == frozenset()


def test_a_definition_is_named_by_what_callers_are_told() -> None:
    spec = Still("a").spec
    changes: tuple[dict[str, Any], ...] = (
        {"name": "b"},
        {"title": "A"},
        {"description": "Does all."},
        {"input_schema": {"type": "object"}},
        {"output_schema": {}},
        {"read_only": True},
        {"destructive": True},
        {"idempotent": True},
        {"open_world": False},
    )
    definitions = {msgspec.structs.replace(spec, **change).definition for change in changes}
    assert len(definitions | {spec.definition}) == 10
    same = msgspec.structs.replace(spec, timeout=1, labels=frozenset({"x"}), published=False)
    assert same.definition == spec.definition
