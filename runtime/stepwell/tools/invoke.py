"""One call of a tool, the same for every kind: check, run, check again."""

import asyncio
import logging
from collections.abc import Awaitable

from stepwell.engine.values import Data, Json
from stepwell.errors import Code, StepwellError
from stepwell.tools.answers import result_of
from stepwell.tools.asking import Line, speaking
from stepwell.tools.outcomes import described, stack
from stepwell.tools.port import Begin, CallContext, NotBegun, SelfTimed, Tool, ToolFailed
from stepwell.tools.schema import compiled

logger = logging.getLogger(__name__)


async def invoke(
    tool: Tool,
    arguments: dict[str, Json],
    context: CallContext,
    *,
    begin: Begin | None = None,
    line: Line | None = None,
) -> Data:
    """Calls a tool with arguments that fit its schema; gives a result that fits its schema.

    Cancelling the caller stops the tool. `begin` is awaited right before the tool is called;
    what only waits for a worker process has not begun. On the `line` the tool says and asks.

    Raises:
        NotBegun: `begin` answered False, the tool was not called;
        ToolFailed: INVALID_ARGUMENTS, the tool was not called; TOOL_TIMEOUT; TOOL_CRASHED;
            INVALID_RESULT;
            what the tool itself raised: its code, or TOOL_ERROR with the text of the exception.
    """
    spec = tool.spec
    problems = compiled(spec.input_schema).problems(arguments)
    if problems:
        raise ToolFailed(
            f"the arguments of {spec.name} do not fit its schema: {'; '.join(problems)}",
            code=Code.INVALID_ARGUMENTS,
            retryable=False,
        )
    with speaking(line):
        if isinstance(tool, SelfTimed):
            result = await _outcome(tool, tool.call(arguments, context, begin=begin), context)
        elif begin is not None and not await begin():
            raise NotBegun
        elif spec.timeout is None:
            result = await _call(tool, arguments, context)
        else:
            result = await _call_within(spec.timeout, tool, arguments, context, line)
    if spec.output_schema is not None and spec.kind != "mcp":
        _check_result(tool, result)  # what an MCP server's schema is of was checked already
    return result


async def _call_within(
    timeout: int,
    tool: Tool,
    arguments: dict[str, Json],
    context: CallContext,
    line: Line | None,
) -> Data:
    try:
        async with asyncio.timeout(timeout / 1e6) as scope:
            if line is not None:
                line.runs_within(scope)
            result = await _call(tool, arguments, context)
    except TimeoutError as error:
        raise _late(tool) from error
    if scope.expired():  # it would not be cancelled: what it says now comes too late
        logger.warning("%s answered after its time was over; the answer is dropped", tool.spec.name)
        raise _late(tool)
    return result


def _call(tool: Tool, arguments: dict[str, Json], context: CallContext) -> Awaitable[Data]:
    return _outcome(tool, tool.call(arguments, context), context)


async def _outcome(tool: Tool, call: Awaitable[Data], context: CallContext) -> Data:
    try:
        return await call
    except (ToolFailed, NotBegun):
        raise
    except StepwellError as error:
        raise ToolFailed(
            error.message, code=error.code, retryable=error.retryable, detail=error.detail
        ) from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ToolFailed(f"{tool.spec.name} cancelled itself") from error
    except BaseException as error:  # an exit in a tool is not one of the daemon
        logger.warning(
            "%s raised in run %s, step %s, attempt %d\n%s",
            tool.spec.name,
            context.run,
            context.step,
            context.attempt,
            stack(error),
        )
        raise ToolFailed(described(error)) from error


def _late(tool: Tool) -> ToolFailed:
    seconds = (tool.spec.timeout or 0) / 1e6
    message = f"{tool.spec.name} did not end within {seconds:g} s and was stopped"
    return ToolFailed(message, code=Code.TOOL_TIMEOUT)


def _check_result(tool: Tool, result: Data) -> None:
    assert tool.spec.output_schema is not None
    blocks = result_of(result.value) or {}
    value = blocks.get("structuredContent", result.value)
    problems = compiled(tool.spec.output_schema).problems(value)
    if problems:
        raise ToolFailed(
            f"the result of {tool.spec.name} does not fit its output schema: {'; '.join(problems)}",
            code=Code.INVALID_RESULT,
            retryable=False,
        )
