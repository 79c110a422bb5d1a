"""What a client may ask about how long runs are kept."""

from datetime import timedelta

from stepwell.client.connection import Connection
from stepwell.v1 import retention_service_pb2 as pb


class Retention:
    """`client.retention`: how long ended runs are kept."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self) -> timedelta | None:
        """How long ended runs are kept; None is for ever."""
        request = pb.GetRetentionRequest()
        answer = await self._connection.call(self._connection.retention.GetRetention, request)
        return answer.keep.ToTimedelta() if answer.HasField("keep") else None

    async def set(self, keep: timedelta | None) -> None:
        """Keeps ended runs for this long, then they are deleted for good; None is for ever."""
        request = pb.SetRetentionRequest()
        if keep is not None:
            request.keep.FromTimedelta(keep)
        await self._connection.call(self._connection.retention.SetRetention, request)
