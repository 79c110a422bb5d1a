"""Tools that become tasks, and one that never does."""

import asyncio
from typing import Final

from dev.conformance.questions import NAME

from stepwell import Question, ToolFailed, ask, ask_all, tool
from stepwell.errors import Code

CONFIRM: Final = {
    "type": "object",
    "properties": {"confirm": {"type": "boolean"}},
    "required": ["confirm"],
}


@tool(read_only=True, task="never")
async def greet(name: str) -> str:
    """Greets somebody."""
    return f"Hello, {name}!"


@tool(read_only=True, task="eager")
async def slow_compute(seconds: float, label: str = "") -> str:
    """Takes so many seconds."""
    await asyncio.sleep(seconds)
    return f"computed {label} in {seconds} s"


@tool(read_only=True, task="required")
async def failing_job() -> str:
    """Fails after a second."""
    await asyncio.sleep(1)
    raise ToolFailed("the job has failed, as it always does", retryable=False)


@tool(read_only=True, task="eager")
async def protocol_error_job() -> str:
    """Breaks, as if there were a defect."""
    raise ToolFailed("the job broke", code=Code.INTERNAL, retryable=False)


@tool(read_only=True, task="eager")
async def confirm_delete(filename: str) -> str:
    """Asks before it deletes a file, and deletes none."""
    reply = await ask(f"Delete {filename}?", schema=CONFIRM, key="confirm")
    return f"{filename}: {reply.action}"


@tool(read_only=True, task="eager")
async def multi_input() -> str:
    """Asks two things at once."""
    replies = await ask_all(
        {
            "name": Question("What is your name?", schema=NAME),
            "confirm": Question("Is that right?", schema=CONFIRM),
        }
    )
    return ", ".join(f"{key}: {reply.content}" for key, reply in replies.items())


@tool(read_only=True, task="required")
async def test_tool_with_task() -> str:
    """Asks for a name at once, and then works for a while."""
    reply = await ask("What is your name?", schema=NAME, key="user_name")
    await asyncio.sleep(0.2)
    return f"Hello, {(reply.content or {}).get('name', 'nobody')}!"
