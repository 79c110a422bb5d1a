"""RetentionService: how long ended runs are kept."""

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

from stepwell.orchestrator.service import Service
from stepwell.v1 import retention_service_pb2 as pb
from stepwell.v1 import retention_service_pb2_grpc as rpc
from stepwell_server.interceptors import Context, current_caller
from stepwell_server.translate import duration


class RetentionServicer(rpc.RetentionServiceServicer):
    """Says how long ended runs are kept."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def GetRetention(
        self, request: pb.GetRetentionRequest, context: Context
    ) -> pb.GetRetentionResponse:
        """How long ended runs are kept."""
        keep = await self._service.retention.get_retention(current_caller())
        return pb.GetRetentionResponse(keep=_message(keep))

    async def SetRetention(
        self, request: pb.SetRetentionRequest, context: Context
    ) -> pb.SetRetentionResponse:
        """Keeps ended runs for a time."""
        keep = request.keep.ToTimedelta() if request.HasField("keep") else None
        await self._service.retention.set_retention(current_caller(), keep)
        return pb.SetRetentionResponse(keep=_message(keep))


def _message(keep: timedelta | None) -> Duration | None:
    return None if keep is None else duration(keep // timedelta(microseconds=1))
