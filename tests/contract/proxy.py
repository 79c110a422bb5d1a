"""A way to a server that can be cut, stalled and refused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum

CHUNK = 64 * 1024


class Loss(Enum):
    """What is lost of the next exchange that holds a certain word."""

    REQUEST = "request"
    """The connection breaks before the server has it."""

    ANSWER = "answer"
    """The server has answered, and nobody hears it."""


class Proxy:
    """Passes bytes on, on loopback, as long as it is let."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._server: asyncio.Server | None = None
        self._lines: set[_Line] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._losing: tuple[bytes, Loss] | None = None
        self.port = 0
        self.accepted = 0
        """How many connections were made so far."""

    async def accept(self) -> None:
        """Takes connections, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Takes no connection any more, and cuts those that there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.cut()

    async def cut(self) -> None:
        """Cuts every connection."""
        for line in tuple(self._lines):
            line.cut()
        while self._lines:
            await asyncio.sleep(0.001)

    def stall(self) -> None:
        """Keeps connections, and passes nothing on."""
        self._flows.clear()

    def resume(self) -> None:
        """Passes on what waits, and what comes."""
        self._flows.set()

    def lose(self, word: bytes, loss: Loss) -> None:
        """Breaks the connection that brings this word next, before or after the server has it."""
        self._losing = word, loss

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            beyond = await asyncio.open_connection(*self._target)
        except OSError:
            writer.close()
            return
        line = _Line(self, (reader, writer), beyond)
        self._lines.add(line)
        try:
            await line.pass_on()
        finally:
            self._lines.discard(line)

    async def passes(self, data: bytes) -> Loss | None:
        """Waits until bytes of a client may go on; tells what is lost with them."""
        await self._flows.wait()
        if self._losing is None or self._losing[0] not in data:
            return None
        loss, self._losing = self._losing[1], None
        return loss

    async def flows(self) -> None:
        """Waits until bytes may go on."""
        await self._flows.wait()


class _Line:
    """One connection of a client, and the one to the server that it is passed on to."""

    def __init__(
        self,
        proxy: Proxy,
        near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._proxy = proxy
        self._near = near
        self._far = far
        self._is_deaf = False

    def cut(self) -> None:
        for _, writer in (self._near, self._far):
            writer.transport.abort()

    async def pass_on(self) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            there = asyncio.ensure_future(self._there())
            back = asyncio.ensure_future(self._back())
            await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
            for task in (there, back):
                task.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
        self.cut()

    async def _there(self) -> None:
        while data := await self._near[0].read(CHUNK):
            loss = await self._proxy.passes(data)
            if loss is Loss.REQUEST:
                return
            self._is_deaf = self._is_deaf or loss is Loss.ANSWER
            self._far[1].write(data)
            await self._far[1].drain()

    async def _back(self) -> None:
        while data := await self._far[0].read(CHUNK):
            await self._proxy.flows()
            if self._is_deaf:
                return
            self._near[1].write(data)
            await self._near[1].drain()


@asynccontextmanager
async def running_proxy(port: int, host: str = "127.0.0.1") -> AsyncIterator[Proxy]:
    """A proxy while the block lasts."""
    proxy = Proxy(host, port)
    await proxy.accept()
    try:
        yield proxy
    finally:
        proxy.resume()
        await proxy.refuse()
