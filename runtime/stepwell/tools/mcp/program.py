"""A server that is a program of this machine: started by us, spoken to over its standard streams.

It gets the few variables that a program needs and those that it was given by name. It may write
what it likes: lines that are no message are counted and dropped, its standard error is read and
forgotten but for its end, and when it ends, or we do, all that it has started ends with it.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from msgspec import Struct

from stepwell.errors import Code, StepwellError
from stepwell.tools.mcp.lines import LineReader, message_of

CHUNK: Final = 64 * 1024
KEPT_WORDS: Final = 4096
"""Bytes kept of what a server writes to its standard error."""
GRACE: Final = timedelta(seconds=2)
"""How long a server may take to end once its standard input is closed, and once it is told to."""

INHERITED: Final = (
    "APPDATA HOMEDRIVE HOMEPATH LOCALAPPDATA PATH PATHEXT PROCESSOR_ARCHITECTURE SYSTEMDRIVE "
    "SYSTEMROOT TEMP USERNAME USERPROFILE"
    if sys.platform == "win32"
    else "HOME LANG LC_ALL LOGNAME PATH SHELL TERM TMPDIR TZ USER"
).split()
"""The variables that every server gets."""

Streams = tuple[
    MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]
]

_logger = logging.getLogger(__name__)


class NotStarted(StepwellError):
    """The program of an MCP server cannot be started."""

    code = Code.TOOL_UNAVAILABLE
    retryable = True


class Order(Struct, frozen=True, kw_only=True):
    """What to start."""

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    cwd: str = ""


class Program:
    """One life of a server's process."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._words: deque[bytes] = deque()
        self.garbage = 0
        """Lines on its standard output that were no message."""
        self.ended = asyncio.Event()
        """It writes no more, so it will answer nothing."""

    @property
    def words(self) -> str:
        """The end of what it wrote to its standard error."""
        return b"".join(self._words)[-KEPT_WORDS:].decode(errors="replace").strip()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Streams]:
        """The streams of messages from and to it; leaving ends it and all that it has started.

        Raises:
            NotStarted: there is no such command, or it cannot be run.
        """
        process = await self._spawn()
        given, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        outgoing, taken = anyio.create_memory_object_stream[SessionMessage](0)
        readers: list[asyncio.Task[None]] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                readers.append(tasks.create_task(self._read(process, given)))
                readers.append(tasks.create_task(self._write(process, taken)))
                readers.append(tasks.create_task(self._overhear(process)))
                try:
                    yield incoming, outgoing
                finally:
                    incoming.close()
                    outgoing.close()
                    try:
                        await _end(process)
                    finally:
                        for reader in readers:
                            reader.cancel()
        finally:
            for stream in (given, incoming, outgoing, taken):
                stream.close()

    async def _spawn(self) -> asyncio.subprocess.Process:
        order = self._order
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        command = order.command
        if sys.platform == "win32":  # where `npx` is a file named npx.cmd
            command = shutil.which(command, path=order.env.get("PATH")) or command
        try:
            return await asyncio.create_subprocess_exec(
                command,
                *order.args,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=inherited | dict(order.env),
                cwd=order.cwd or None,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            missing = order.cwd if order.cwd and error.filename == order.cwd else order.command
            raise NotStarted(
                f"there is no {missing!r}; install it, or write its whole path (the daemon's PATH "
                f"is {inherited.get('PATH', '')})"
            ) from error
        except (OSError, ValueError) as error:
            raise NotStarted(f"{order.command!r} cannot be run: {error}") from error

    async def _read(
        self,
        process: asyncio.subprocess.Process,
        given: MemoryObjectSendStream[SessionMessage | Exception],
    ) -> None:
        assert process.stdout is not None
        reader = LineReader()
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            async with given:
                while chunk := await process.stdout.read(CHUNK):
                    for line in reader.feed(chunk):
                        message = message_of(line)
                        if message is not None:
                            await given.send(SessionMessage(message))
                        elif line.data.strip():
                            self.garbage += 1
        self.ended.set()

    async def _write(
        self,
        process: asyncio.subprocess.Process,
        taken: MemoryObjectReceiveStream[SessionMessage],
    ) -> None:
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            async with taken:
                async for item in taken:
                    text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
                    process.stdin.write(text.encode() + b"\n")
                    await process.stdin.drain()
            return
        self.ended.set()

    async def _overhear(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        kept = 0
        with contextlib.suppress(OSError):
            while chunk := await process.stderr.read(CHUNK):
                self._words.append(chunk[-KEPT_WORDS:])
                kept += len(self._words[-1])
                while kept - len(self._words[0]) >= KEPT_WORDS:
                    kept -= len(self._words.popleft())


async def _end(process: asyncio.subprocess.Process) -> None:
    """Closes its input, and ends what is still there after a while."""
    if process.stdin is not None:
        process.stdin.close()
    for number in (None, signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        if number is not None:
            _signal(process, number)
        try:
            async with asyncio.timeout(GRACE.total_seconds()):
                await process.wait()
                break
        except TimeoutError:
            continue
        except asyncio.CancelledError:
            _signal(process, getattr(signal, "SIGKILL", signal.SIGTERM))
            raise
    _signal(process, getattr(signal, "SIGKILL", signal.SIGTERM))  # what it has left behind


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    """Signals all of the process's group, which is its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.send_signal(number)
        else:
            os.killpg(process.pid, number)
