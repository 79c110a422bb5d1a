"""One call of a tool, whatever its kind."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from stepwell import CallContext, ToolFailed, tool
from stepwell.engine.values import Data
from stepwell.engine.wording import MAX_WORDS
from stepwell.errors import Code, NotFound
from stepwell.tools.invoke import invoke
from stepwell.tools.port import NotBegun, Tool
from stepwell.tools.process import ProcessPool
from stepwell.tools.python import function_tool

pytestmark = pytest.mark.anyio


def made(function: Callable[..., Any]) -> Tool:
    return function_tool(function, processes=ProcessPool())


async def failure(
    function: Callable[..., Any], context: CallContext, **arguments: Any
) -> ToolFailed:
    with pytest.raises(ToolFailed) as failed:
        await invoke(made(function), arguments, context)
    return failed.value


async def test_arguments_are_checked_before_the_tool_is_called(context: CallContext) -> None:
    called: list[int] = []

    @tool
    async def take(number: int) -> None:
        """Takes."""
        called.append(number)

    error = await failure(take, context, numbr=1, number="5")
    assert (error.code, error.retryable, called) == (Code.INVALID_ARGUMENTS, False, [])
    assert error.message == (
        'the arguments of take do not fit its schema: the value has no property "numbr"; '
        'did you mean "number" instead of "numbr"?; known are "number"; '
        'number must be integer, it is the string "5"'
    )


async def test_a_result_becomes_the_json_that_the_log_will_hold(context: CallContext) -> None:
    @dataclass
    class Part:
        cost: Decimal
        at: datetime

    @tool
    async def mixed() -> Any:
        """Returns all kinds of things."""
        at = datetime(2026, 1, 2, tzinfo=UTC)
        return {1: Part(Decimal("1.50"), at), "set": {3}, "nan": float("nan"), "tuple": (1, None)}

    assert await invoke(made(mixed), {}, context) == Data(
        {
            "1": {"cost": "1.50", "at": "2026-01-02T00:00:00Z"},
            "set": [3],
            "nan": None,
            "tuple": [1, None],
        }
    )


@pytest.mark.parametrize(
    "result",
    [object(), {(1, 2): 3}, "\ud800", [complex(1)]],
    ids=["object", "pair as key", "surrogate", "complex"],
)
async def test_a_result_that_is_no_json_is_an_error(context: CallContext, result: object) -> None:
    @tool
    async def odd() -> Any:
        """Returns something odd."""
        return result

    error = await failure(odd, context)
    assert (error.code, error.retryable) == (Code.INVALID_RESULT, False)
    assert "cannot be JSON" in error.message


async def test_a_result_is_checked_against_the_output_schema(context: CallContext) -> None:
    @tool(output_schema={"type": "object", "required": ["total"]})
    async def sum_up(empty: bool) -> Any:
        """Sums up."""
        return {} if empty else {"total": 1}

    assert (await invoke(made(sum_up), {"empty": False}, context)).value == {"total": 1}
    error = await failure(sum_up, context, empty=True)
    assert (error.code, error.retryable) == (Code.INVALID_RESULT, False)
    assert error.message == (
        'the result of sum_up does not fit its output schema: the value lacks "total"'
    )


async def test_an_exception_is_its_type_and_text_and_only_its_stack_is_logged(
    context: CallContext, caplog: pytest.LogCaptureFixture
) -> None:
    @tool
    async def breaks() -> None:
        """Breaks."""
        raise KeyError("te" + "a")

    error = await failure(breaks, context)
    assert (error.code, error.retryable, error.message) == (
        Code.TOOL_ERROR,
        True,
        "KeyError: 'tea'",
    )
    assert "breaks raised in run r, step s, attempt 1" in caplog.text
    assert ", in breaks" in caplog.text
    assert "tea" not in caplog.text


async def test_an_error_of_ours_keeps_its_code(context: CallContext) -> None:
    @tool
    async def finds() -> None:
        """Finds nothing."""
        raise NotFound("no shop", code=Code.DATASOURCE_NOT_FOUND, detail={"name": "shop"})

    error = await failure(finds, context)
    assert (error.code, error.message, error.retryable, error.detail) == (
        Code.DATASOURCE_NOT_FOUND,
        "no shop",
        False,
        {"name": "shop"},
    )


async def test_a_tool_is_stopped_when_its_time_is_over(context: CallContext) -> None:
    stopped = asyncio.Event()

    @tool(timeout=timedelta(milliseconds=10))
    async def hangs() -> None:
        """Hangs."""
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    error = await failure(hangs, context)
    assert (error.code, error.retryable) == (Code.TOOL_TIMEOUT, True)
    assert error.message == "hangs did not end within 0.01 s and was stopped"
    assert stopped.is_set()


async def test_an_answer_that_comes_too_late_is_dropped(
    context: CallContext, caplog: pytest.LogCaptureFixture
) -> None:
    @tool(timeout=timedelta(milliseconds=10))
    async def stubborn() -> str:
        """Will not be cancelled."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "late"
        return ""

    error = await failure(stubborn, context)
    assert error.code is Code.TOOL_TIMEOUT
    assert "the answer is dropped" in caplog.text


