"""ApiKeyService and FactorService over a real connection."""

from collections.abc import AsyncIterator

import pyotp
import pytest

from stepwell.client import Client
from stepwell.engine.events import RunStarted
from stepwell.errors import Code, StepwellError

pytestmark = pytest.mark.anyio


async def code_of(asked: object) -> Code:
    with pytest.raises(StepwellError) as error:
        await asked  # type: ignore[misc]
    return error.value.code


@pytest.fixture
async def bot(client: Client, address: str) -> AsyncIterator[Client]:
    """An agent with a key of its own, in a namespace of its own."""
    _, token = await client.api_keys.create("agent:bot", namespace="team")
    async with Client(address, token=token) as bot:
        yield bot


async def test_a_key_is_made_listed_used_and_revoked(client: Client, address: str) -> None:
    made, token = await client.api_keys.create("user:ann")
    assert await client.api_keys.list() == (made,)
    async with Client(address, token=token) as ann:
        run = await ann.run("hello", {"name": "Ann"})
        assert run.principal == "user:ann"
        assert (await client.get(run.id)).principal == "user:ann"

        [used] = await client.api_keys.list()
        assert used.used_at is not None
        revoked = await client.api_keys.revoke(made.id)
        assert revoked.revoked_at is not None
        assert await code_of(ann.list()) is Code.UNAUTHENTICATED


async def test_a_key_vouches_for_attributes_which_its_runs_keep(
    client: Client, address: str
) -> None:
    made, token = await client.api_keys.create("agent:bot", attributes={"tenant": ["42"]})
    assert made.attributes == {"tenant": ("42",)}
    assert await client.api_keys.list() == (made,)
    async with Client(address, token=token) as bot:
        run = await bot.run("hello", {"name": "Ann"})
        batch = await anext(bot.watch(run.id))
    fact = batch.events[0].fact
    assert isinstance(fact, RunStarted)
    assert fact.attributes == {"tenant": ("42",)}
    assert await code_of(client.api_keys.create("agent:x", attributes={"A": ["1"]})) is (
        Code.INVALID_REQUEST
    )


async def test_each_namespace_is_a_world_of_its_own(client: Client, bot: Client) -> None:
    run = await client.run("hello", {"name": "Ann"})
    assert (await bot.list()).runs == ()
    assert await code_of(bot.get(run.id)) is Code.RUN_NOT_FOUND


async def test_an_agent_with_a_key_decides_nothing(bot: Client) -> None:
    for asked in (
        bot.api_keys.create("user:bot"),
        bot.api_keys.list(),
        bot.api_keys.revoke("k"),
        bot.factors.offer_totp(),
        bot.factors.enrol_totp("00", "123456"),
        bot.factors.remove("f"),
        bot.keys.list(),
    ):
        assert await code_of(asked) is Code.POLICY_DENIED


async def test_a_made_up_key_is_refused(address: str) -> None:
    async with Client(address, token="sw_000000000000_" + "A" * 43) as nobody:
        assert await code_of(nobody.list()) is Code.UNAUTHENTICATED


async def test_an_app_is_enrolled_and_from_then_on_keys_take_its_code(client: Client) -> None:
    offer = await client.factors.offer_totp()
    assert offer.uri.startswith("otpauth://totp/Stepwell:local?secret=" + offer.secret)
    assert await code_of(client.factors.enrol_totp(offer.ticket, "000000")) is Code.FACTOR_WRONG

    code = pyotp.TOTP(offer.secret).now()
    made = await client.factors.enrol_totp(offer.ticket, code, label="phone")
    assert await client.factors.list() == (made,)
    assert (made.kind, made.label) == ("totp", "phone")

    assert await code_of(client.api_keys.create("user:ann")) is Code.FACTOR_REQUIRED
    spent = client.api_keys.create("user:ann", code=code)
    assert await code_of(spent) is Code.FACTOR_WRONG
    assert await code_of(client.factors.remove(made.id)) is Code.FACTOR_REQUIRED


@pytest.mark.parametrize("subject", ["ann", "user:local", "user:Ann", "root:x"])
async def test_a_subject_that_is_none_is_refused(client: Client, subject: str) -> None:
    assert await code_of(client.api_keys.create(subject)) is Code.INVALID_REQUEST
