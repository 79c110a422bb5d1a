"""ApiKeyService: keys that callers show to say who they are."""

from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import ApiKey
from stepwell.v1 import api_key_service_pb2 as pb
from stepwell.v1 import api_key_service_pb2_grpc as rpc
from stepwell_server import paging, translate
from stepwell_server.interceptors import Context, current_caller


class ApiKeyServicer(rpc.ApiKeyServiceServicer):
    """Makes, lists and revokes keys."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def CreateApiKey(
        self, request: pb.CreateApiKeyRequest, context: Context
    ) -> pb.CreateApiKeyResponse:
        """Makes a key."""
        lasts = request.expires_in.ToTimedelta() if request.HasField("expires_in") else None
        made, token = await self._service.api_keys.create(
            current_caller(),
            request.subject,
            namespace=request.namespace,
            expires=lasts,
            attributes=translate.attributes(request.attributes),
            proof=translate.proof(request.proof),
        )
        return pb.CreateApiKeyResponse(key=_api_key(made), token=token)

    async def ListApiKeys(
        self, request: pb.ListApiKeysRequest, context: Context
    ) -> pb.ListApiKeysResponse:
        """All of a namespace, oldest first."""
        begin = paging.number(request.page_token)
        found = await self._service.api_keys.list_keys(
            current_caller(), namespace=request.namespace
        )
        page, token = paging.numbered(found, _api_key, size=request.page_size, begin=begin)
        return pb.ListApiKeysResponse(keys=page, next_page_token=token)

    async def RevokeApiKey(
        self, request: pb.RevokeApiKeyRequest, context: Context
    ) -> pb.RevokeApiKeyResponse:
        """Lets nobody in with a key any more."""
        revoked = await self._service.api_keys.revoke(
            current_caller(), request.id, namespace=request.namespace
        )
        return pb.RevokeApiKeyResponse(key=_api_key(revoked))


def _api_key(view: ApiKey) -> pb.ApiKey:
    return pb.ApiKey(
        id=view.id,
        namespace=view.namespace,
        subject=view.subject,
        created_by=view.created_by,
        created_at=translate.timestamp(view.created_at),
        expires_at=translate.maybe_timestamp(view.expires_at),
        revoked_at=translate.maybe_timestamp(view.revoked_at),
        used_at=translate.maybe_timestamp(view.used_at),
        attributes=translate.attribute_messages(view.attributes),
    )
