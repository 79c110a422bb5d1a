"""The socket in the home that the stdio relay speaks to.

A Unix socket where there are any, mode 0600. Elsewhere loopback TCP, whose first line must
be the token from a file in the home that only its owner may read.
"""

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
from typing import Final

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteStream

from stepwell.errors import Code, SetupError
from stepwell_mcp.connection import Connection
from stepwell_mcp.server import McpServer

STOP_GRACE: Final = timedelta(seconds=5)
TOKEN_TIMEOUT: Final = timedelta(seconds=5)

_logger = logging.getLogger(__name__)


class SocketDoor:
    """A socket that is being listened on."""

    def __init__(self, server: McpServer, address: str, token: str = "") -> None:
        self.address = address
        self._server = server
        self._token = token
        self._open: set[Connection] = set()

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._open)

    def stop(self) -> None:
        """Lets every client finish what is in flight, and no more."""
        for connection in self._open:
            connection.stop()

    async def handle(self, stream: SocketStream) -> None:
        """Serves one client; its troubles are its own."""
        try:
            async with stream:
                trusted = await self._trusted(stream)
                if trusted is not None:
                    await self._serve(trusted)
        except Exception:
            _logger.exception("a connection to the MCP socket failed")

    async def _serve(self, stream: ByteStream) -> None:
        connection = Connection(self._server, stream)
        self._open.add(connection)
        try:
            await connection.run()
        finally:
            self._open.discard(connection)

    async def _trusted(self, stream: SocketStream) -> ByteStream | None:
        """The stream behind the token, or None for a client that does not have it."""
        if not self._token:
            return stream
        buffered = BufferedByteStream(stream)
        with anyio.move_on_after(TOKEN_TIMEOUT.total_seconds()):
            try:
                given = await buffered.receive_until(b"\n", 256)
            except (anyio.IncompleteRead, anyio.DelimiterNotFound, anyio.BrokenResourceError):
                return None
            if hmac.compare_digest(given, self._token.encode()):
                return buffered
        return None


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
    try:
        listener = await anyio.create_unix_listener(path, mode=0o600)
    except OSError as error:
        raise SetupError(
            f"cannot open the socket {path}: {error}; choose a home with a shorter path that "
            "you may write to (--home)"
        ) from error
    door = SocketDoor(server, str(path))
    with contextlib.ExitStack() as leftovers:
        leftovers.callback(path.unlink, missing_ok=True)
        async with listener, _serving(door, listener.serve, stop_grace):
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
    listeners = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listeners.extra(SocketAttribute.local_port)  # noqa: S610 - this is no Django
    door = SocketDoor(server, f"127.0.0.1:{port}", token)
    with contextlib.ExitStack() as leftovers:
        leftovers.callback(token_file.unlink, missing_ok=True)
        async with listeners, _serving(door, listeners.serve, stop_grace):
            yield door


@asynccontextmanager
async def _serving(
    door: SocketDoor, serve: Callable[..., Awaitable[None]], grace: timedelta
) -> AsyncIterator[None]:
    """Accepts clients while the block runs, then ends them in order."""
    accepting = anyio.CancelScope()

    async def accept() -> None:
        with accepting:
            await serve(door.handle, tasks)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(accept)
        try:
            yield
        finally:
            accepting.cancel()
            door.stop()
            tasks.cancel_scope.deadline = anyio.current_time() + grace.total_seconds()


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
