"""Our own resources: `stepwell://runs/...`, workflows, tools, and the schemas of datasources.

They show what the service shows the caller anyway, and nothing of another namespace.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from mcp_types import Annotations, Resource, ResourceTemplate
from msgspec import Struct

from stepwell.engine.values import Json
from stepwell.errors import Code, FailedPrecondition, KeyDestroyed, NotFound
from stepwell.orchestrator.resources import Values, no_resource, values_of
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Run, RunStatus
from stepwell.principals import Caller
from stepwell.tools.answers import result_of
from stepwell.tools.completion import matching
from stepwell.tools.port import ToolSpec
from stepwell.tools.shelf import OURS
from stepwell.tools.uris import Template, template
from stepwell_mcp.results import result_uri, shown
from stepwell_mcp.run_tools import event_view, run_view

JSON: Final = "application/json"
TEXT: Final = "text/plain"
READS_SCHEMA: Final = "db_schema"
"""The tool that reads the schemas of datasources."""
MOST_EVENTS: Final = 100
"""Events on one page of a run's log."""
FOR_GOOD: Final = 3_600_000
"""Milliseconds for which a client may keep what cannot change any more."""


class Held(Struct, frozen=True):
    """What a resource holds, or, in its stead, what begins the run whose output is that.

    `keep_ms` is how long a client may keep it.
    """

    contents: Sequence[Mapping[str, Any]] = ()
    keep_ms: int = 0
    begin: Callable[[], Awaitable[Run]] | None = None


class Asked(Struct, frozen=True):
    """One reading of a resource of ours."""

    service: Service
    caller: Caller
    uri: str
    values: Mapping[str, str]
    trace: str = ""


Find: TypeAlias = Callable[[Asked], Awaitable[None]]
Read: TypeAlias = Callable[[Asked], Awaitable[Held]]
Complete: TypeAlias = Callable[[Service, Caller], Awaitable[Sequence[str]]]


class Own(Struct, frozen=True, kw_only=True):
    """One kind of them."""

    template: Template
    name: str
    title: str
    description: str
    find: Find
    read: Read
    values: Complete
    mime: str = JSON

    @property
    def offer(self) -> ResourceTemplate:
        """The template, as clients are offered it."""
        return ResourceTemplate(
            uri_template=self.template.text,
            name=self.name,
            title=self.title,
            description=self.description,
            mime_type=self.mime,
            annotations=Annotations(audience=["user", "assistant"]),
        )


def is_own(uri: str) -> bool:
    """Whether a URI is in our scheme."""
    return uri.startswith(f"{OURS}:")


def reader(uri: str) -> str:
    """The name of the tool that reads a resource of ours; "" where it takes none."""
    return READS_SCHEMA if SCHEMA.template.match(uri) is not None else ""


async def find(service: Service, caller: Caller, uri: str) -> None:
    """Whether there is something behind a URI, which need not hold anything yet.

    Raises:
        NotFound: RESOURCE_NOT_FOUND.
    """
    for own in OWN:
        values = own.template.match(uri)
        if values is not None:
            try:
                return await own.find(Asked(service, caller, uri, values))
            except NotFound as error:
                raise no_resource(uri) from error
    raise no_resource(uri)


async def listed(service: Service, caller: Caller) -> list[Resource]:
    """Those that have a URI for good: the workflows, and the schemas of the datasources."""
    workflows = [
        Resource(
            uri=f"{OURS}://workflows/{workflow.name}",
            name=f"workflow_{workflow.name}",
            title=f"The workflow {workflow.name}",
            description=workflow.description or None,
            mime_type=WORKFLOW.mime,
            size=len(workflow.source),
        )
        for workflow in await service.list_workflows(caller)
    ]
    schemas = [
        Resource(
            uri=f"{OURS}://datasources/{datasource.name}/schema",
            name=f"schema_{datasource.name}",
            title=f"The schema of {datasource.name}",
            description=SCHEMA.description,
            mime_type=SCHEMA.mime,
        )
        for datasource in await service.datasources.list(caller)
    ]
    return [*workflows, *schemas]


