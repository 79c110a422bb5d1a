"""Child processes for calls that must be killable: one mechanism for all of them.

A child is spawned, never forked, when the first call needs it, serves one call at a time and
is used again. A call that is cancelled or takes too long has its child killed, with
everything that the child started; the next call gets a new one. Nothing that a killed call
would still have answered can arrive. A child that ends by itself takes with it what it
started as well, and its call fails at once, whoever else still holds the pipes.
"""

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Self, cast

import msgspec

from stepwell.engine.values import Json
from stepwell.errors import Code
from stepwell.tools import frames
from stepwell.tools.modules import Source
from stepwell.tools.port import Begin, CallContext, NotBegun, ToolFailed

DEFAULT_SIZE = 4
IMPORT_TIMEOUT = timedelta(seconds=60)
"""How long a child may take to start and to import the function."""

_END_TIMEOUT = 5.0
_BUFFER = 64 * 1024

logger = logging.getLogger(__name__)


class ProcessPool:
    """At most `size` children at a time. An async context manager; `close` ends them all."""

    def __init__(self, *, size: int = DEFAULT_SIZE) -> None:
        self._places = asyncio.Semaphore(size)
        self._idle: list[_Child] = []
        self._alive: set[_Child] = set()
        self._closed = False
        self._numbers = itertools.count(1)

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
        begin: Begin | None = None,
    ) -> Json:
        """Calls the function `name` of a module in a child; gives what it returned, as JSON.

        Waiting for a place and importing the module do not count against `timeout`. `begin` is
        awaited when there is a child for the call, before the child hears of it.

        Raises:
            ToolFailed: the function raised (its own code, else TOOL_ERROR); TOOL_TIMEOUT;
                TOOL_CRASHED, its process died; INVALID_RESULT; LIMIT_EXCEEDED.
            NotBegun: `begin` answered False.
        """
        number = next(self._numbers)
        body = frames.encode(frames.Call(number, source, name, dict(arguments), context))
        if len(body) > frames.MAX_FRAME:
            raise ToolFailed(
                f"the arguments have {len(body)} bytes, the limit is {frames.MAX_FRAME}",
                code=Code.LIMIT_EXCEEDED,
                retryable=False,
            )
        async with self._places, self._lent() as child:
            if begin is not None and not await begin():
                raise NotBegun
            reply = await child.call(body, number, name, timeout)
        if isinstance(reply, frames.Raised):
            raise _failure(reply, name)
        return reply.value

    async def close(self) -> None:
        """Kills every child and waits until they are gone; no call is accepted any more."""
        self._closed = True
        self._idle.clear()
        for child in tuple(self._alive):
            await self._end(child)

    @contextlib.asynccontextmanager
    async def _lent(self) -> "AsyncIterator[_Child]":
        """A child for one call; it is ended with a call that it did not answer."""
        child = await self._take()
        try:
            yield child
        except NotBegun:
            self._idle.append(child)
            raise
        except BaseException:
            await self._end(child)
            raise
        self._idle.append(child)

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


class _Process(asyncio.subprocess.SubprocessStreamProtocol):
    """The streams of a child, and when it ended.

    `asyncio.subprocess.Process.wait` also waits until the pipes are closed, which they are not
    as long as anything that the child started holds them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=_BUFFER, loop=loop)
        self.ended = asyncio.Event()
        self._pid: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop when the process has started."""
        super().connection_made(transport)
        # Not asserted: the transports of uvloop are no subclasses of asyncio's.
        self._pid = cast("asyncio.SubprocessTransport", transport).get_pid()

    def process_exited(self) -> None:
        """Called by the loop when the process has ended; what it started ends now as well.

        Not later: once the whole group is gone, its number may be that of somebody else.
        """
        super().process_exited()
        if self._pid is not None and hasattr(os, "killpg"):
            _kill(self._pid)
        if self.stdout is not None:
            self.stdout.set_exception(EOFError())  # whoever else may still hold the pipe
        self.ended.set()


