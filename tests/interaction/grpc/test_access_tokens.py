"""gRPC takes the same access tokens as MCP over HTTP, and holds their bearers to the same scopes."""

from collections.abc import Awaitable

import pytest
from tests.interaction.grpc.conftest import HELLO, serving

from stepwell.client import Client
from stepwell.errors import Code, StepwellError
from stepwell.orchestrator.authentication import Authentication, Unauthenticated
from stepwell.orchestrator.scopes import Scopes
from stepwell.orchestrator.service import Service
from stepwell.principals import Caller

pytestmark = pytest.mark.anyio

TOKENS = {"a.good.token": ("mcp", "flows"), "a.narrow.token": ("mcp",)}


async def bearer(token: str) -> Caller:
    if token not in TOKENS:
        raise Unauthenticated("the access token is not good here")
    return Caller("default", "agent:ann", scopes=TOKENS[token])


async def code_of(call: Awaitable[object]) -> Code:
    """Why a call was refused."""
    with pytest.raises(StepwellError) as refused:
        await call
    return refused.value.code


async def test_the_bearer_of_a_token_calls_what_its_scopes_cover(service: Service) -> None:
    service._scopes = Scopes(["mcp"], {"hello": "flows"})
    authentication = Authentication(service.api_keys.identify, "owner", bearer=bearer)
    async with serving(service, authentication=authentication) as running:
        async with Client(running.address, token="owner") as owner:
            await owner.workflows.put(HELLO)
        async with Client(running.address, token="a.good.token") as ann:
            run = await ann.run("hello", {"name": "ann"})
            assert run.principal == "agent:ann"
            assert await code_of(ann.workflows.put(HELLO)) is Code.INSUFFICIENT_SCOPE
        async with Client(running.address, token="a.narrow.token") as ann:
            assert await code_of(ann.run("hello")) is Code.INSUFFICIENT_SCOPE
        async with Client(running.address, token="a.forged.token") as nobody:
            assert await code_of(nobody.run("hello")) is Code.UNAUTHENTICATED
