"""What a client may ask about queues."""

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

from stepwell.client.connection import Connection
from stepwell.client.decode import instant
from stepwell.client.types import Queue
from stepwell.v1 import queue_service_pb2 as pb


class Queues:
    """`client.queues`: how many runs or steps go on at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def put(
        self,
        name: str,
        *,
        concurrency: int | None = None,
        rate: int | None = None,
        per: timedelta | None = None,
    ) -> Queue:
        """Makes a queue, or replaces its limits, which hold at once.

        At most `concurrency` have a place at a time, and at most `rate` get one in any `per`; None
        is no limit.
        """
        limits = pb.QueueLimits(concurrency=concurrency)
        if rate is not None or per is not None:
            length = Duration()
            length.FromTimedelta(per or timedelta(0))
            limits.rate.CopyFrom(pb.QueueRate(count=rate or 0, per=length))
        request = pb.PutQueueRequest(name=name, limits=limits)
        answer = await self._connection.call(self._connection.queues.PutQueue, request)
        return _queue(answer.queue, created=answer.created)

    async def get(self, name: str) -> Queue:
        """One queue, with how many are in it."""
        request = pb.GetQueueRequest(name=name)
        return _queue(
            (await self._connection.call(self._connection.queues.GetQueue, request)).queue
        )

    async def list(self) -> tuple[Queue, ...]:
        """All of them, by name."""
        found: tuple[Queue, ...] = ()
        request = pb.ListQueuesRequest(page_size=1000)
        while True:
            answer = await self._connection.call(self._connection.queues.ListQueues, request)
            found += tuple(map(_queue, answer.queues))
            if not answer.next_page_token:
                return found
            request.page_token = answer.next_page_token

    async def delete(self, name: str) -> None:
        """Forgets one that nobody is in; else `FailedPrecondition`, NOT_APPLICABLE."""
        request = pb.DeleteQueueRequest(name=name)
        await self._connection.call(self._connection.queues.DeleteQueue, request)


def _queue(message: pb.Queue, *, created: bool = False) -> Queue:
    limits = message.limits
    has_rate = limits.HasField("rate")
    return Queue(
        name=message.name,
        concurrency=limits.concurrency if limits.HasField("concurrency") else None,
        rate=limits.rate.count if has_rate else None,
        per=limits.rate.per.ToTimedelta() if has_rate else None,
        running=message.running,
        waiting=message.waiting,
        updated_at=instant(message.updated_at),
        created=created,
    )