async def test_a_timeout_inside_a_tool_is_an_error_of_the_tool(context: CallContext) -> None:
    @tool(timeout=timedelta(seconds=60))
    async def asks() -> None:
        """Asks somebody who does not answer."""
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

    assert (await failure(asks, context)).code is Code.TOOL_ERROR


async def test_cancelling_the_caller_cancels_the_tool(context: CallContext) -> None:
    running, stopped = asyncio.Event(), asyncio.Event()

    @tool(timeout=timedelta(seconds=60))
    async def hangs() -> None:
        """Hangs."""
        running.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    call = asyncio.create_task(invoke(made(hangs), {}, context))
    await running.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert stopped.is_set()


class Wordless(Exception):
    """Has no text: asking for it raises."""

    def __str__(self) -> str:
        raise self


class Unusual(BaseException):
    """Is no Exception."""


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (Unusual("b"), "Unusual: b"),
        (Wordless(), "Wordless"),
        (ValueError("bad \ud800"), "ValueError: bad ?"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_whatever_a_tool_raises_is_a_failure_of_the_tool(
    context: CallContext, error: BaseException, says: str
) -> None:
    @tool
    async def raises() -> None:
        """Raises."""
        raise error

    failed = await failure(raises, context)
    assert (failed.code, failed.message) == (Code.TOOL_ERROR, says)


async def test_the_text_of_an_exception_is_cut_where_it_has_no_end(context: CallContext) -> None:
    @tool
    async def rants() -> None:
        """Raises a long text."""
        raise ValueError("x" * 1_000_000)

    message = (await failure(rants, context)).message
    assert len(message) <= MAX_WORDS
    assert message.startswith("ValueError: xxx")
    assert message.endswith(" characters left out)")


async def test_a_tool_that_cancels_itself_fails(context: CallContext) -> None:
    @tool
    async def quits() -> None:
        """Gives up."""
        raise asyncio.CancelledError

    error = await failure(quits, context)
    assert (error.code, error.message) == (Code.TOOL_ERROR, "quits cancelled itself")


async def test_a_call_begins_after_its_arguments_are_checked_and_before_it_is_made(
    context: CallContext,
) -> None:
    happened: list[str] = []

    @tool(timeout=timedelta(seconds=5))
    async def pay(amount: int) -> None:
        """Pays."""
        happened.append("paid")

    async def begin() -> bool:
        happened.append("begun")
        return True

    async def refuse() -> bool:
        return False

    with pytest.raises(ToolFailed):
        await invoke(made(pay), {"amount": "much"}, context, begin=begin)
    with pytest.raises(NotBegun):
        await invoke(made(pay), {"amount": 1}, context, begin=refuse)
    assert happened == []
    await invoke(made(pay), {"amount": 1}, context, begin=begin)
    assert happened == ["begun", "paid"]
