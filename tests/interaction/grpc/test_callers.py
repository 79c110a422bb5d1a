"""Who a call comes from, as the log tells."""

import pytest

from stepwell.client import Client
from stepwell.errors import Code, StepwellError

pytestmark = pytest.mark.anyio


async def test_without_a_token_the_caller_is_the_local_agent(address: str, client: Client) -> None:
    async with Client(address) as agent:
        run = await agent.run("hello", {"name": "Ada"})

    assert run.principal == "agent:local"
    assert (await client.run("hello", {"name": "Ada"})).principal == "user:local"


async def test_a_wrong_token_is_refused(address: str) -> None:
    async with Client(address, token="guessed") as stranger:
        with pytest.raises(StepwellError) as refused:
            await stranger.run("hello")

    assert refused.value.code is Code.UNAUTHENTICATED
