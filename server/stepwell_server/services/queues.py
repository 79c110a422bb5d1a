"""QueueService: how many go on at a time."""

from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Queue
from stepwell.v1 import queue_service_pb2 as pb
from stepwell.v1 import queue_service_pb2_grpc as rpc
from stepwell_server import paging
from stepwell_server.interceptors import Context, current_caller
from stepwell_server.translate import duration, timestamp


class QueueServicer(rpc.QueueServiceServicer):
    """Makes queues and changes their limits."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def PutQueue(self, request: pb.PutQueueRequest, context: Context) -> pb.PutQueueResponse:
        """Makes a queue, or changes its limits."""
        limits = request.limits
        has_rate = limits.HasField("rate")
        queue, created = await self._service.queues.put_queue(
            current_caller(),
            request.name,
            concurrency=limits.concurrency if limits.HasField("concurrency") else None,
            rate=limits.rate.count if has_rate else None,
            per=limits.rate.per.ToTimedelta() if has_rate else None,
        )
        return pb.PutQueueResponse(queue=_message(queue), created=created)

    async def GetQueue(self, request: pb.GetQueueRequest, context: Context) -> pb.GetQueueResponse:
        """One queue, with how many are in it."""
        queue = await self._service.queues.get_queue(current_caller(), request.name)
        return pb.GetQueueResponse(queue=_message(queue))

    async def ListQueues(
        self, request: pb.ListQueuesRequest, context: Context
    ) -> pb.ListQueuesResponse:
        """All of them, by name."""
        page, token = paging.named(
            await self._service.queues.list_queues(current_caller()),
            _message,
            size=request.page_size,
            after=request.page_token,
        )
        return pb.ListQueuesResponse(queues=page, next_page_token=token)

    async def DeleteQueue(
        self, request: pb.DeleteQueueRequest, context: Context
    ) -> pb.DeleteQueueResponse:
        """Forgets one."""
        await self._service.queues.remove_queue(current_caller(), request.name)
        return pb.DeleteQueueResponse()


def _message(queue: Queue) -> pb.Queue:
    limits = pb.QueueLimits(concurrency=queue.concurrency)
    if queue.rate is not None and queue.per_us is not None:
        limits.rate.CopyFrom(pb.QueueRate(count=queue.rate, per=duration(queue.per_us)))
    return pb.Queue(
        name=queue.name,
        limits=limits,
        running=queue.running,
        waiting=queue.waiting,
        updated_at=timestamp(queue.updated_at),
    )
