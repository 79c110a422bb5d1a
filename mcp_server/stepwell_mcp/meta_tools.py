"""`search_tools`, `describe_tools`, `call_tool`: a thousand tools at the cost of three.

They are listed where all of them would be too many to read, and can be called everywhere. What they
find, describe and call is what the client has chosen and may call, and nothing else.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Protocol

import msgspec
from mcp_types import Tool, ToolAnnotations
from msgspec import Meta, Struct

from stepwell.engine.values import Json
from stepwell.errors import Code, InvalidRequest
from stepwell_mcp.results import component
from stepwell_mcp.run_tools import RUN_TOOLS
from stepwell_mcp.search import Index, Names

SEARCH: Final = "search_tools"
DESCRIBE: Final = "describe_tools"
CALL: Final = "call_tool"
SUMMARY: Final = 160
"""Characters of a description in what a search finds."""
MOST_ARGUMENTS: Final = 20
"""Arguments of a tool that a search names."""


class SearchTools(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What search_tools takes."""

    query: Annotated[
        str,
        Meta(max_length=1000, description="Words that say what you want to do; empty lists all."),
    ] = ""
    limit: Annotated[int, Meta(ge=1, le=50, description="The most tools to answer.")] = 10
    offset: Annotated[int, Meta(ge=0, description="How many of the best to pass over.")] = 0


class DescribeTools(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What describe_tools takes."""

    names: Annotated[
        list[str], Meta(min_length=1, max_length=20, description="Names as search_tools has them.")
    ]


class CallToolArguments(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What call_tool takes."""

    name: Annotated[str, Meta(description="The name of the tool, as search_tools has it.")]
    arguments: Annotated[
        dict[str, Any], Meta(description="Its arguments, as describe_tools says it takes them.")
    ] = {}


_TAKEN: Final[Mapping[str, type[Struct]]] = {
    SEARCH: SearchTools,
    DESCRIBE: DescribeTools,
    CALL: CallToolArguments,
}
META_TOOLS: Final = frozenset(_TAKEN)

_SAID: Final[Mapping[str, str]] = {
    SEARCH: "Finds the tools that can be called here by words about what they do. Most tools are not "
    "listed: search before you say that something cannot be done. A name with ? may be left out.",
    DESCRIBE: "Tells exactly what tools take, by name, before you call them with call_tool.",
    CALL: "Calls a tool by its name, as if it were listed: the same result, the same rules.",
}


class Found(Protocol):
    """What a client may call."""

    @property
    def index(self) -> Index:
        """To be searched."""
        ...

    @property
    def by_name(self) -> Mapping[str, Tool]:
        """To be described."""
        ...


def definitions(*, read_only: bool) -> tuple[Tool, ...]:
    """The three as they are listed; `read_only` where nothing else can be called through them."""
    return tuple(_define(name, read_only=read_only or name != CALL) for name in _TAKEN)


def unwrapped(name: str, arguments: Mapping[str, Json]) -> tuple[str, Mapping[str, Json]]:
    """The tool that a call is of, and what it is given: that of `call_tool` is the one it names.

    Raises:
        InvalidRequest: INVALID_ARGUMENTS, it names none, or one of ours.
    """
    if name != CALL:
        return name, arguments
    given = _read(CALL, arguments, CallToolArguments)
    if given.name in META_TOOLS or given.name in RUN_TOOLS:
        # They are always listed; and whoever looks for what a request calls looks one level deep.
        raise InvalidRequest(
            f"{given.name} is called by its own name, not with {CALL}", code=Code.INVALID_ARGUMENTS
        )
    return given.name, given.arguments


def answer(catalog: Found, name: str, arguments: Mapping[str, Json]) -> Json:
    """What `search_tools` or `describe_tools` says.

    Raises:
        InvalidRequest: INVALID_ARGUMENTS, with what does not fit.
    """
    if name == SEARCH:
        return _search(catalog, _read(SEARCH, arguments, SearchTools))
    return _describe(catalog, _read(DESCRIBE, arguments, DescribeTools))


def _search(catalog: Found, given: SearchTools) -> Json:
    found = catalog.index.search(given.query)
    shown = found[given.offset : given.offset + given.limit]
    more = len(found) - given.offset - len(shown)
    said: dict[str, Json] = {"tools": [_summary(tool) for tool in shown], "more": max(more, 0)}
    if not found:
        said["note"] = "no tool has any of these words; try others, or an empty query lists all"
    return said


def _describe(catalog: Found, given: DescribeTools) -> Json:
    names = list(dict.fromkeys(given.names))
    found = [catalog.by_name[name] for name in names if name in catalog.by_name]
    said: dict[str, Json] = {"tools": [_described(tool) for tool in found]}
    if unknown := [name for name in names if name not in catalog.by_name]:
        known = Names(catalog.by_name)
        said["unknown"] = [{"name": name, "nearest": [*known.nearest(name)]} for name in unknown]
    return said


def _summary(tool: Tool) -> dict[str, Json]:
    """A tool in one line: enough to choose by."""
    properties = tool.input_schema.get("properties")
    required = tool.input_schema.get("required")
    names = [
        str(name) if isinstance(required, list) and name in required else f"{name}?"
        for name in (properties if isinstance(properties, dict) else ())
    ]
    if len(names) > MOST_ARGUMENTS:
        names[MOST_ARGUMENTS:] = ["..."]
    return {
        "name": tool.name,
        "description": summary(tool.description or tool.title or ""),
        "arguments": ", ".join(names),
    }


def summary(text: str) -> str:
    """The first sentence of a description, cut where it is long."""
    first = text.strip().partition("\n")[0].partition(". ")[0].rstrip(".")
    return first if len(first) <= SUMMARY else f"{first[: SUMMARY - 3].rstrip()}..."


def _described(tool: Tool) -> dict[str, Json]:
    """A tool as it would be listed, but for what it answers: that is seen when it does."""
    return tool.model_dump(
        by_alias=True, mode="json", exclude_none=True, exclude={"output_schema", "meta", "icons"}
    )


def _read(name: str, arguments: Mapping[str, Json], kind: type[Any]) -> Any:
    try:
        return msgspec.convert(dict(arguments), kind)
    except msgspec.ValidationError as error:
        taken = ", ".join(kind.__struct_fields__)
        raise InvalidRequest(
            f"the arguments of {name} are not right: {error}; it takes {taken}",
            code=Code.INVALID_ARGUMENTS,
        ) from error


def _define(name: str, *, read_only: bool) -> Tool:
    hints = ToolAnnotations(read_only_hint=read_only)
    if name != CALL:
        hints = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
    return Tool(
        name=name,
        description=_SAID[name],
        input_schema=component(_TAKEN[name]),
        annotations=hints,
    )
