"""Tools that live in a file, as a user writes them."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from stepwell.tools.loading import load_tools
from stepwell.tools.port import CallContext, Tool
from stepwell.tools.process import ProcessPool

TOOLS = '''
"""Tools for tests."""
import ctypes
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec

from stepwell import CallContext, ToolFailed, tool


@dataclass
class Sum:
    total: int
    key: str


@tool
def add(a: int, b: int = 2, *, context: CallContext) -> Sum:
    """Adds."""
    return Sum(a + b, context.key)


@tool
def pid() -> int:
    """Tells in which process it runs."""
    return os.getpid()


@tool
def prints(text: str) -> str:
    """Writes to standard output in every way there is."""
    print(text, flush=True)
    os.write(1, text.encode())
    subprocess.run([sys.executable, "-c", f"print({text!r})"], check=True)
    return sys.stdin.read()


@tool
def says(text: str) -> None:
    """Prints a line."""
    print(text)


@tool(timeout=timedelta(seconds=0.3))
def naps(seconds: float, mark: str, late: str = "") -> None:
    """Says that it runs, sleeps with a child of its own, then writes `late`."""
    sleeper = subprocess.Popen(["sleep", "60"])
    Path(mark).write_text(f"{os.getpid()} {sleeper.pid}")
    time.sleep(seconds)
    sleeper.kill()
    if late:
        Path(late).touch()


@tool
def waits(mark: str) -> None:
    """Says that it runs, and never ends."""
    naps(60, mark)


@tool
def raises() -> None:
    """Raises."""
    raise ValueError("no such luck")


@tool
def fails() -> None:
    """Fails as a tool may."""
    raise ToolFailed("out of stock", retryable=False, detail={"item": "tea"})


@tool
def leaves(code: int) -> None:
    """Ends its process."""
    os._exit(code)


@tool
def kills() -> None:
    """Dies by a signal."""
    os.kill(os.getpid(), 11)


@tool
def forks(number: int) -> int:
    """Comes back twice."""
    os.fork()
    return number


@tool
def orphans(mark: str) -> None:
    """Ends its process, but not a copy of it, which holds the pipes as a C library's fork does."""
    if ctypes.CDLL(None).fork() == 0:
        Path(mark).write_text(str(os.getpid()))
        time.sleep(60)
    while not Path(mark).exists():
        time.sleep(0.005)
    os._exit(7)


@tool
def interrupts(frame: str) -> int:
    """Writes to every pipe of its process."""
    for descriptor in range(3, 20):
        try:
            os.write(descriptor, bytes.fromhex(frame))
        except OSError:
            continue
    return 1


@tool
def gives_object() -> object:
    """Returns what is no JSON."""
    return object()


@tool
def gives(size: int) -> str:
    """Returns a long string."""
    return "x" * size
'''

Tools = Callable[[ProcessPool], dict[str, Tool]]


@pytest.fixture
def context() -> CallContext:
    return CallContext(
        namespace="default", principal="agent:local", run="r", step="s", attempt=1, key="key-1"
    )


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    """`tools(pool)` are the tools of the file above, by name."""
    path = tmp_path / "my_tools.py"
    path.write_text(TOOLS)

    def load(processes: ProcessPool) -> dict[str, Tool]:
        return {tool.spec.name: tool for tool in load_tools([str(path)], processes=processes)}

    return load


@pytest.fixture
def written() -> Callable[..., object]:
    """`await written(path)` gives the text of a file as soon as it has one, within five seconds."""

    async def wait(path: Path) -> str:
        async with asyncio.timeout(5):
            while not (path.exists() and path.read_text()):
                await asyncio.sleep(0.005)
        return path.read_text()

    return wait
