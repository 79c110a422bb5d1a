"""EventService: reading and watching the log."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import EventBatch
from stepwell.principals import Caller
from stepwell.v1 import event_service_pb2 as pb
from stepwell.v1 import event_service_pb2_grpc as rpc
from stepwell.v1 import events_pb2
from stepwell_server import facts, paging, translate
from stepwell_server.drain import Drain, Draining
from stepwell_server.interceptors import Context, current_caller


class EventServicer(rpc.EventServiceServicer):
    """Reads the log."""

    def __init__(self, service: Service, drain: Drain) -> None:
        self._service = service
        self._drain = drain

    async def ListEvents(
        self, request: pb.ListEventsRequest, context: Context
    ) -> pb.ListEventsResponse:
        """The next events after a cursor."""
        caller, run = current_caller(), translate.run_id(request.run) or None
        limit = paging.page_size(request.page_size, default=paging.MAX_SIZE)
        batch = await self._service.list_events(caller, run=run, cursor=request.cursor, limit=limit)
        async with aclosing(self._frames(caller, run, request.cursor, batch)) as frames:
            first = await anext(frames)
        return pb.ListEventsResponse(
            events=first.events, cursor=first.cursor, caught_up=first.caught_up
        )

    async def WatchEvents(
        self, request: pb.WatchEventsRequest, context: Context
    ) -> AsyncGenerator[pb.WatchEventsResponse, None]:
        """Batches until the run ends, the caller goes, or the server stops."""
        caller, run = current_caller(), translate.run_id(request.run) or None
        cursor = request.cursor
        batches = self._service.watch_events(
            caller, run=run, cursor=None if request.from_now else cursor
        )
        with self._drain.stream():
            async with aclosing(batches):
                try:
                    while batch := await self._drain.interruptible(anext(batches, None)):
                        async for frame in self._frames(caller, run, cursor, batch):
                            yield frame
                        cursor = batch.cursor
                except Draining:
                    yield pb.WatchEventsResponse(cursor=cursor, draining=True)

    async def PublishEvent(
        self, request: pb.PublishEventRequest, context: Context
    ) -> pb.PublishEventResponse:
        """Writes a `custom` event."""
        payload = translate.read_json(request.payload, "payload")
        await self._service.controls.publish_event(
            current_caller(), translate.run_id(request.run), request.type, payload
        )
        return pb.PublishEventResponse()

    async def _frames(
        self, caller: Caller, run: str | None, cursor: str, batch: EventBatch
    ) -> AsyncGenerator[pb.WatchEventsResponse, None]:
        """The batch after `cursor` as one message, or as several where it is too large for one.

        Only a batch has a cursor. The one between two parts is asked of the log again, which
        is rare: events hold at most 16 KiB of each value.
        """
        events: Sequence[events_pb2.Event] = [facts.event(view) for view in batch.events]
        while (count := paging.fitting(events)) < len(events):
            part = await self._service.list_events(caller, run=run, cursor=cursor, limit=count)
            cursor = part.cursor
            yield pb.WatchEventsResponse(events=events[:count], cursor=cursor)
            events = events[count:]
        yield pb.WatchEventsResponse(events=events, cursor=batch.cursor, caught_up=batch.caught_up)
