"""The pages, loaded when somebody wants to see one: most daemons never show any."""

from collections.abc import Callable

from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Receive, Scope, Send


class Lazily:
    """An application that is made at the first request."""

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        self._make = make
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands a request on."""
        if self._app is None:
            self._app = self._make()
        await self._app(scope, receive, send)


def mounted(make: Callable[[], ASGIApp]) -> list[BaseRoute]:
    """The route of whatever no other route takes."""
    return [Mount("/", app=Lazily(make))]
