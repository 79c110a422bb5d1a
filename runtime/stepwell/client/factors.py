"""What a client may ask about what its user proves with that it is he."""

from stepwell.client import decode
from stepwell.client.connection import Connection
from stepwell.client.encode import code_proof
from stepwell.client.types import Factor, TotpOffer
from stepwell.v1 import factor_service_pb2 as pb


class Factors:
    """`client.factors`: the caller's own, for users only."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list(self) -> tuple[Factor, ...]:
        """All of them, oldest first."""
        answer = await self._connection.call(
            self._connection.factors.ListFactors, pb.ListFactorsRequest()
        )
        return tuple(map(_factor, answer.factors))

    async def offer_totp(self) -> TotpOffer:
        """A secret for an authenticator app; nothing is enrolled yet."""
        answer = await self._connection.call(
            self._connection.factors.OfferTotp, pb.OfferTotpRequest()
        )
        return TotpOffer(secret=answer.secret, uri=answer.uri, ticket=answer.ticket)

    async def enrol_totp(
        self, ticket: str, code: str, *, label: str = "", other_code: str = ""
    ) -> Factor:
        """Enrols the app that was offered; `other_code` is of one that is enrolled already."""
        request = pb.EnrolTotpRequest(
            ticket=ticket, code=code, label=label, proof=code_proof(other_code)
        )
        answer = await self._connection.call(self._connection.factors.EnrolTotp, request)
        return _factor(answer.factor)

    async def remove(self, id: str, *, code: str = "") -> None:
        """Forgets one."""
        request = pb.RemoveFactorRequest(id=id, proof=code_proof(code))
        await self._connection.call(self._connection.factors.RemoveFactor, request)


def _factor(message: pb.Factor) -> Factor:
    return Factor(
        id=message.id,
        kind=message.kind,
        label=message.label,
        created_at=decode.instant(message.created_at),
        used_at=decode.instant(message.used_at) if message.HasField("used_at") else None,
    )
