"""A call is who it proves to be, not who it claims to be."""

import pytest

from stepwell.orchestrator.authentication import Authentication, Unauthenticated
from stepwell.principals import LOCAL_AGENT, LOCAL_USER, Caller
from stepwell_server.authentication import Authenticator

pytestmark = pytest.mark.anyio

HERE = "ipv4:127.0.0.1:5000"
ELSEWHERE = "ipv4:10.0.0.7:5000"
CLAIM = ("x-stepwell-principal", "user:local")
TOKEN = ("authorization", "Bearer secret")
ANN = Caller("team", "user:ann", "k1")


async def identify(token: str) -> Caller:
    if token == "sw_k1_secret":
        return ANN
    raise Unauthenticated("no such key")


authenticator = Authenticator(Authentication(identify, "secret"))


@pytest.mark.parametrize("peer", [HERE, "ipv6:[::1]:5000", "ipv6:%5B::1%5D:5000", "unix:/tmp/s"])
async def test_without_a_credential_a_local_call_is_an_agent(peer: str) -> None:
    assert await authenticator.authenticate([], peer) == LOCAL_AGENT


async def test_a_claim_without_a_credential_is_not_believed() -> None:
    assert await authenticator.authenticate([CLAIM], HERE) == LOCAL_AGENT


async def test_the_owner_who_asks_for_it_is_the_user() -> None:
    assert await authenticator.authenticate([TOKEN, CLAIM], HERE) == LOCAL_USER
    assert await authenticator.authenticate([TOKEN], HERE) == LOCAL_AGENT


async def test_the_owner_may_call_from_another_machine() -> None:
    assert await authenticator.authenticate([TOKEN, CLAIM], ELSEWHERE) == LOCAL_USER


async def test_no_other_principal_can_be_claimed() -> None:
    claim = ("x-stepwell-principal", "user:root")
    assert await authenticator.authenticate([TOKEN, claim], HERE) == LOCAL_AGENT


async def test_a_key_says_who_its_bearer_is_whatever_he_claims() -> None:
    key = ("authorization", "Bearer sw_k1_secret")
    assert await authenticator.authenticate([key], ELSEWHERE) == ANN
    assert await authenticator.authenticate([key, CLAIM], HERE) == ANN


@pytest.mark.parametrize("credential", ["Bearer wrong", "secret", "", "Bearer ", b"\xff"])
async def test_a_wrong_credential_is_refused(credential: str | bytes) -> None:
    with pytest.raises(Unauthenticated, match="read it again"):
        await authenticator.authenticate([("authorization", credential), CLAIM], HERE)


@pytest.mark.parametrize("token", [None, ""])
async def test_a_server_without_a_token_has_no_owner(token: str | None) -> None:
    for credential in ("Bearer ", "Bearer None"):
        with pytest.raises(Unauthenticated):
            await Authenticator(Authentication(identify, token)).authenticate(
                [("authorization", credential)], HERE
            )


@pytest.mark.parametrize("header", [(), ("x-forwarded-for", "10.0.0.7"), ("forwarded", "for=x")])
async def test_another_machine_needs_a_credential(header: tuple[str, str] | tuple[()]) -> None:
    metadata, peer = ([header], HERE) if header else ([], ELSEWHERE)
    with pytest.raises(Unauthenticated, match="authorization: Bearer TOKEN"):
        await authenticator.authenticate(metadata, peer)
