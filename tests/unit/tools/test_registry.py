"""The tools of a runtime, by name."""

import pytest

from stepwell.engine.values import NOTHING, Data, Json
from stepwell.errors import AlreadyExists, Code, InvalidRequest, SetupError
from stepwell.tools.port import CallContext, ToolSpec
from stepwell.tools.registry import RESERVED, ToolRegistry


class Still:
    def __init__(self, name: str, *, published: bool = True, schema: Json = None) -> None:
        self.spec = ToolSpec(
            name=name, description="Does nothing.", input_schema=schema or {}, published=published
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


def test_a_schema_that_is_none_is_refused_when_the_tool_is_added() -> None:
    registry = ToolRegistry()
    with pytest.raises(InvalidRequest):
        registry.add(Still("a", schema={"type": "objekt"}))
    assert registry.names() == ()
