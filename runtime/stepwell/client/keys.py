"""What a client may ask about the keys that data is encrypted with."""

from stepwell.client import decode
from stepwell.client.connection import Connection
from stepwell.client.types import DataKey, KeyPage, RingKey, Rotation
from stepwell.v1 import key_service_pb2 as pb


class Keys:
    """`client.keys`: for users only."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def rings(self) -> tuple[RingKey, ...]:
        """The keys of the operator's ring, by name."""
        request = pb.ListRingKeysRequest()
        answer = await self._connection.call(self._connection.keys.ListRingKeys, request)
        return tuple(RingKey(it.name, it.active, it.lost, it.keys) for it in answer.ring_keys)

    async def list(
        self, *, of_runs: bool = False, page_size: int = 0, page_token: str = ""
    ) -> KeyPage:
        """One page of the keys of subjects, or of runs, by name; 0 means 50."""
        request = pb.ListKeysRequest(of_runs=of_runs, page_size=page_size, page_token=page_token)
        answer = await self._connection.call(self._connection.keys.ListKeys, request)
        return KeyPage(keys=tuple(map(_key, answer.keys)), next_page_token=answer.next_page_token)

    async def rotate(self) -> Rotation:
        """Wraps every data key with the active key of the ring."""
        request = pb.RotateKeysRequest()
        answer = await self._connection.call(self._connection.keys.RotateKeys, request)
        return Rotation(answer.wrapped, answer.lost)

    async def destroy_run(self, run: str) -> tuple[str, ...]:
        """Erases what a run has written, for good; tells which runs were cancelled for it."""
        return await self._destroy(pb.DestroyKeyRequest(run=decode.RUN_PREFIX + _bare(run)))

    async def destroy_subject(self, subject: str) -> tuple[str, ...]:
        """Erases what all runs of a subject have written, for good; tells which were cancelled."""
        return await self._destroy(pb.DestroyKeyRequest(subject=subject))

    async def _destroy(self, request: pb.DestroyKeyRequest) -> tuple[str, ...]:
        answer = await self._connection.call(self._connection.keys.DestroyKey, request)
        return tuple(map(_bare, answer.cancelled_runs))


def _key(message: pb.Key) -> DataKey:
    is_destroyed = message.HasField("destroyed_at")
    return DataKey(
        id=message.id,
        run=_bare(message.run),
        subject=message.subject,
        ring=message.ring,
        created_at=decode.instant(message.created_at),
        destroyed_at=decode.instant(message.destroyed_at) if is_destroyed else None,
    )


def _bare(name: str) -> str:
    return name.removeprefix(decode.RUN_PREFIX)
