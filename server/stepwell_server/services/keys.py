"""KeyService: the keys that data is encrypted with."""

from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import DataKey, RingKey
from stepwell.v1 import key_service_pb2 as pb
from stepwell.v1 import key_service_pb2_grpc as rpc
from stepwell_server import paging, translate
from stepwell_server.interceptors import Context, current_caller


class KeyServicer(rpc.KeyServiceServicer):
    """Keeps keys."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def ListRingKeys(
        self, request: pb.ListRingKeysRequest, context: Context
    ) -> pb.ListRingKeysResponse:
        """The keys of the ring."""
        rings = await self._service.keys.list_rings(current_caller())
        return pb.ListRingKeysResponse(ring_keys=map(_ring_key, rings))

    async def ListKeys(self, request: pb.ListKeysRequest, context: Context) -> pb.ListKeysResponse:
        """Data keys, by name."""
        page = await self._service.keys.list_keys(
            current_caller(),
            of_runs=request.of_runs,
            after=paging.place(request.page_token),
            limit=paging.page_size(request.page_size),
        )
        token = paging.token(page.next) if page.next else ""
        return pb.ListKeysResponse(keys=map(_key, page.keys), next_page_token=token)

    async def RotateKeys(
        self, request: pb.RotateKeysRequest, context: Context
    ) -> pb.RotateKeysResponse:
        """Wraps every data key anew."""
        done = await self._service.keys.rotate(current_caller())
        return pb.RotateKeysResponse(wrapped=done.wrapped, lost=done.lost)

    async def DestroyKey(
        self, request: pb.DestroyKeyRequest, context: Context
    ) -> pb.DestroyKeyResponse:
        """Destroys a key."""
        if request.HasField("run"):
            run = translate.run_id(request.run)
            destroyed = await self._service.keys.destroy_run(current_caller(), run)
        else:
            destroyed = await self._service.keys.destroy_subject(current_caller(), request.subject)
        return pb.DestroyKeyResponse(cancelled_runs=map(translate.run_name, destroyed.cancelled))


def _ring_key(view: RingKey) -> pb.RingKey:
    return pb.RingKey(name=view.name, active=view.is_active, lost=view.is_lost, keys=view.keys)


def _key(view: DataKey) -> pb.Key:
    key = pb.Key(id=view.id, ring=view.ring, created_at=translate.timestamp(view.created_at))
    if view.of_run:
        key.run = translate.run_name(view.name)
    else:
        key.subject = view.name
    if view.destroyed_at is not None:
        key.destroyed_at.CopyFrom(translate.timestamp(view.destroyed_at))
    return key
