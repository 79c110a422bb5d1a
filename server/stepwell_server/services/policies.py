"""PolicyService: what may be done, in versions, and what would become of calls."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from stepwell.orchestrator.policy_replay import USUAL
from stepwell.orchestrator.service import Service
from stepwell.v1 import policy_service_pb2 as pb
from stepwell.v1 import policy_service_pb2_grpc as rpc
from stepwell_server import paging, policies, translate
from stepwell_server.drain import Drain
from stepwell_server.interceptors import Context, current_caller


class PolicyServicer(rpc.PolicyServiceServicer):
    """Keeps policies, and tries them out."""

    def __init__(self, service: Service, drain: Drain) -> None:
        self._service = service
        self._drain = drain

    async def CheckPolicy(
        self, request: pb.CheckPolicyRequest, context: Context
    ) -> pb.CheckPolicyResponse:
        """Everything that is wrong with a policy."""
        files = policies.files(request.files)
        found = await self._service.policies.check(current_caller(), files)
        return pb.CheckPolicyResponse(problems=map(policies.problem, found))

    async def ApplyPolicy(
        self, request: pb.ApplyPolicyRequest, context: Context
    ) -> pb.ApplyPolicyResponse:
        """Puts a version into force."""
        caller, proof = current_caller(), translate.proof(request.proof)
        if request.version:
            restored = await self._service.policies.restore(caller, request.version, proof=proof)
            return pb.ApplyPolicyResponse(policy=policies.policy(restored))
        files = policies.files(request.files)
        applied, created = await self._service.policies.apply(caller, files, proof=proof)
        return pb.ApplyPolicyResponse(policy=policies.policy(applied), created=created)

    async def WithdrawPolicy(
        self, request: pb.WithdrawPolicyRequest, context: Context
    ) -> pb.WithdrawPolicyResponse:
        """Leaves none in force."""
        proof = translate.proof(request.proof)
        withdrawn = await self._service.policies.withdraw(current_caller(), proof=proof)
        return pb.WithdrawPolicyResponse(withdrawn=withdrawn)

    async def GetPolicy(
        self, request: pb.GetPolicyRequest, context: Context
    ) -> pb.GetPolicyResponse:
        """One version."""
        found = await self._service.policies.get(current_caller(), request.version)
        return pb.GetPolicyResponse(policy=policies.policy(found))

    async def ListPolicies(
        self, request: pb.ListPoliciesRequest, context: Context
    ) -> pb.ListPoliciesResponse:
        """Every version, newest first."""
        found = await self._service.policies.list(current_caller())
        begin = _begin(request.page_token)
        page = paging.cut(found[begin:], policies.listed, request.page_size)
        end = begin + len(page)
        token = paging.token(str(end)) if end < len(found) else ""
        return pb.ListPoliciesResponse(policies=page, next_page_token=token)

    async def GetPolicySchema(
        self, request: pb.GetPolicySchemaRequest, context: Context
    ) -> pb.GetPolicySchemaResponse:
        """What policies may speak of."""
        return pb.GetPolicySchemaResponse(text=self._service.policies.schema(current_caller()))

    async def ExplainDecision(
        self, request: pb.ExplainDecisionRequest, context: Context
    ) -> pb.ExplainDecisionResponse:
        """What would be decided."""
        question, files = policies.question(request), policies.files(request.files)
        found = await self._service.policy_trials.explain(current_caller(), question, files)
        return policies.explained(found)

    async def ExplainAccess(
        self, request: pb.ExplainAccessRequest, context: Context
    ) -> pb.ExplainAccessResponse:
        """What somebody would see of a datasource."""
        question, files = policies.data_question(request), policies.files(request.files)
        found = await self._service.policy_trials.explain_data(current_caller(), question, files)
        return policies.data_explained(found)

    async def TestPolicy(
        self, request: pb.TestPolicyRequest, context: Context
    ) -> pb.TestPolicyResponse:
        """Whether cases end as they say."""
        files = policies.files(request.files)
        results = await self._service.policy_trials.test(current_caller(), request.cases, files)
        return pb.TestPolicyResponse(cases=map(policies.case, results))

    async def SimulatePolicy(
        self, request: pb.SimulatePolicyRequest, context: Context
    ) -> AsyncGenerator[pb.SimulatePolicyResponse, None]:
        """What would have been decided, until the caller goes."""
        replays = self._service.policy_replay.simulate(
            current_caller(),
            policies.files(request.files),
            events=request.events or USUAL,
            since=request.since.ToMicroseconds(),
        )
        with self._drain.stream():
            async with aclosing(replays):
                async for replay in replays:
                    yield policies.replay(replay)


def _begin(token: str) -> int:
    """How many rows the pages before had."""
    place = paging.place(token)
    return int(place) if place.isdecimal() else 0
