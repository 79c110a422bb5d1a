"""Tools that leave a line for every call in a file outside the home.

The environment names the file (`LEDGER`) and says which daemon it is (`DAEMON`), and in which of
its lives (`DAEMON_LIFE`). A line is `TIME DAEMON LIFE ATTEMPT KEY RESULT`, appended in one write.
"""

import asyncio
import json
import os
import random
import time
from pathlib import Path

from stepwell import CallContext, ask, tool

LONGEST_PAUSE = 0.06
"""Seconds, before and after the line is written."""

FEE = 5


def note(context: CallContext, result: int | str) -> None:
    """Appends the line of a call: it has its effect now."""
    daemon, life = os.environ["DAEMON"], os.environ["DAEMON_LIFE"]
    line = f"{time.time_ns() // 1000} {daemon} {life} {context.attempt} {context.key}"
    ledger = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND)
    try:
        os.write(ledger, f"{line} {json.dumps(result)}\n".encode())
    finally:
        os.close(ledger)


def pause() -> float:
    """A moment of random length, in seconds."""
    return random.uniform(0, LONGEST_PAUSE)


def is_open(gate: str) -> bool:
    """Whether the test lets a held call go on: the file is there."""
    return Path(gate).exists()


async def work(context: CallContext, result: int) -> int:
    """Takes a moment, has its effect, and takes another moment to come back."""
    await asyncio.sleep(pause())
    note(context, result)
    await asyncio.sleep(pause())
    return result


def work_apart(context: CallContext, result: int) -> int:
    """The same in a worker process."""
    time.sleep(pause())
    note(context, result)
    time.sleep(pause())
    return result


@tool(idempotent=True)
async def double(number: int, context: CallContext) -> int:
    """Doubles a number, in the daemon."""
    return await work(context, number * 2)


@tool(idempotent=True)
def square(number: int, context: CallContext) -> int:
    """Squares a number, in a worker process."""
    return work_apart(context, number * number)


@tool(idempotent=True)
async def stumble(number: int, context: CallContext) -> int:
    """Adds one, but not at the first attempt."""
    if context.attempt == 1:
        raise ValueError("not yet")
    return await work(context, number + 1)


@tool
async def charge(number: int, context: CallContext) -> int:
    """Adds a fee, in the daemon; may not be repeated."""
    return await work(context, number + FEE)


@tool
def charge_apart(number: int, context: CallContext) -> int:
    """Adds a fee, in a worker process; may not be repeated."""
    return work_apart(context, number + FEE)


@tool(idempotent=True)
async def hold(gate: str, context: CallContext) -> str:
    """Waits until a file is there; may be repeated."""
    note(context, "held")
    while not is_open(gate):
        await asyncio.sleep(0.01)
    return "held"


@tool
async def pay(gate: str, context: CallContext) -> str:
    """Waits in the daemon until a file is there; may not be repeated."""
    note(context, "paid")
    while not is_open(gate):
        await asyncio.sleep(0.01)
    return "paid"


@tool
def pay_apart(gate: str, context: CallContext) -> str:
    """Waits in a worker process until a file is there; may not be repeated."""
    note(context, "paid")
    while not is_open(gate):
        time.sleep(0.01)
    return "paid"


@tool(read_only=True)
async def wait_for(gate: str) -> str:
    """Ends when a file is there; changes nothing, so anybody may call it."""
    while not is_open(gate):
        await asyncio.sleep(0.01)
    return f"passed {Path(gate).name}"


@tool(read_only=True, task="eager")
async def confirm(what: str) -> str:
    """Asks whoever called it, and changes nothing."""
    reply = await ask(f"{what}?")
    return f"{what}: {reply.action}"