async def read(service: Service, caller: Caller, uri: str, *, trace: str = "") -> Held:
    """What a resource of ours holds.

    Raises:
        NotFound: RESOURCE_NOT_FOUND.
        FailedPrecondition: NOT_APPLICABLE, a run has no result.
        KeyDestroyed: the result was erased.
    """
    for own in OWN:
        values = own.template.match(uri)
        if values is not None:
            try:
                return await own.read(Asked(service, caller, uri, values, trace))
            except NotFound as error:
                raise no_resource(uri) from error
    raise no_resource(uri)


async def complete(service: Service, caller: Caller, text: str, typed: str) -> Values:
    """What the variable of a template may be.

    Raises:
        NotFound: RESOURCE_NOT_FOUND, there is no such template.
    """
    for own in OWN:
        if own.template.text == text:
            return values_of(matching(await own.values(service, caller), typed))
    raise no_resource(text)


# --- reading ------------------------------------------------------------------------------


async def _run(asked: Asked) -> Held:
    run = await asked.service.get_run(asked.caller, asked.values["run"])
    view = msgspec.to_builtins(run_view(asked.service, run))
    view.pop("output", None)
    if run.status is RunStatus.COMPLETED:
        view["result"] = result_uri(run.id)
    return _json(asked.uri, view, keep_ms=FOR_GOOD if run.status.ended else 0)


async def _events(asked: Asked) -> Held:
    run, cursor = asked.values["run"], asked.values.get("cursor", "")
    batch = await asked.service.list_events(asked.caller, run=run, cursor=cursor, limit=MOST_EVENTS)
    following = EVENTS.template.expand({"run": run, "cursor": batch.cursor})
    view = {
        "events": [event_view(event) for event in batch.events],
        "caught_up": batch.caught_up,
        "next": following,
    }
    return _json(asked.uri, view)


async def _result(asked: Asked) -> Held:
    run = await asked.service.get_run(asked.caller, asked.values["run"])
    if run.is_erased:
        raise KeyDestroyed(f"the result of the run {run.id} was erased: its key has been destroyed")
    if run.status is not RunStatus.COMPLETED:
        raise FailedPrecondition(
            f"the run {run.id} has no result: it is {run.status.value}; {OURS}://runs/{run.id} tells "
            "more",
            code=Code.NOT_APPLICABLE,
        )
    value = shown(run.output)
    blocks = (result_of(value) or {}).get("content", [])
    parts = [part for block in blocks if (part := _held_by(block, asked.uri)) is not None]
    if parts:
        return Held(parts, FOR_GOOD)
    if isinstance(value, str):
        return Held([{"uri": asked.uri, "mimeType": TEXT, "text": value}], FOR_GOOD)
    return _json(asked.uri, value, keep_ms=FOR_GOOD)


async def _workflow(asked: Asked) -> Held:
    workflow = await asked.service.get_workflow(asked.caller, asked.values["name"])
    text = workflow.source.decode()
    return Held([{"uri": asked.uri, "mimeType": WORKFLOW.mime, "text": text}])


async def _tool(asked: Asked) -> Held:
    spec = await _spec(asked)
    more = {"kind": spec.kind, "labels": sorted(spec.labels), "definition": spec.definition}
    return _json(asked.uri, {**spec.described, **more})


async def _schema(asked: Asked) -> Held:
    """By a call of `db_schema`: what a database has is a datasource's own, and read as its rows are."""
    await _find_datasource(asked)
    given = {"datasource": asked.values["name"]}
    return Held(
        begin=lambda: asked.service.call_tool(asked.caller, READS_SCHEMA, given, trace=asked.trace)
    )


def held(uri: str, output: Json) -> Held:
    """What a resource holds that was read by a run."""
    return _json(uri, output)


