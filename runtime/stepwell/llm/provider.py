"""What an adapter is given and what it offers; the router makes one per provider."""

from datetime import timedelta
from typing import Final, Protocol

from msgspec import Struct

from stepwell.llm.port import ModelReply, ModelRequest

CONNECT_TIMEOUT: Final = 5.0
"""Seconds until a connection has to stand; a provider that is up answers in far less."""


class Endpoint(Struct, frozen=True, kw_only=True):
    """A provider as it is configured: where it is, who we are, and how long we wait.

    `name` is the part before the colon of `provider:model`, and marks the opaque parts that
    only this provider is sent again. `base_url` of None is the SDK's own. `timeout` is for
    one whole call.
    """

    name: str
    base_url: str | None = None
    api_key: str = ""
    key_variable: str = ""
    timeout: timedelta = timedelta(minutes=2)


class Provider(Protocol):
    """One provider, with its connections."""

    async def complete(self, model: str, request: ModelRequest) -> ModelReply:
        """Asks one of its models once.

        Raises:
            ModelError: as `stepwell.llm.port.Model.complete`.
        """
        ...

    async def aclose(self) -> None:
        """Closes its connections."""
        ...
