"""Watching the log across restarts of the server, without gap or repeat."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

from grpc import aio

from stepwell.client import facts
from stepwell.client.connection import Connection
from stepwell.client.failures import to_error
from stepwell.client.types import EventBatch
from stepwell.errors import StepwellError
from stepwell.v1 import event_service_pb2 as pb

FIRST_PAUSE = 0.05
LAST_PAUSE = 1.0
"""Seconds between two tries that bring nothing; each pause is twice the one before."""


class Watch:
    """One reader's place in the log, and how to go on from it.

    `place` is the last cursor that was received; None is "from now on".
    """

    def __init__(
        self, connection: Connection, run: str, place: str | None, patience: timedelta
    ) -> None:
        self._connection = connection
        self._run = run
        self._place = place
        self._patience = patience.total_seconds()
        self._pause = FIRST_PAUSE
        self._alive_at = 0.0

    async def batches(self) -> AsyncGenerator[EventBatch, None]:
        """Batches as they happen; ends after the event that ends the run.

        Raises:
            StepwellError: the request is refused, nobody listens to begin with, or the server
                is gone for longer than the patience.
        """
        await self._connection.connect()
        self._progress()
        while True:
            try:
                async for message in self._stream():
                    self._place = message.cursor or self._place
                    if message.draining:
                        break
                    self._progress()
                    yield facts.batch(message)
                else:
                    if self._run:
                        return
            except aio.AioRpcError as failure:
                await self._survive(to_error(failure, self._connection.target))
            await self._breathe()

    def _stream(self) -> aio.UnaryStreamCall[pb.WatchEventsRequest, pb.WatchEventsResponse]:
        request = pb.WatchEventsRequest(
            run=self._run, cursor=self._place or "", from_now=self._place is None
        )
        return self._connection.events.WatchEvents(request, metadata=self._connection.metadata)

    def _progress(self) -> None:
        self._pause = FIRST_PAUSE
        self._alive_at = asyncio.get_running_loop().time()

    async def _survive(self, error: StepwellError) -> None:
        """Waits for the server to be back, if the error is one that passes."""
        left = self._alive_at + self._patience - asyncio.get_running_loop().time()
        if not error.retryable or left <= 0:
            raise error
        await self._connection.reconnect(timedelta(seconds=left))

    async def _breathe(self) -> None:
        """A server that is about to stop answers at once: do not ask it without a pause."""
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 2, LAST_PAUSE)