def _json(uri: str, value: Json, *, keep_ms: int = 0) -> Held:
    text = msgspec.json.encode(value).decode()
    return Held([{"uri": uri, "mimeType": JSON, "text": text}], keep_ms)


def _held_by(block: Mapping[str, Any], uri: str) -> Mapping[str, Any] | None:
    """A block of a result as what a resource holds; None of a link, which holds nothing."""
    match block["type"]:
        case "text":
            return {"uri": uri, "mimeType": TEXT, "text": block["text"]}
        case "image" | "audio":
            return {"uri": uri, "mimeType": block["mimeType"], "blob": block["data"]}
        case "resource":
            inner: Mapping[str, Any] = block["resource"]
            return inner
        case _:
            return None


# --- finding ------------------------------------------------------------------------------


async def _find_run(asked: Asked) -> None:
    await asked.service.get_run(asked.caller, asked.values["run"])


async def _find_workflow(asked: Asked) -> None:
    await asked.service.get_workflow(asked.caller, asked.values["name"])


async def _find_tool(asked: Asked) -> None:
    await _spec(asked)


async def _find_datasource(asked: Asked) -> None:
    if asked.values["name"] not in await _datasources(asked.service, asked.caller):
        raise no_resource(asked.uri)


async def _spec(asked: Asked) -> ToolSpec:
    for spec in await asked.service.list_tools(asked.caller):
        if spec.name == asked.values["name"]:
            return spec
    raise no_resource(asked.uri)


# --- completing ---------------------------------------------------------------------------


async def _runs(service: Service, caller: Caller) -> Sequence[str]:
    """The newest ones."""
    return [run.id for run in (await service.list_runs(caller, page_size=100)).runs]


async def _workflows(service: Service, caller: Caller) -> Sequence[str]:
    return [workflow.name for workflow in await service.list_workflows(caller)]


async def _tools(service: Service, caller: Caller) -> Sequence[str]:
    return [spec.name for spec in await service.list_tools(caller)]


async def _datasources(service: Service, caller: Caller) -> Sequence[str]:
    return [datasource.name for datasource in await service.datasources.list(caller)]


RUN: Final = Own(
    template=template(f"{OURS}://runs/{{run}}"),
    name="run",
    title="A run",
    description="Where a run stands, what it waits for, and why it failed.",
    find=_find_run,
    read=_run,
    values=_runs,
)
EVENTS: Final = Own(
    template=template(f"{OURS}://runs/{{run}}/events{{?cursor}}"),
    name="run_log",
    title="The log of a run",
    description="What a run has done, oldest first; `next` is the URI of what comes after.",
    find=_find_run,
    read=_events,
    values=_runs,
)
RESULT: Final = Own(
    template=template(f"{OURS}://runs/{{run}}/result"),
    name="run_result",
    title="The result of a run",
    description="The whole output of a run that has completed.",
    find=_find_run,
    read=_result,
    values=_runs,
)
WORKFLOW: Final = Own(
    template=template(f"{OURS}://workflows/{{name}}"),
    name="workflow",
    title="A workflow",
    description="The newest version of a workflow, as it was put.",
    mime="application/yaml",
    find=_find_workflow,
    read=_workflow,
    values=_workflows,
)
TOOL: Final = Own(
    template=template(f"{OURS}://tools/{{name}}"),
    name="tool",
    title="A tool",
    description="What a tool says of itself, with the hash of it that is pinned.",
    find=_find_tool,
    read=_tool,
    values=_tools,
)
SCHEMA: Final = Own(
    template=template(f"{OURS}://datasources/{{name}}/schema"),
    name="schema",
    title="The schema of a datasource",
    description="The tables of a datasource with their columns, types and keys.",
    find=_find_datasource,
    read=_schema,
    values=_datasources,
)
OWN: Final = (RUN, EVENTS, RESULT, WORKFLOW, TOOL, SCHEMA)
