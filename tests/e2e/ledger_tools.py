"""Tools that leave a line for every call in a file outside the home.

The environment names the file (`LEDGER`) and says which life of the daemon it is
(`DAEMON_LIFE`). A line is `LIFE ATTEMPT KEY`, appended in one write.
"""

import asyncio
import os
import random
import time
from pathlib import Path

from stepwell import CallContext, tool

LONGEST_PAUSE = 0.06
"""Seconds, before and after the line is written."""


def note(context: CallContext) -> None:
    """Appends the line of a call."""
    line = f"{os.environ['DAEMON_LIFE']} {context.attempt} {context.key}\n"
    ledger = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND)
    try:
        os.write(ledger, line.encode())
    finally:
        os.close(ledger)


def pause() -> float:
    """A moment of random length, in seconds."""
    return random.uniform(0, LONGEST_PAUSE)


def is_open(gate: str) -> bool:
    """Whether the test lets a held call go on: the file is there."""
    return Path(gate).exists()


@tool(idempotent=True)
async def double(number: int, context: CallContext) -> int:
    """Doubles a number, in the daemon."""
    await asyncio.sleep(pause())
    note(context)
    await asyncio.sleep(pause())
    return number * 2


@tool(idempotent=True)
def square(number: int, context: CallContext) -> int:
    """Squares a number, in a worker process."""
    time.sleep(pause())
    note(context)
    time.sleep(pause())
    return number * number


@tool(idempotent=True)
async def stumble(number: int, context: CallContext) -> int:
    """Adds one, but not at the first attempt."""
    if context.attempt == 1:
        raise ValueError("not yet")
    note(context)
    await asyncio.sleep(pause())
    return number + 1


@tool(idempotent=True)
async def hold(gate: str, context: CallContext) -> str:
    """Waits until a file is there; may be repeated."""
    note(context)
    while not is_open(gate):
        await asyncio.sleep(0.01)
    return "held"


@tool
async def pay(gate: str, context: CallContext) -> str:
    """Waits in the daemon until a file is there; may not be repeated."""
    note(context)
    while not is_open(gate):
        await asyncio.sleep(0.01)
    return "paid"


@tool
def pay_apart(gate: str, context: CallContext) -> str:
    """Waits in a worker process until a file is there; may not be repeated."""
    note(context)
    while not is_open(gate):
        time.sleep(0.01)
    return "paid"
