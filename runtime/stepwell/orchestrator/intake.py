"""What may begin a run, and when two requests to begin one are the same."""

import hashlib
from typing import Any

import msgspec

from stepwell.definitions.builtin import CALL
from stepwell.engine import codec
from stepwell.engine.graph import Graph
from stepwell.engine.inputs import Fork, Start
from stepwell.engine.values import Json
from stepwell.errors import (
    AlreadyExists,
    Code,
    FailedPrecondition,
    InvalidRequest,
    LimitExceeded,
    NotFound,
)
from stepwell.tools.registry import ToolRegistry
from stepwell.tools.schema import compiled
from stepwell_storage.errors import Duplicate

MAX_INPUT = 4 * 1024 * 1024
"""Bytes of a run's input, and of what it is told; no expression gives more either."""


def check_input(graph: Graph, input: Json, tools: ToolRegistry) -> None:
    """Whether a run of this workflow may begin with this input.

    Raises:
        LimitExceeded: it is too large, or too deep.
        InvalidRequest: INVALID_INPUT, it does not fit the workflow's schema; INVALID_ARGUMENTS,
            those of a direct call do not fit the tool's.
        NotFound: TOOL_NOT_FOUND, a direct call names no published tool.
        FailedPrecondition: TOOL_SUSPENDED, it may not be called now.
    """
    check_payload("input", input)
    problems = compiled(graph.input_schema).problems(input) if graph.input_schema else ()
    if problems:
        raise InvalidRequest(
            f"the input does not fit the workflow {graph.name!r}: {'; '.join(problems)}",
            code=Code.INVALID_INPUT,
            detail={"input": "; ".join(problems)},
        )
    if graph is CALL:
        _check_call(input["tool"], input["arguments"], tools)


def check_payload(field: str, value: Json) -> None:
    """Whether a run may be told this.

    Raises:
        LimitExceeded: it is too large, or too deep.
        InvalidRequest: it has a number that is not finite, or half a character.
    """
    try:
        size = codec.size(value)
    except ValueError as error:
        raise InvalidRequest(
            f"the {field} cannot be JSON: {error}", detail={field: f"cannot be JSON: {error}"}
        ) from error
    if size > MAX_INPUT:
        raise LimitExceeded(
            f"the {field} has {size} bytes, the limit is {MAX_INPUT}; put the data where a tool "
            "can read it, and pass its place"
        )


def request_digest(workflow: str, version: str | None, given: Start) -> str:
    """Of what was asked: a bare name stays the same request when a newer version is put."""
    asked: list[Any] = [workflow, version, given.input.value, given.labels]
    if given.run_key or given.queue:
        asked += [given.run_key, given.queue]
    if given.limits:
        asked.append(given.limits)
    if given.attributes:
        asked.append(given.attributes)
    return hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()


def fork_digest(given: Fork) -> str:
    """Of what was asked of a fork."""
    asked = [given.run, given.sequence, given.step, given.edited, given.input.value, given.labels]
    return hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()


def check_repeat(duplicate: Duplicate, digest: str, request_id: str | None) -> None:
    """Whether a request that uses an id again is the same request.

    Raises:
        AlreadyExists: REQUEST_ID_REUSED, it is another.
    """
    if duplicate.digest != digest:
        raise AlreadyExists(
            f"the request id {request_id!r} was used for another request; "
            "take a new one for each request",
            code=Code.REQUEST_ID_REUSED,
        )


def _check_call(name: str, arguments: Json, tools: ToolRegistry) -> None:
    tool = tools.get(name)
    if tool is None or not tool.spec.published:
        raise NotFound(
            f"there is no published tool {name!r}; `stepwell tools list` shows all",
            code=Code.TOOL_NOT_FOUND,
        )
    if reason := tools.suspension(name):
        raise FailedPrecondition(reason, code=Code.TOOL_SUSPENDED)
    problems = compiled(tool.spec.input_schema).problems(arguments)
    if problems:
        raise InvalidRequest(
            f"the arguments do not fit the tool {name!r}: {'; '.join(problems)}",
            code=Code.INVALID_ARGUMENTS,
            detail={"arguments": "; ".join(problems)},
        )
