"""How a run is told to a model: a result, a handle to follow, or a failure to read."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from functools import partial
from typing import Any, Final, get_args

import msgspec
from mcp_types import CallToolResult, ResourceLink, TextContent
from mcp_types.version import MODERN_PROTOCOL_VERSIONS, is_version_at_least
from msgspec import UNSET, Struct
from pydantic import ValidationError

from stepwell.engine.pages import first_page
from stepwell.engine.values import Data, Failure, Json
from stepwell.errors import StepwellError
from stepwell.orchestrator.approvals import PageOf, no_page
from stepwell.orchestrator.views import Run, RunStatus, Waiting, WaitsOn
from stepwell.tools.answers import result_of
from stepwell.tools.port import ToolSpec

RUN_META: Final = "stepwell/run"
ERROR_META: Final = "stepwell/error"
TRUNCATED_META: Final = "stepwell/truncated"
TEXT_LIMIT: Final = 40_000
"""Characters of a text that says what structured content says too; longer ones are cut."""
BEGINNING: Final = 2_000
"""Characters that are left of a text that structured content has in whole."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Structured(Enum):
    """What a client takes as structured content."""

    NOTHING = auto()
    OBJECTS = auto()
    ANYTHING = auto()

    @classmethod
    def of_version(cls, protocol: str) -> "Structured":
        """What the clients of a version of the protocol take."""
        if protocol in MODERN_PROTOCOL_VERSIONS:
            return cls.ANYTHING
        return cls.OBJECTS if is_version_at_least(protocol, "2025-06-18") else cls.NOTHING

    def content(self, value: Json) -> Json:
        """The value as structured content; None where it can only be told as text."""
        is_taken = self is self.ANYTHING or (self is self.OBJECTS and isinstance(value, dict))
        return value if is_taken else None

    def block(self, block: Mapping[str, Json]) -> Mapping[str, Json]:
        """A block of a result, as the clients of the version know it: links are younger than texts."""
        if self is not self.NOTHING or block.get("type") != "resource_link":
            return block
        name = block.get("title") or block.get("name") or "a resource"
        return {"type": "text", "text": f"{name}: {block.get('uri')}"}


class Wait(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a step waits for: a person (`human`), a message (`signal`), a time (`timer`) or a place.

    `about` is the name of the message, or of the queue in which there is no place yet (`queue`);
    `step` is empty where the whole run waits for one. Of a call that is held: which `rules` want a
    person, and why; and the `approval` and its `page`.
    """

    step: str
    on: WaitsOn
    about: str = ""
    until: datetime | None = None
    approval: str = ""
    tool: str = ""
    rules: tuple[str, ...] = ()
    reason: str = ""
    page: str = ""


class Handle(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run that is not over yet, and how to follow it."""

    run: str
    status: RunStatus
    workflow: str
    next: str
    waiting_for: tuple[Wait, ...] = ()


def result_uri(run: str) -> str:
    """The URI under which the output of a run is read."""
    return f"stepwell://runs/{run}/result"


def component(view: type[Struct]) -> dict[str, Any]:
    """The JSON Schema of a struct, with an object at its root as MCP wants it."""
    (_, schemas) = msgspec.json.schema_components([view], ref_template="#/$defs/{name}")
    root = schemas.pop(view.__name__)
    return {**root, "$defs": schemas} if schemas else root


def instant(microseconds: int) -> datetime:
    """An engine time as an aware datetime."""
    return _EPOCH + timedelta(microseconds=microseconds)


def moment_text(microseconds: int) -> str:
    """An engine time as it stands in a sentence."""
    return f"{instant(microseconds):%Y-%m-%d %H:%M:%S} UTC"


HANDLE_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": Handle.__doc__,
    "required": ["run", "status", "workflow", "next"],
    "properties": {
        "run": {"type": "string"},
        "status": {"enum": [status.value for status in RunStatus if not status.ended]},
        "workflow": {"type": "string"},
        "next": {"type": "string"},
        "waiting_for": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["step", "on"],
                "properties": {
                    "step": {"type": "string"},
                    "on": {"enum": list(get_args(WaitsOn))},
                    "about": {"type": "string"},
                    "until": {"type": "string"},
                    "approval": {"type": "string"},
                    "tool": {"type": "string"},
                    "rules": {"type": "array", "items": {"type": "string"}},
                    "reason": {"type": "string"},
                    "page": {"type": "string"},
                },
            },
        },
    },
}
"""Written out, because it is nested in the schemas of tools and must refer to nothing."""


