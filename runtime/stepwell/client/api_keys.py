"""What a client may ask about API keys."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from stepwell.client import decode
from stepwell.client.connection import Connection
from stepwell.client.encode import attribute_messages, code_proof
from stepwell.client.types import ApiKey
from stepwell.v1 import api_key_service_pb2 as pb


class ApiKeys:
    """`client.api_keys`: for users only."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def create(
        self,
        subject: str,
        *,
        namespace: str = "",
        expires_in: timedelta | None = None,
        attributes: Mapping[str, Sequence[str]] | None = None,
        code: str = "",
    ) -> tuple[ApiKey, str]:
        """A new key for `user:ann`, `agent:bot` or `service:ci`, and its token, told this once.

        `attributes` is what rules of data shall know of its bearer, one text or more by name.
        `code` is a one-time code; who has enrolled a factor needs one.
        """
        request = pb.CreateApiKeyRequest(
            subject=subject,
            namespace=namespace,
            attributes=attribute_messages(attributes),
            proof=code_proof(code),
        )
        if expires_in is not None:
            request.expires_in.FromTimedelta(expires_in)
        answer = await self._connection.call(self._connection.api_keys.CreateApiKey, request)
        return _api_key(answer.key), answer.token

    async def list(self, *, namespace: str = "") -> tuple[ApiKey, ...]:
        """All of a namespace, oldest first; those that are revoked as well."""
        found: tuple[ApiKey, ...] = ()
        request = pb.ListApiKeysRequest(namespace=namespace, page_size=1000)
        while True:
            answer = await self._connection.call(self._connection.api_keys.ListApiKeys, request)
            found += tuple(map(_api_key, answer.keys))
            if not answer.next_page_token:
                return found
            request.page_token = answer.next_page_token

    async def revoke(self, id: str, *, namespace: str = "") -> ApiKey:
        """Lets nobody in with a key any more."""
        request = pb.RevokeApiKeyRequest(id=id, namespace=namespace)
        answer = await self._connection.call(self._connection.api_keys.RevokeApiKey, request)
        return _api_key(answer.key)


def _api_key(message: pb.ApiKey) -> ApiKey:
    return ApiKey(
        id=message.id,
        namespace=message.namespace,
        subject=message.subject,
        created_by=message.created_by,
        created_at=decode.instant(message.created_at),
        expires_at=decode.instant(message.expires_at) if message.HasField("expires_at") else None,
        revoked_at=decode.instant(message.revoked_at) if message.HasField("revoked_at") else None,
        used_at=decode.instant(message.used_at) if message.HasField("used_at") else None,
        attributes=decode.attributes(message.attributes),
    )
