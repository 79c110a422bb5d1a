"""The runtime of a home in this process, with one MCP client on two file descriptors."""

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import anyio
import anyio.to_thread

from stepwell.bootstrap import open_runtime
from stepwell.clock import SystemClock
from stepwell.config import load_settings
from stepwell.vault.state_key import open_state_boxes
from stepwell_mcp.connection import Connection
from stepwell_mcp.selection import Offering
from stepwell_mcp.server import build_server
from stepwell_server.home import Home

CHUNK = 64 * 1024


async def serve_stdio(
    home: Path, client_in: int, client_out: int, *, chosen: Mapping[str, str]
) -> None:
    """Serves the client until it stops sending, or until SIGTERM; `chosen` as in `Connection`.

    Raises:
        SetupError: HOME_IN_USE, or what is wrong with a setting.
    """
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    os.umask(0o077)  # the database, its log and whatever else comes: the owner's alone
    settings = load_settings(home, os.environ, {})
    place = Home(settings.home)
    place.create()
    with place.hold(since=SystemClock().now()):
        async with open_runtime(settings) as runtime:
            server = build_server(
                runtime.service,
                wait=settings.mcp.wait,
                task_after=settings.mcp.task_after,
                offering=Offering.of(settings),
                states=open_state_boxes(settings.mcp.state_key, settings.home, os.environ),
            )
            gc.freeze()
            gc.enable()
            # Inside the runtime: a scope that is cancelled cancels whatever is awaited in it, and
            # the runtime has to wait for its own end.
            with anyio.CancelScope() as serving:
                if sys.platform != "win32":
                    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, serving.cancel)
                pipe = DescriptorPipe(client_in, client_out)
                await Connection(server, pipe, chosen=chosen).run()


class DescriptorPipe:
    """Bytes over file descriptors of any kind: pipes, files, terminals.

    It reads in a thread that does not keep the process alive: a read of stdin cannot be
    interrupted.
    """

    def __init__(self, read_from: int, write_to: int) -> None:
        self._read_from = read_from
        self._write_to = write_to
        self._loop = asyncio.get_running_loop()
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue()
        self._room = threading.Semaphore(4)
        threading.Thread(target=self._read, daemon=True).start()

    async def receive(self) -> bytes:
        """What came in.

        Raises:
            EndOfStream: nothing will come any more.
        """
        chunk = await self._chunks.get()
        self._room.release()
        if not chunk:
            raise anyio.EndOfStream
        return chunk

    async def send(self, item: bytes) -> None:
        """Writes all of it.

        Raises:
            BrokenResourceError: nobody reads it any more.
        """
        try:
            await anyio.to_thread.run_sync(_write, self._write_to, item)
        except OSError as error:
            raise anyio.BrokenResourceError from error

    def _read(self) -> None:
        chunk = None
        while chunk != b"":
            self._room.acquire()
            try:
                chunk = os.read(self._read_from, CHUNK)
            except OSError:
                chunk = b""
            try:
                self._loop.call_soon_threadsafe(self._chunks.put_nowait, chunk)
            except RuntimeError:
                return  # the loop has ended, and nobody wants the chunk


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
