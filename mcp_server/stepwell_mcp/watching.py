"""One reader of each namespace, for all of the clients that follow something of it."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Final, Generic, TypeAlias, TypeVar

import anyio
from anyio.abc import TaskGroup

from stepwell.errors import StepwellError
from stepwell.principals import Caller

READER: Final = "service:mcp"
"""Who reads; what a client is told of it is looked up as that client."""
AGAIN: Final = 1.0
"""Seconds until it is read again what could not be."""

T = TypeVar("T")
Hear: TypeAlias = Callable[[T | None], None]
"""Is told what was read; None when something may have been missed."""

_logger = logging.getLogger(__name__)


class Watching(Generic[T]):
    """Reads a namespace while somebody follows it."""

    def __init__(
        self, tasks: TaskGroup, watch: Callable[[Caller], AsyncGenerator[T, None]]
    ) -> None:
        """`watch` tells something at once, when it sees all that comes from then on."""
        self._tasks = tasks
        self._watch = watch
        self._readers: dict[str, _Reader[T]] = {}

    @asynccontextmanager
    async def following(self, namespace: str, hear: Hear[T]) -> AsyncIterator[None]:
        """Tells `hear` whatever is read while this is open; it must not wait."""
        reader = self._readers.get(namespace)
        if reader is None:
            reader = self._readers[namespace] = _Reader()
            self._tasks.start_soon(self._read, namespace, reader)
        token = object()
        reader.listeners[token] = hear
        try:
            await reader.has_begun.wait()
            yield
        finally:
            del reader.listeners[token]
            if not reader.listeners:
                reader.scope.cancel()
                if self._readers.get(namespace) is reader:
                    del self._readers[namespace]

    async def _read(self, namespace: str, reader: "_Reader[T]") -> None:
        with reader.scope:
            while True:
                try:
                    await self._read_on(namespace, reader)
                except StepwellError as error:
                    _logger.warning("changes in %s cannot be read now: %s", namespace, error)
                except Exception:  # it would end the whole door
                    _logger.exception("changes in %s cannot be read now", namespace)
                await anyio.sleep(AGAIN)

    async def _read_on(self, namespace: str, reader: "_Reader[T]") -> None:
        is_again = reader.has_begun.is_set()
        async with aclosing(self._watch(Caller(namespace, READER))) as batches:
            async for each in batches:
                for hear in tuple(reader.listeners.values()):
                    hear(None if is_again else each)
                is_again = False
                reader.has_begun.set()


class _Reader(Generic[T]):
    """Who reads one namespace, and for whom."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.has_begun = anyio.Event()
        self.listeners: dict[object, Hear[T]] = {}


class Dirty(Generic[T]):
    """What has changed since it was looked at; many changes of one thing are one."""

    def __init__(self) -> None:
        self._things: set[T] = set()
        self._event = anyio.Event()

    def note(self, *things: T) -> None:
        """These have changed."""
        if things:
            self._things.update(things)
            self._event.set()

    async def next(self) -> set[T]:
        """All that has, as soon as something has."""
        await self._event.wait()
        self._event = anyio.Event()
        things, self._things = self._things, set()
        return things
