"""FactorService: what people prove with that it is they."""

from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Factor
from stepwell.v1 import factor_service_pb2 as pb
from stepwell.v1 import factor_service_pb2_grpc as rpc
from stepwell_server import translate
from stepwell_server.interceptors import Context, current_caller


class FactorServicer(rpc.FactorServiceServicer):
    """Enrols and removes the caller's own."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def ListFactors(
        self, request: pb.ListFactorsRequest, context: Context
    ) -> pb.ListFactorsResponse:
        """The caller's own, oldest first."""
        found = await self._service.factors.list_factors(current_caller())
        return pb.ListFactorsResponse(factors=map(_factor, found))

    async def OfferTotp(
        self, request: pb.OfferTotpRequest, context: Context
    ) -> pb.OfferTotpResponse:
        """Offers a secret for an app."""
        offer = await self._service.factors.offer_totp(current_caller())
        return pb.OfferTotpResponse(secret=offer.secret, uri=offer.uri, ticket=offer.ticket)

    async def EnrolTotp(
        self, request: pb.EnrolTotpRequest, context: Context
    ) -> pb.EnrolTotpResponse:
        """Enrols the app that was offered."""
        made = await self._service.factors.enrol_totp(
            current_caller(),
            request.ticket,
            request.code,
            label=request.label,
            proof=translate.proof(request.proof),
        )
        return pb.EnrolTotpResponse(factor=_factor(made))

    async def RemoveFactor(
        self, request: pb.RemoveFactorRequest, context: Context
    ) -> pb.RemoveFactorResponse:
        """Forgets one."""
        await self._service.factors.remove(
            current_caller(), request.id, proof=translate.proof(request.proof)
        )
        return pb.RemoveFactorResponse()


def _factor(view: Factor) -> pb.Factor:
    return pb.Factor(
        id=view.id,
        kind=view.kind,
        label=view.label,
        created_at=translate.timestamp(view.created_at),
        used_at=translate.maybe_timestamp(view.used_at),
    )
