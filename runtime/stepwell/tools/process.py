"""Child processes for calls that must be killable: one mechanism for all of them.

A child is spawned, never forked, when the first call needs it, serves one call at a time and
is used again. A call that is cancelled or takes too long has its child killed, with
everything that the child started; the next call gets a new one. Nothing that a killed call
would still have answered can arrive.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Self

from stepwell.engine.values import Json
from stepwell.errors import Code
from stepwell.tools import frames
from stepwell.tools.modules import Source
from stepwell.tools.port import CallContext, ToolFailed

DEFAULT_SIZE = 4
IMPORT_TIMEOUT = timedelta(seconds=60)
"""How long a child may take to start and to import the function."""

_END_TIMEOUT = 5.0

logger = logging.getLogger(__name__)


class ProcessPool:
    """At most `size` children at a time. An async context manager; `close` ends them all."""

    def __init__(self, *, size: int = DEFAULT_SIZE) -> None:
        self._places = asyncio.Semaphore(size)
        self._idle: list[_Child] = []
        self._alive: set[_Child] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    @property
    def children(self) -> tuple[int, ...]:
        """The process ids of the children that are alive, oldest first."""
        return tuple(sorted(child.pid for child in self._alive))

    async def call(
        self,
        source: Source,
        name: str,
        arguments: Mapping[str, Json],
        *,
        context: CallContext | None = None,
        timeout: timedelta | None = None,
    ) -> Json:
        """Calls the function `name` of a module in a child; gives what it returned, as JSON.

        Waiting for a place and importing the module do not count against `timeout`.

        Raises:
            ToolFailed: the function raised (its own code, else TOOL_ERROR); TOOL_TIMEOUT;
                TOOL_CRASHED, its process died; INVALID_RESULT; LIMIT_EXCEEDED.
        """
        body = frames.encode(frames.Call(source, name, dict(arguments), context))
        if len(body) > frames.MAX_FRAME:
            raise ToolFailed(
                f"the arguments have {len(body)} bytes, the limit is {frames.MAX_FRAME}",
                code=Code.LIMIT_EXCEEDED,
                retryable=False,
            )
        async with self._places:
            child = await self._take()
            try:
                reply = await child.call(body, name, timeout)
            except BaseException:
                await self._end(child)
                raise
            self._idle.append(child)
        if isinstance(reply, frames.Raised):
            raise _failure(reply, name)
        return reply.value

    async def close(self) -> None:
        """Kills every child and waits until they are gone; no call is accepted any more."""
        self._closed = True
        self._idle.clear()
        for child in tuple(self._alive):
            await self._end(child)

    async def _take(self) -> "_Child":
        if self._closed:
            raise ToolFailed("the daemon is stopping; the call was not begun")
        while self._idle:
            child = self._idle.pop()
            if child.is_alive:
                return child
            await self._end(child)
        child = await _Child.start()
        self._alive.add(child)
        return child

    async def _end(self, child: "_Child") -> None:
        try:
            await child.end()
        finally:
            self._alive.discard(child)


class _Child:
    """One child process and the two pipes to it."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        outgoing: asyncio.StreamWriter,
        incoming: asyncio.StreamReader,
    ) -> None:
        self._process = process
        self._outgoing = outgoing
        self._incoming = incoming

    @classmethod
    async def start(cls) -> Self:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "stepwell.tools.child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        child = cls(process, process.stdin, process.stdout)
        child._send(frames.encode(frames.Opening(sys.path)))
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    async def call(
        self, body: bytes, name: str, timeout: timedelta | None
    ) -> frames.Returned | frames.Raised:
        """One call. After an exception the child is of no use any more."""
        try:
            self._send(body)
            await self._outgoing.drain()
            reply = await self._reply(IMPORT_TIMEOUT, f"{name} could not be imported")
            if isinstance(reply, frames.Begun):
                reply = await self._reply(timeout, f"{name} did not end")
        except (OSError, EOFError) as error:
            raise ToolFailed(await self._obituary(name), code=Code.TOOL_CRASHED) from error
        assert not isinstance(reply, frames.Begun)
        return reply

    async def end(self) -> None:
        """Kills the process, with what it started, and waits until it is gone."""
        if self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                if hasattr(os, "killpg"):
                    os.killpg(self.pid, signal.SIGKILL)
                else:
                    self._process.kill()
        self._outgoing.close()
        async with asyncio.timeout(_END_TIMEOUT):
            await self._process.wait()

    def _send(self, body: bytes) -> None:
        self._outgoing.write(frames.HEADER.pack(len(body)) + body)

    async def _reply(self, timeout: timedelta | None, what: str) -> frames.Reply:
        seconds = None if timeout is None else timeout.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                (size,) = frames.HEADER.unpack(await self._incoming.readexactly(frames.HEADER.size))
                return frames.decode_reply(await self._incoming.readexactly(size))
        except TimeoutError as error:
            raise ToolFailed(
                f"{what} within {seconds:g} s and was stopped",
                code=Code.TOOL_TIMEOUT,
            ) from error

    async def _obituary(self, name: str) -> str:
        await self.end()
        status = self._process.returncode or 0
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with exit code {status}"
        return f"the process that ran {name} was ended {how}"


def _failure(reply: frames.Raised, name: str) -> ToolFailed:
    if reply.trace:
        logger.warning("%s raised in its worker process\n%s", name, reply.trace)
    return ToolFailed(
        reply.message, code=reply.code, retryable=reply.retryable, detail=reply.detail
    )
