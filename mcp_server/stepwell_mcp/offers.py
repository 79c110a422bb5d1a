"""What the door offers: tools, workflows and the run tools, each as one MCP tool.

Names share one space. No tool can have the name of a run tool; a workflow whose name is taken
is offered as `workflow_<name>`.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from mcp_types import Tool, ToolAnnotations

from stepwell.orchestrator.views import Workflow
from stepwell.tools.port import ToolSpec
from stepwell_mcp.icons import offered_icons
from stepwell_mcp.meta_tools import META_TOOLS
from stepwell_mcp.results import HANDLE_SCHEMA
from stepwell_mcp.run_tools import RUN_TOOLS

PREFIX: Final = "workflow_"
DEFINITION_META: Final = "stepwell/definition"
"""Where an offer has the SHA-256 of what the tool says of itself, as it is pinned."""
_MOST_MADE: Final = 4096

# The spec is kept beside its offer, so that its id cannot be given to another one.
_made: dict[tuple[int, bool], tuple[ToolSpec, Tool]] = {}
_made_of_workflows: dict[tuple[str, str], Tool] = {}


def offered(
    specs: Iterable[ToolSpec],
    workflows: Iterable[Workflow],
    *,
    taken: frozenset[str] = frozenset(),
    any_root: bool,
) -> list[Tool]:
    """Everything that can be called, by name.

    `taken` are names of tools that are not offered now: no workflow may have one of them.
    `any_root` tells whether an output schema may describe something other than an object
    (2026-07-28); to older clients such a schema is not shown.
    """
    offers = {tool.definition.name: tool.definition for tool in RUN_TOOLS.values()}
    offers |= {spec.name: _tool_offer(spec, any_root=any_root) for spec in specs}
    taken |= offers.keys() | META_TOOLS
    for workflow in (each for each in workflows if each.published):
        offer = _workflow_offer(workflow, taken)
        offers.setdefault(offer.name, offer)
    return [offers[name] for name in sorted(offers)]


def workflow_called(name: str, taken: Collection[str]) -> str:
    """The workflow that a name means that is not one of `taken`, the names of tools."""
    original = name.removeprefix(PREFIX)
    return original if name != original and original in taken else name


def reads_only(offer: Tool) -> bool:
    """Whether an offer says that calling it changes nothing."""
    return offer.annotations is not None and offer.annotations.read_only_hint is True


def wraps_input(schema: Mapping[str, Any]) -> bool:
    """Whether a workflow takes something other than an object, so that it travels as `input`."""
    return bool(schema.get("type", "object") != "object")


def _tool_offer(spec: ToolSpec, *, any_root: bool) -> Tool:
    """The offer of a tool, remembered by the identity of its spec: making one takes 50 us."""
    key = (id(spec), any_root)
    known = _made.get(key)
    if known is not None:
        return known[1]
    while len(_made) >= _MOST_MADE:
        del _made[next(iter(_made))]
    offer = _make_offer(spec, any_root=any_root)
    _made[key] = (spec, offer)
    return offer


def _make_offer(spec: ToolSpec, *, any_root: bool) -> Tool:
    return Tool(
        name=spec.name,
        title=spec.title or None,
        description=spec.description,
        input_schema={"type": "object", **spec.input_schema},
        output_schema=_or_handle(spec.output_schema, any_root=any_root),
        annotations=ToolAnnotations(
            read_only_hint=spec.read_only,
            destructive_hint=spec.destructive,
            idempotent_hint=spec.idempotent,
            open_world_hint=spec.open_world,
        ),
        icons=offered_icons(spec.icons),
        _meta={DEFINITION_META: spec.definition},
    )


def _workflow_offer(workflow: Workflow, taken: Collection[str]) -> Tool:
    """The offer of a version, remembered by its digest and the name that it has here."""
    name = PREFIX + workflow.name if workflow.name in taken else workflow.name
    key = name, workflow.version
    offer = _made_of_workflows.get(key)
    if offer is None:
        while len(_made_of_workflows) >= _MOST_MADE:
            del _made_of_workflows[next(iter(_made_of_workflows))]
        offer = _made_of_workflows[key] = _make_workflow_offer(workflow, name)
    return offer


def _make_workflow_offer(workflow: Workflow, name: str) -> Tool:
    description = workflow.description or f"Runs the workflow {workflow.name}."
    return Tool(
        name=name,
        description=f"{description}\n\nA durable workflow: a long run answers a run id to follow.",
        input_schema=_input_schema(workflow.input_schema),
        annotations=ToolAnnotations(read_only_hint=False),
    )


def _input_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """MCP wants an object at the root of what a tool takes."""
    if not wraps_input(schema):
        return {"type": "object", **schema}
    inner, definitions = _without_definitions(schema)
    return {"type": "object", "required": ["input"], "properties": {"input": inner}, **definitions}


def _or_handle(schema: Mapping[str, Any] | None, *, any_root: bool) -> dict[str, Any] | None:
    """A call that outlives the wait answers a run handle, and the schema must admit that too."""
    if schema is None:
        return None
    if schema.get("type") != "object" and not any_root:
        return None
    inner, definitions = _without_definitions(schema)
    root = {"type": "object"} if schema.get("type") == "object" else {}
    return {**root, "anyOf": [inner, HANDLE_SCHEMA], **definitions}


def _without_definitions(schema: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A schema to be nested, and what must stay at the root for its `#/$defs/...` to be found."""
    inner = {key: value for key, value in schema.items() if key not in ("$defs", "$schema")}
    return inner, {"$defs": schema["$defs"]} if "$defs" in schema else {}
