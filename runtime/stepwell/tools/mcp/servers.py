"""All MCP servers of a runtime: started together, in the background, and ended together."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Final

from stepwell.config import McpServerSettings
from stepwell.errors import Code, SetupError
from stepwell.tools.mcp.server import Admission, Health, McpServer
from stepwell.tools.network import networks_of
from stepwell.tools.registry import ToolRegistry
from stepwell.tools.secrets import Secrets
from stepwell.tools.shelf import Shelf

HEAD_START: Final = timedelta(seconds=4)
"""How long a runtime waits at its start for servers that it has never seen."""


class McpServers:
    """The servers of the settings, by name."""

    def __init__(
        self,
        settings: Mapping[str, McpServerSettings],
        *,
        registry: ToolRegistry,
        admission: Admission,
        secrets: Secrets,
        shelf: Shelf,
    ) -> None:
        """Knows the servers of the settings; none is started before `running`.

        Raises:
            SetupError: what is said of one cannot be; the message names the setting.
        """
        for name, one in settings.items():
            _check(name, one)
        self._servers = {
            name: McpServer(
                name,
                one,
                registry=registry,
                admission=admission,
                secrets=secrets,
                shelf=shelf,
            )
            for name, one in settings.items()
            if one.enabled
        }

    def health(self) -> tuple[Health, ...]:
        """How each is now, by name."""
        return tuple(server.health for _, server in sorted(self._servers.items()))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keeps them connected from entering to leaving.

        What is known of them is offered at once; only those that were never seen are waited for,
        and for no longer than `HEAD_START`.
        """
        if not self._servers:
            yield
            return
        unknown = [server for server in self._servers.values() if not await server.recall()]
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(server.run()) for server in self._servers.values()]
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(HEAD_START.total_seconds()):
                        for server in unknown:
                            await server.tried.wait()
                yield
            finally:
                for task in running:
                    task.cancel()

    def list_again(self) -> None:
        """Has every server's tools looked at again: what was pinned has changed."""
        for server in self._servers.values():
            server.list_again()


def _check(name: str, settings: McpServerSettings) -> None:
    if bool(settings.command) == bool(settings.url):
        raise _invalid(name, "command", "or `url` says what it is: a program or a remote server")
    if settings.url and not settings.url.startswith(("http://", "https://", "secret://")):
        raise _invalid(name, "url", "begins with https:// or http://")
    try:
        networks_of(settings.networks)
    except ValueError as error:
        raise _invalid(name, "networks", str(error)) from error


def _invalid(name: str, setting: str, problem: str) -> SetupError:
    return SetupError(f"tools.servers.{name}.{setting} {problem}", code=Code.INVALID_CONFIG)
