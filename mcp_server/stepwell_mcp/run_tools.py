"""`run_start`, `run_get`, `run_result` and the others: how a model begins a run and follows it.

Nothing here answers what a run asks a person. An agent can never approve, so no model is given a
tool for it.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
from mcp_types import Tool, ToolAnnotations
from msgspec import UNSET, Meta, Struct

from stepwell.engine.values import Data, Failure, Json
from stepwell.errors import Code, InvalidRequest, NotFound
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Run, RunEvent, RunStatus
from stepwell.principals import Caller
from stepwell_mcp.result_pages import AnyJson, Part, at, part_of
from stepwell_mcp.results import Handle, Wait, advice, component, instant, reference, shown, waits

MAX_WAIT_SECONDS: Final = 50
"""Below the 60 seconds after which many clients give a request up."""
SHOWN_BYTES: Final = 2000
"""A value in an event that is longer than this is named, so that a page stays readable."""
MOMENTS: Final = frozenset({"at", "retry_at", "expires_at"})
"""The fields of events that are instants."""

RunId = Annotated[str, Meta(min_length=1, description="The id of the run, as a call answered it.")]


class OfRun(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every run tool takes."""

    run: RunId


class RunGet(OfRun, frozen=True, kw_only=True):
    """What run_get takes."""

    wait_seconds: Annotated[
        int,
        Meta(ge=0, le=MAX_WAIT_SECONDS, description="Wait up to this long for the run to end."),
    ] = 0


class RunResult(OfRun, frozen=True, kw_only=True):
    """What run_result takes."""

    cursor: Annotated[
        str, Meta(description="The cursor of the part before; empty is the start.")
    ] = ""
    at: Annotated[
        str,
        Meta(
            pattern="^(/.*)?$",
            max_length=1000,
            description="A JSON Pointer to what of the output is wanted: /rows. Empty is all of it.",
        ),
    ] = ""
    limit: Annotated[
        int, Meta(ge=1000, le=100_000, description="About the most characters to answer.")
    ] = 20_000


class RunEvents(OfRun, frozen=True, kw_only=True):
    """What run_events takes."""

    cursor: Annotated[
        str, Meta(description="The cursor of the page before; empty is the start.")
    ] = ""
    limit: Annotated[int, Meta(ge=1, le=100, description="The most events to answer.")] = 50


class RunSignal(OfRun, frozen=True, kw_only=True):
    """What run_signal takes."""

    name: Annotated[
        str,
        Meta(
            pattern="^[a-z][a-z0-9_.-]{0,63}$",
            description="The name of the message, `about` in what the run waits for.",
        ),
    ]
    payload: Annotated[AnyJson, Meta(description="What the message holds: any JSON.")] = None
    id: Annotated[
        str,
        Meta(
            max_length=128,
            description="A name for this message: sent again under the same one it changes nothing.",
        ),
    ] = ""


class RunCancel(OfRun, frozen=True, kw_only=True):
    """What run_cancel takes."""

    reason: Annotated[str, Meta(max_length=1000, description="Why; it is kept in the log.")] = ""


