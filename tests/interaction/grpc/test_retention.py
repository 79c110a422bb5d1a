"""RetentionService, from a client to the store and back."""

from datetime import timedelta

import pytest

from stepwell.client import Client
from stepwell.errors import Code, Denied, InvalidRequest

pytestmark = pytest.mark.anyio

MONTH = timedelta(days=30)


async def test_runs_are_kept_for_ever_until_a_user_says_for_how_long(client: Client) -> None:
    assert await client.retention.get() is None
    await client.retention.set(MONTH)
    assert await client.retention.get() == MONTH
    await client.retention.set(None)
    assert await client.retention.get() is None


@pytest.mark.parametrize("keep", [timedelta(0), timedelta(seconds=59), timedelta(days=36_501)])
async def test_a_time_too_short_or_too_long_is_refused(client: Client, keep: timedelta) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await client.retention.set(keep)
    assert list(refused.value.detail) == ["keep"]


async def test_who_shows_no_credential_deletes_no_runs(address: str) -> None:
    async with Client(address) as agent:
        with pytest.raises(Denied) as refused:
            await agent.retention.set(MONTH)
        assert refused.value.code is Code.POLICY_DENIED
        assert await agent.retention.get() is None