def run_result(
    run: Run, structured: Structured, spec: ToolSpec | None = None, page: PageOf = no_page
) -> CallToolResult:
    """The answer to a call: the run's output, its failure, or a handle while it goes on.

    `spec` is the tool that was called, where it was one: blocks are given out as they came in. `page`
    tells where people see an approval.
    """
    if run.failure is not None:
        return failure_result(run.failure, run=run.id)
    if run.status is RunStatus.CANCELLED:
        return failure_result(Failure("RUN_CANCELLED", "the run was cancelled"), run=run.id)
    if not run.status.ended:
        return json_result(msgspec.to_builtins(handle_of(run, page)), structured, run=run.id)
    value = first_page(shown(run.output))
    return _passed_on(value, spec, structured, run.id) or json_result(value, structured, run=run.id)


def _passed_on(
    value: Json, spec: ToolSpec | None, structured: Structured, run: str
) -> CallToolResult | None:
    """A result made of blocks, as it came in; None where the value is none."""
    is_foreign = spec is not None and spec.kind == "mcp"
    fields = result_of(value)
    if fields is None and is_foreign and isinstance(value, dict) and value.get("content") == []:
        fields = value  # a tool of another server that had nothing to say
    if fields is None:
        return None
    content = fields.get("structuredContent")
    is_short = spec is not None and spec.output_schema is not None and content is None
    if is_short and not is_foreign:
        return None
    # What was cut does not fit the output schema any more, and no client would take it for a result.
    try:
        return CallToolResult.model_validate(
            {
                "content": [structured.block(block) for block in fields["content"]],
                "structuredContent": None if content is None else structured.content(content),
                "isError": is_short,
                "_meta": {**fields.get("_meta", {}), **_truncation(value), RUN_META: run},
            }
        )
    except ValidationError:
        return None


def _truncation(value: Json) -> dict[str, Json]:
    cut = value.get("truncated")
    return {TRUNCATED_META: cut} if cut else {}


def handle_of(run: Run, page: PageOf = no_page) -> Handle:
    """What a model needs to come back to a run."""
    return Handle(
        run=run.id,
        status=run.status,
        workflow=run.workflow,
        next=advice(run, page),
        waiting_for=waits(run, page),
    )


def waits(run: Run, page: PageOf = no_page) -> tuple[Wait, ...]:
    """What a run waits for."""
    return tuple(
        Wait(
            step=one.step,
            on=one.on,
            about=one.about,
            until=None if one.until is None else instant(one.until),
            approval=one.approval,
            tool=one.tool,
            rules=one.rules,
            reason=one.reason,
            page=page(one.approval) if one.approval else "",
        )
        for one in run.waiting
    )


def advice(run: Run, page: PageOf = no_page) -> str:
    """What a model does about a run that has not ended; "" for one that has.

    What a person is asked is a person's to answer: a model is told so, and given no way to.
    """
    if run.status.ended:
        return ""
    follow = f"Call run_get with run={run.id!r} and wait_seconds=20"
    said = [words] if (words := waiting_words(run, page)) else []
    match run.status:
        case RunStatus.PAUSED if any(one.on == "budget" for one in run.waiting):
            said.append(f"The run goes on by itself then. {follow} to see it end.")
        case RunStatus.PAUSED:
            said.append(
                f"Somebody has paused the run. It goes on when a person runs `stepwell resume "
                f"{run.id}`; tell the user, and do not start it again."
            )
        case RunStatus.WAITING:
            said.append(f"The run goes on by itself when that has come. {follow} to see it end.")
        case _:
            said.append(
                f"The run goes on by itself. {follow} until its status is no longer running; "
                "run_events tells what it has done so far."
            )
    return " ".join(said)


def waiting_words(run: Run, page: PageOf = no_page) -> str:
    """What a run waits for, and who can help; "" for one that waits for nothing."""
    return " ".join(dict.fromkeys(map(partial(_advice_on, run.id, page), run.waiting)))