class RunStart(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What run_start takes."""

    name: Annotated[
        str, Meta(min_length=1, description="The tool or workflow, as it is called here.")
    ]
    arguments: Annotated[dict[str, Any], Meta(description="What it is called with.")] = {}


class RunView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run: `output` once it has completed, `failure` once it has failed.

    Until then `waiting_for` tells what it waits for, and `next` what to do about it.
    """

    run: str
    workflow: str
    status: RunStatus
    created_at: datetime
    ended_at: datetime | None = None
    waiting_for: tuple[Wait, ...] = ()
    next: str = ""
    output: AnyJson = None
    failure: Failure | None = None


class EventsView(Struct, frozen=True, kw_only=True):
    """A page of a run's log; `cursor` continues after it, `caught_up` is true on the last."""

    events: list[dict[str, Any]]
    cursor: str
    caught_up: bool


class ResultView(Part, frozen=True, kw_only=True, omit_defaults=True):
    """A part of the output of a run: `value` if that is all of it, else `items` of its list, or `text`.

    `cursor` continues after it; without one this is the last part. `first` of `total` items, or
    characters, is where it begins. `failure` tells why there is none, `next` what to do until there is.
    """

    run: str
    status: RunStatus
    failure: Failure | None = None
    next: str = ""


ArgumentsT = TypeVar("ArgumentsT", bound=OfRun | RunStart)


class RunTool(Generic[ArgumentsT]):
    """One run tool: its definition, and what it does."""

    def __init__(
        self,
        definition: Tool,
        arguments: type[ArgumentsT],
        answer: Callable[[Service, Caller, ArgumentsT], Awaitable[Struct]],
    ) -> None:
        self.definition = definition
        self._arguments = arguments
        self._answer = answer

    async def call(self, service: Service, caller: Caller, arguments: Mapping[str, Json]) -> Json:
        """Answers a call with JSON.

        Raises:
            InvalidRequest: INVALID_ARGUMENTS, with what does not fit.
            NotFound: there is no such run, with where to find its id.
            StepwellError: whatever the service says.
        """
        try:
            given = msgspec.convert(dict(arguments), self._arguments)
        except msgspec.ValidationError as error:
            taken = ", ".join(self._arguments.__struct_fields__)
            raise InvalidRequest(
                f"the arguments of {self.definition.name} are not right: {error}; it takes {taken}",
                code=Code.INVALID_ARGUMENTS,
            ) from error
        try:
            return msgspec.to_builtins(await self._answer(service, caller, given))
        except NotFound as error:
            if not isinstance(given, OfRun):
                raise
            # The service says where a person looks, and a model has no command line.
            raise NotFound(
                f"there is no run {given.run!r}; its id is in the answer of the call that began it",
                code=Code.RUN_NOT_FOUND,
            ) from error


async def _get(service: Service, caller: Caller, given: RunGet) -> RunView:
    if given.wait_seconds:
        wait = timedelta(seconds=given.wait_seconds)
        return run_view(service, await service.wait_run(caller, given.run, wait))
    return run_view(service, await service.get_run(caller, given.run))


async def _result(service: Service, caller: Caller, given: RunResult) -> ResultView:
    run = await service.get_run(caller, given.run)
    if run.status is not RunStatus.COMPLETED:
        then = advice(run, service.approvals.page)
        return ResultView(run=run.id, status=run.status, failure=run.failure, next=then)
    value = at(shown(run.output), given.at)
    part = part_of(value, cursor=given.cursor, most=given.limit)
    return ResultView(run=run.id, status=run.status, **msgspec.structs.asdict(part))


async def _events(service: Service, caller: Caller, given: RunEvents) -> EventsView:
    batch = await service.list_events(caller, run=given.run, cursor=given.cursor, limit=given.limit)
    return EventsView(
        events=[event_view(event) for event in batch.events],
        cursor=batch.cursor,
        caught_up=batch.caught_up,
    )


async def _signal(service: Service, caller: Caller, given: RunSignal) -> RunView:
    run = await service.controls.signal_run(
        caller, given.run, given.name, given.payload, id=given.id
    )
    return run_view(service, run)


async def _cancel(service: Service, caller: Caller, given: RunCancel) -> RunView:
    return run_view(service, await service.controls.cancel_run(caller, given.run, given.reason))


def run_view(service: Service, run: Run) -> RunView:
    """A run as a model reads it."""
    return RunView(
        run=run.id,
        workflow=run.workflow,
        status=run.status,
        created_at=instant(run.created_at),
        ended_at=None if run.ended_at is None else instant(run.ended_at),
        waiting_for=waits(run, service.approvals.page),
        next=advice(run, service.approvals.page),
        output=shown(run.output),
        failure=run.failure,
    )


def event_view(given: RunEvent) -> dict[str, Any]:
    """An event as a model reads it: instants in ISO 8601, and long values named instead of shown."""
    fields = msgspec.structs.asdict(given.event)
    for name in MOMENTS & fields.keys():
        fields[name] = None if fields[name] is None else instant(fields[name])
    at = msgspec.to_builtins(fields.pop("at"))
    view = {"sequence": given.sequence, "kind": given.kind, "at": at, "by": given.principal}
    for name, value in fields.items():
        view[name] = _brief(value) if isinstance(value, Data) else msgspec.to_builtins(value)
    return view


def _brief(data: Data) -> Json:
    """A value of an event, if it is short and of no datasource: rows are asked for by run_get."""
    if data.sealed or data.value is UNSET:
        return reference(data)
    size = len(msgspec.json.encode(data.value))
    return data.value if size <= SHOWN_BYTES else {"omitted_bytes": size}


def _define(
    name: str, description: str, arguments: type[Struct], view: type[Struct], hints: ToolAnnotations
) -> Tool:
    return Tool(
        name=name,
        description=description,
        input_schema=component(arguments),
        output_schema=component(view),
        annotations=hints,
    )


_READS: Final = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
_BEGINS: Final = ToolAnnotations(read_only_hint=False, idempotent_hint=False)
_TELLS: Final = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False
)
_STOPS: Final = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
)

