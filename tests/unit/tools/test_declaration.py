"""What `@tool` makes of a function."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

import msgspec
import pytest
from inline_snapshot import snapshot

from stepwell import CallContext, ToolFailed, tool
from stepwell.errors import Code
from stepwell.tools.declaration import Declaration
from stepwell.tools.port import ToolSpec
from stepwell.tools.python import declaration_of

if TYPE_CHECKING:
    from decimal import Decimal


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


@dataclass
class Item:
    product: str
    quantity: int = 1


class Receipt(TypedDict):
    number: int


@tool(
    name="shop.order",
    title="Order",
    destructive=True,
    idempotent=True,
    timeout=timedelta(seconds=2),
    published=False,
    task="eager",
)
async def place_order(
    items: list[Item],
    when: datetime,
    size: Size = Size.SMALL,
    discount: Annotated[float, msgspec.Meta(ge=0, le=1, description="As a fraction.")] = 0.0,
    channel: Literal["web", "shop"] | None = None,
    *,
    context: CallContext,
) -> Receipt:
    """Places an order
    for a customer.

    More that no model has to read.

    Args:
        items (list): What is ordered,
            each with a quantity.
        when: The day: ISO 8601.
        discount: Not told, the type says it better.

    Returns:
        channel: this is no argument.
    """
    return {"number": len(items)}


def declared(function: Callable[..., Any]) -> Declaration:
    declaration = declaration_of(function)
    assert declaration is not None
    return declaration


def spec(function: Callable[..., Any]) -> ToolSpec:
    return declared(function).spec


def test_the_function_stays_the_function_that_it_was() -> None:
    @tool
    async def double(number: int) -> int:
        """Doubles."""
        return number * 2

    assert declaration_of(double) is not None
    assert double.__name__ == "double"


def test_everything_that_a_function_says_is_in_its_spec() -> None:
    assert spec(place_order) == snapshot(
        ToolSpec(
            name="shop.order",
            description="Places an order for a customer.",
            input_schema={
                "type": "object",
                "properties": {
                    "items": {
                        "type": "array",
                        "items": {"$ref": "#/$defs/Item"},
                        "description": "What is ordered, each with a quantity.",
                    },
                    "when": {"type": "string", "description": "The day: ISO 8601."},
                    "size": {"$ref": "#/$defs/Size", "default": "small"},
                    "discount": {
                        "description": "As a fraction.",
                        "type": "number",
                        "minimum": 0,
                        "maximum": 1,
                        "default": 0.0,
                    },
                    "channel": {
                        "anyOf": [{"enum": ["shop", "web"]}, {"type": "null"}],
                        "default": None,
                    },
                },
                "required": ["items", "when"],
                "additionalProperties": False,
                "$defs": {
                    "Item": {
                        "title": "Item",
                        "type": "object",
                        "properties": {
                            "product": {"type": "string"},
                            "quantity": {"type": "integer", "default": 1},
                        },
                        "required": ["product"],
                    },
                    "Size": {"title": "Size", "enum": ["large", "small"]},
                },
            },
            title="Order",
            output_schema={
                "title": "Receipt",
                "type": "object",
                "properties": {"number": {"type": "integer"}},
                "required": ["number"],
            },
            read_only=False,
            destructive=True,
            idempotent=True,
            timeout=2000000,
            published=False,
            task="eager",
        )
    )


def test_without_options_a_tool_promises_nothing() -> None:
    @tool
    async def note(text: str) -> None:
        """Takes a note."""

    assert spec(note) == ToolSpec(
        name="note",
        description="Takes a note.",
        input_schema={
            "type": "object",
            "properties": {"text": {"type": "string"}},
            "required": ["text"],
            "additionalProperties": False,
        },
    )


def test_a_use_of_tasks_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(TypeError, match="auto, eager, required, never, it is 'always'"):
        tool(task="always")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_a_read_only_tool_is_idempotent_unless_it_says_otherwise() -> None:
    @tool(read_only=True)
    async def look() -> None:
        """Looks."""

    @tool(read_only=True, idempotent=False)
    async def sample() -> None:
        """Samples."""

    assert spec(look).idempotent
    assert not spec(sample).idempotent


def test_arguments_arrive_as_the_types_that_the_function_names(context: CallContext) -> None:
    bound = declared(place_order).bind(
        {"items": [{"product": "tea", "quantity": 2.0}], "when": "2026-01-02T03:04:05"}, context
    )
    assert bound == {
        "items": [Item("tea", 2)],
        "when": datetime(2026, 1, 2, 3, 4, 5),  # noqa: DTZ001 - as it was given
        "context": context,
    }


def test_a_value_that_fits_the_schema_but_not_the_type_is_an_argument_error(
    context: CallContext,
) -> None:
    with pytest.raises(ToolFailed, match=r"the arguments of shop\.order .* at `\$\.when`") as bad:
        declared(place_order).bind({"items": [], "when": "tomorrow"}, context)
    assert (bad.value.code, bad.value.retryable) == (Code.INVALID_ARGUMENTS, False)


def test_with_a_schema_of_its_own_a_function_gets_the_json_as_it_is(context: CallContext) -> None:
    schema = {"type": "object", "properties": {"when": {"type": "string"}}}

    @tool(input_schema=schema, output_schema={"type": "object"})
    async def anything(ctx: CallContext, **arguments: Any) -> Any:
        """Takes anything."""

    assert spec(anything).input_schema is schema
    assert spec(anything).output_schema == {"type": "object"}
    assert declared(anything).bind({"when": "today"}, context) == {"when": "today", "ctx": context}


@dataclass
class Node:
    children: "list[Node]"


def test_a_type_that_refers_to_itself_is_described() -> None:
    @tool
    async def walk(root: Node) -> Node:
        """Walks."""
        return root

    assert spec(walk).input_schema["properties"] == {"root": {"$ref": "#/$defs/Node"}}
    assert spec(walk).output_schema == snapshot(
        {
            "title": "Node",
            "type": "object",
            "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/Node"}}},
            "required": ["children"],
            "$defs": {
                "Node": {
                    "title": "Node",
                    "type": "object",
                    "properties": {
                        "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}}
                    },
                    "required": ["children"],
                }
            },
        }
    )


def refuse(match: str) -> Any:
    return pytest.raises(TypeError, match=match)


def test_what_cannot_be_described_is_refused_with_what_to_write_instead() -> None:
    with refuse("tool one: x has no type; write for instance x: str"):

        @tool
        async def one(x) -> None:  # type: ignore[no-untyped-def]
            """F."""

    with refuse(r"tool two: \*args: int cannot be described; name every parameter"):

        @tool
        async def two(*args: int) -> None:
            """F."""

    with refuse(r"tool three: \*\*rest: int cannot be described; name every parameter"):

        @tool
        async def three(**rest: int) -> None:
            """F."""

    with refuse("tool four: x is positional only; arguments come by name, remove the /"):

        @tool
        async def four(x: int, /) -> None:
            """F."""

    with refuse("tool five cannot be described as JSON: .*complex.* use str, int"):

        @tool
        async def five(x: complex) -> None:
            """F."""

    with refuse("tool six: the name Decimal in its type hints is not known"):

        @tool
        async def six(x: "Decimal") -> None:
            """F."""


def test_what_can_be_no_tool_is_refused() -> None:
    with refuse("tool seven has no description, so no model could choose it"):

        @tool
        async def seven() -> None:
            pass

    with refuse("'_Hidden' cannot be the name of a tool: use name="):

        @tool
        async def _Hidden() -> None:  # noqa: N802
            """Hidden."""

    with refuse("tool eight: it yields; return one result instead"):

        @tool
        async def eight() -> AsyncIterator[int]:
            """F."""
            yield 1

    with refuse("@tool: it cannot be read_only and destructive"):

        @tool(read_only=True, destructive=True)
        async def nine() -> None:
            """F."""

    with refuse("@tool: timeout must be longer than nothing"):

        @tool(timeout=timedelta(0))
        async def ten() -> None:
            """F."""

    with refuse(r"write timedelta\(seconds=3\)"):

        @tool(timeout="3s")  # type: ignore[call-overload, untyped-decorator]
        async def eleven() -> None:
            """F."""

    with refuse("unexpected keyword argument 'idempotnet'"):

        @tool(idempotnet=True)  # type: ignore[call-overload, untyped-decorator]
        async def twelve() -> None:
            """F."""

    with refuse(r"'post' is none; .* by name: @tool\(name=...\)"):
        tool("post")  # type: ignore[call-overload]

    with refuse("@tool goes on a function"):

        @tool
        class F:
            """F."""