class _OutOfTurn(Exception):
    """What came from the child is no answer to its call."""


class _Child:
    """One child process and the two pipes to it."""

    def __init__(self, transport: asyncio.SubprocessTransport, process: _Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._transport = transport
        self._process = process
        self._outgoing = process.stdin
        self._incoming = process.stdout
        self.pid: int = transport.get_pid()

    @classmethod
    async def start(cls) -> Self:
        loop = asyncio.get_running_loop()
        transport, process = await loop.subprocess_exec(
            lambda: _Process(loop),
            sys.executable,
            "-P",
            "-m",
            "stepwell.tools.child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=None,
            start_new_session=True,
        )
        child = cls(transport, process)
        child._send(frames.encode(frames.Opening(sys.path)))
        return child

    @property
    def is_alive(self) -> bool:
        return not self._process.ended.is_set()

    async def call(
        self, body: bytes, number: int, name: str, timeout: timedelta | None
    ) -> frames.Returned | frames.Raised:
        """One call. After an exception the child is of no use any more."""
        try:
            self._send(body)
            await self._outgoing.drain()
            reply = await self._reply(
                number,
                (frames.Begun, frames.Raised),
                IMPORT_TIMEOUT,
                f"{name} could not be imported",
            )
            if isinstance(reply, frames.Begun):
                reply = await self._reply(
                    number, (frames.Returned, frames.Raised), timeout, f"{name} did not end"
                )
        except (OSError, EOFError) as error:
            raise ToolFailed(await self._obituary(name), code=Code.TOOL_CRASHED) from error
        except _OutOfTurn as error:
            raise ToolFailed(
                f"the process that ran {name} answered what it was not asked and was stopped; "
                "a tool must leave the open files of its process alone",
                code=Code.TOOL_CRASHED,
            ) from error
        assert not isinstance(reply, frames.Begun)
        return reply

    async def end(self) -> None:
        """Kills the process, with what it started, and waits until it is gone."""
        if self.is_alive:
            _kill(self.pid)
        try:
            async with asyncio.timeout(_END_TIMEOUT):
                await self._process.ended.wait()
        finally:
            self._transport.close()

    def _send(self, body: bytes) -> None:
        self._outgoing.write(frames.HEADER.pack(len(body)) + body)

    async def _reply(
        self,
        number: int,
        expected: tuple[type[frames.Reply], ...],
        timeout: timedelta | None,
        what: str,
    ) -> frames.Reply:
        """What the child says next.

        Raises:
            EOFError: it has ended.
            _OutOfTurn: it is no answer to the call of this number, or not an expected one.
            ToolFailed: TOOL_TIMEOUT.
        """
        seconds = None if timeout is None else timeout.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                reply = await self._read()
        except TimeoutError as error:
            raise ToolFailed(
                f"{what} within {seconds:g} s and was stopped",
                code=Code.TOOL_TIMEOUT,
            ) from error
        if reply.number != number or not isinstance(reply, expected):
            raise _OutOfTurn
        return reply

    async def _read(self) -> frames.Reply:
        (size,) = frames.HEADER.unpack(await self._incoming.readexactly(frames.HEADER.size))
        if size > frames.MAX_FRAME:
            raise _OutOfTurn
        try:
            return frames.decode_reply(await self._incoming.readexactly(size))
        except msgspec.MsgspecError as error:
            raise _OutOfTurn from error

    async def _obituary(self, name: str) -> str:
        await self.end()
        status = self._transport.get_returncode() or 0
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with exit code {status}"
        return f"the process that ran {name} was ended {how}"


def _kill(pid: int) -> None:
    """Kills a child with its whole group, where there are groups."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGTERM)  # which ends it at once where there is nothing else


def _failure(reply: frames.Raised, name: str) -> ToolFailed:
    if reply.trace:
        logger.warning("%s raised in its worker process\n%s", name, reply.trace)
    return ToolFailed(
        reply.message, code=reply.code, retryable=reply.retryable, detail=reply.detail
    )
