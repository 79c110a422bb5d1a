"""A PgBouncer in front of a server, in transaction mode: no two transactions need share a session."""

import asyncio
import os
import pwd
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

SETTINGS = """
[databases]
* = host=127.0.0.1 port={server} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
"""


def is_installed() -> bool:
    return shutil.which("pgbouncer") is not None


@asynccontextmanager
async def running_pgbouncer(server: int) -> AsyncIterator[int]:
    """A pooler while the block lasts; its port. `server` is the port of the server behind it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    # As root it would not run, and pytest's folders are closed to other users.
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="stepwell-pgbouncer-") as folder:
        settings = Path(folder, "pgbouncer.ini")
        settings.write_text(SETTINGS.format(server=server, port=port))
        Path(folder).chmod(0o755)
        process = await asyncio.create_subprocess_exec(
            "pgbouncer", "--quiet", str(settings), cwd=folder, user=user
        )
        try:
            await _until_listening(port)
            yield port
        finally:
            process.kill()
            await process.wait()


async def _until_listening(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return