def _advice_on(run: str, page: PageOf, one: Waiting) -> str:
    match one.on:
        case "human" if one.about == "call":
            return _advice_on_held(one, page(one.approval))
        case "human":
            return (
                f"The step {one.step!r} asks a person, and only a person can answer. Tell the user "
                f"that `stepwell show {run}` shows the question and how to answer it."
            )
        case "input":
            return (
                f"The tool {one.tool} asks the user something (question {one.question}), which you "
                f"cannot answer for them. Tell the user that `stepwell show {run}` shows it and "
                f"`stepwell answer {run}` answers it."
            )
        case "signal":
            return (
                f"The step {one.step!r} waits for the message {one.about!r}: send it with "
                "run_signal if that is yours to do."
            )
        case "queue":
            who = f"step {one.step!r}" if one.step else "run"
            return f"The {who} waits for a place in the queue {one.about!r}, behind others."
        case "budget":
            return (
                f"A budget is spent: {one.reason}. Only a person can allow more: tell the user that "
                f"`stepwell show {run}` names the command, and do not start it again."
            )
        case "timer":
            until = "its time" if one.until is None else moment_text(one.until)
            return f"The step {one.step!r} waits until {until}."


def _advice_on_held(one: Waiting, page: str) -> str:
    rules = f" by the rule {', '.join(one.rules)}" if one.rules else ""
    why = f": {one.reason}" if one.reason else ""
    where = f" on {page}" if page else ""
    until = f" until {moment_text(one.until)}" if one.until is not None else ""
    return (
        f"The call of {one.tool} has not been made: policy holds it{rules}{why}. Only a person can "
        f"approve it{until}. Tell the user that the approval {one.approval} waits{where}, with the "
        "exact arguments, and do not call the tool again: once approved, this call is made."
    )


def json_result(value: Json, structured: Structured, *, run: str | None = None) -> CallToolResult:
    """A result as structured content, with its text twin for clients that read only text.

    A long text is cut, and says so: nothing large travels twice, and what no structured content
    tells in whole is a resource of the `run`.
    """
    content = structured.content(value)
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    meta: dict[str, Any] = {RUN_META: run} if run else {}
    if len(text) <= TEXT_LIMIT or (content is None and run is None):
        blocks: list[Any] = [TextContent(type="text", text=text)]
    else:
        blocks = _cut(text, value, structured, run)
        meta[TRUNCATED_META] = {"size": len(text), "limit": TEXT_LIMIT}
    return CallToolResult(content=blocks, structured_content=content, _meta=meta or None)


def _cut(text: str, value: Json, structured: Structured, run: str | None) -> list[Any]:
    """The beginning of a text, and where the whole of it is."""
    is_told = structured.content(value) is not None
    where = ["in structuredContent"] if is_told else []
    where += [f"the resource {result_uri(run)}"] if run else []
    begun = text[: BEGINNING if is_told else TEXT_LIMIT]
    notice = (
        f"[truncated: this result has {len(text)} characters. All of it is {', and '.join(where)}; ask "
        f"for less at once to read it as text. It begins:]\n{begun}"
    )
    blocks: list[Any] = [TextContent(type="text", text=notice)]
    if run and structured is not Structured.NOTHING:
        blocks.append(
            ResourceLink(
                uri=result_uri(run),
                name="result",
                title="The whole result",
                mime_type="text/plain" if isinstance(value, str) else "application/json",
                size=len(text.encode()),
            )
        )
    return blocks


def failure_result(failure: Failure, *, run: str | None = None) -> CallToolResult:
    """A failure that the model can read and act on."""
    lines = [f"{failure.reason}: {failure.message}"]
    lines += [f"- {key}: {text}" for key, text in failure.detail.items() if text not in lines[0]]
    if run:
        lines.append(f"This was run {run}; run_events tells what it did.")
    meta: dict[str, Any] = {ERROR_META: msgspec.to_builtins(failure)}
    if run:
        meta[RUN_META] = run
    text = TextContent(type="text", text="\n".join(lines))
    return CallToolResult(content=[text], is_error=True, _meta=meta)


def refusal_result(error: StepwellError) -> CallToolResult:
    """A refused call, as something that the model can read and mend."""
    failure = Failure(error.code.value, error.message, error.retryable, error.detail)
    return failure_result(failure)


def shown(data: Data | None) -> Json:
    """The value of an output; what is kept beside the log is named when it was not loaded."""
    if data is None:
        return None
    if data.value is not UNSET:
        return data.value
    return reference(data)


def reference(data: Data) -> Json:
    """Names a value without showing it."""
    named: dict[str, Json] = {"sealed": data.sealed} if data.sealed else {}
    if data.blob is not None:
        named |= {"blob": data.blob.digest, "size": data.blob.size}
    return named
