"""The socket in the home that the stdio relay speaks to.

A Unix socket where there are any, mode 0600. Elsewhere loopback TCP, whose first line must
be the token from a file in the home that only its owner may read.
"""

import asyncio
import contextlib
import hmac
import logging
import os
import secrets
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import anyio

from stepwell.errors import Code, SetupError
from stepwell_mcp.connection import Connection
from stepwell_mcp.server import McpServer

STOP_GRACE: Final = timedelta(seconds=5)
TOKEN_TIMEOUT: Final = timedelta(seconds=5)
CLOSE_TIMEOUT: Final = timedelta(seconds=1)
GREETING: Final = b"\n"
"""Tells a client that somebody is there; an empty line is no message."""
CHUNK: Final = 64 * 1024

Accept: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]

_logger = logging.getLogger(__name__)


class Client(NamedTuple):
    """Somebody who is connected."""

    connection: Connection
    pipe: "SocketPipe"


class SocketDoor:
    """A socket that is being listened on."""

    def __init__(self, server: McpServer, address: str, token: str = "") -> None:
        self.address = address
        self._server = server
        self._token = token.encode()
        self._clients: dict[asyncio.Task[None], Client] = {}

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._clients)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one client; its troubles are its own."""
        try:
            if not self._token or await self._has_token(reader):
                writer.write(GREETING)
                await self._converse(reader, writer)
        except Exception:
            _logger.exception("a connection to the MCP socket failed")
        finally:
            await _close(writer)

    async def stop(self, grace: timedelta) -> None:
        """Lets every client finish what is in flight; who needs longer than `grace` is cut off."""
        for client in self._clients.values():
            client.connection.stop()
        if self._clients:
            await asyncio.wait(list(self._clients), timeout=grace.total_seconds())
        for task, client in self._clients.items():
            # Before the SDK answers with a bare "Connection closed": the relay knows better
            # what to tell.
            client.pipe.abort()
            task.cancel()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pipe = SocketPipe(reader, writer)
        connection = Connection(self._server, pipe)
        if task := asyncio.current_task():
            self._clients[task] = Client(connection, pipe)
            task.add_done_callback(self._clients.pop)
        await connection.run()

    async def _has_token(self, reader: asyncio.StreamReader) -> bool:
        try:
            async with asyncio.timeout(TOKEN_TIMEOUT.total_seconds()):
                given = await reader.readuntil(b"\n")
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            return False
        return hmac.compare_digest(given.rstrip(b"\n"), self._token)


class SocketPipe:
    """The bytes of one client of the socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def receive(self) -> bytes:
        """What came in.

        Raises:
            EndOfStream: the client stopped sending.
            BrokenResourceError: the client has gone.
        """
        try:
            chunk = await self._reader.read(CHUNK)
        except OSError as error:
            raise anyio.BrokenResourceError from error
        if not chunk:
            raise anyio.EndOfStream
        return chunk

    async def send(self, item: bytes) -> None:
        """Sends all of it, as fast as the client reads.

        Raises:
            BrokenResourceError: the client has gone.
        """
        try:
            self._writer.write(item)
            await self._writer.drain()
        except OSError as error:
            raise anyio.BrokenResourceError from error

    def abort(self) -> None:
        """Hangs up; nothing more is sent."""
        self._writer.transport.abort()


@asynccontextmanager
async def serve_socket(
    server: McpServer, path: Path, *, stop_grace: timedelta = STOP_GRACE
) -> AsyncIterator[SocketDoor]:
    """Serves MCP on a Unix socket, mode 0600, from entering to leaving.

    Leaving takes no new client, answers what is in flight for up to `stop_grace`, and
    removes the socket. A socket file that nobody listens on any more is replaced.

    Raises:
        SetupError: HOME_IN_USE when somebody listens there; INVALID_CONFIG when the path
            cannot be a socket.
    """
    _clear(path)
    bound = _bind(path)
    with contextlib.ExitStack() as leftovers:
        leftovers.callback(path.unlink, missing_ok=True)
        door = SocketDoor(server, str(path))
        async with _listening(
            door, lambda accept: asyncio.start_unix_server(accept, sock=bound), stop_grace
        ):
            yield door


@asynccontextmanager
async def serve_loopback(
    server: McpServer, token_file: Path, *, stop_grace: timedelta = STOP_GRACE
) -> AsyncIterator[SocketDoor]:
    """As `serve_socket`, over TCP on 127.0.0.1 for systems without Unix sockets.

    `address` is `host:port`. The first line of a client must be the token that is written to
    `token_file`, which only its owner may read.
    """
    token = secrets.token_urlsafe(32)
    _write_private(token_file, token)
    bound = socket.create_server(("127.0.0.1", 0))
    host, port = bound.getsockname()
    with contextlib.ExitStack() as leftovers:
        leftovers.callback(token_file.unlink, missing_ok=True)
        door = SocketDoor(server, f"{host}:{port}", token)
        async with _listening(
            door, lambda accept: asyncio.start_server(accept, sock=bound), stop_grace
        ):
            yield door


@asynccontextmanager
async def _listening(
    door: SocketDoor, listen: Callable[[Accept], Awaitable[asyncio.Server]], grace: timedelta
) -> AsyncIterator[None]:
    """Accepts clients while the block runs, then ends them in order."""
    async with asyncio.TaskGroup() as tasks:

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.create_task(door.serve(reader, writer))

        listener = await listen(accept)
        try:
            yield
        finally:
            listener.close()
            await door.stop(grace)


async def _close(writer: asyncio.StreamWriter) -> None:
    """Sends what is left, unless the client does not take it."""
    writer.close()
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT.total_seconds()):
            await writer.wait_closed()
    except (TimeoutError, OSError):
        writer.transport.abort()


def _bind(path: Path) -> socket.socket:
    """A socket that only we may connect to. Nobody can before it listens, so the mode is in time.

    Raises:
        SetupError: the path cannot be a socket.
    """
    bound = socket.socket(socket.AF_UNIX)
    try:
        bound.bind(str(path))
        path.chmod(0o600)
    except OSError as error:
        bound.close()
        raise SetupError(
            f"cannot open the socket {path}: {error}; choose a home with a shorter path that "
            "you may write to (--home)"
        ) from error
    return bound


def _clear(path: Path) -> None:
    """Removes a socket that a dead process left behind, and nothing else.

    Raises:
        SetupError: somebody listens there, or it is no socket.
    """
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise SetupError(f"{path} should be our socket but is a file; move it away")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
            else:
                raise SetupError(
                    f"another process serves MCP on {path}; stop it with: stepwell down",
                    code=Code.HOME_IN_USE,
                )


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