START: Final = "run_start"


def started(arguments: Mapping[str, Json]) -> tuple[str, Mapping[str, Json]]:
    """What run_start is to start, and with what.

    Raises:
        InvalidRequest: INVALID_ARGUMENTS, it does not say so.
    """
    try:
        given = msgspec.convert(dict(arguments), RunStart)
    except msgspec.ValidationError as error:
        raise InvalidRequest(
            f"the arguments of {START} are not right: {error}; it takes name, arguments",
            code=Code.INVALID_ARGUMENTS,
        ) from error
    return given.name, given.arguments


async def _start(service: Service, caller: Caller, given: RunStart) -> Handle:
    raise AssertionError(f"{START} is a call of {given.name}, and made like one")


RUN_TOOLS: Final[dict[str, RunTool[Any]]] = {
    tool.definition.name: tool
    for tool in (
        RunTool[Any](
            _define(
                START,
                "Starts a tool or workflow and answers its run at once, instead of waiting for the "
                "result: for what takes longer than a request may. Then run_get and run_result.",
                RunStart,
                Handle,
                _BEGINS,
            ),
            RunStart,
            _start,
        ),
        RunTool[Any](
            _define(
                "run_get",
                "Tells the status of a run, with its output or its failure once it has ended, and "
                "what it waits for until then. "
                "Give wait_seconds to wait for the end instead of asking again and again.",
                RunGet,
                RunView,
                _READS,
            ),
            RunGet,
            _get,
        ),
        RunTool[Any](
            _define(
                "run_result",
                "Reads the output of a run that has completed, part by part: give the cursor of "
                "each part to read the next. For outputs that are too long for one answer.",
                RunResult,
                ResultView,
                _READS,
            ),
            RunResult,
            _result,
        ),
        RunTool[Any](
            _define(
                "run_events",
                "Lists what a run has done, oldest first: steps, model calls, tool calls. "
                "Long values are left out; run_get has the output.",
                RunEvents,
                EventsView,
                _READS,
            ),
            RunEvents,
            _events,
        ),
        RunTool[Any](
            _define(
                "run_signal",
                "Sends a message to a run that waits for one, or will; what it holds becomes the "
                "output of the step that waits. It answers no question that a person is asked.",
                RunSignal,
                RunView,
                _TELLS,
            ),
            RunSignal,
            _signal,
        ),
        RunTool[Any](
            _define(
                "run_cancel",
                "Stops a run for good. What its steps have done already stays done.",
                RunCancel,
                RunView,
                _STOPS,
            ),
            RunCancel,
            _cancel,
        ),
    )
}
