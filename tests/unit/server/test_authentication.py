"""A call is who it proves to be, not who it claims to be."""

import pytest

from stepwell.principals import LOCAL_AGENT, LOCAL_USER
from stepwell_server.authentication import Authenticator, Unauthenticated

HERE = "ipv4:127.0.0.1:5000"
ELSEWHERE = "ipv4:10.0.0.7:5000"
CLAIM = ("x-stepwell-principal", "user:local")
TOKEN = ("authorization", "Bearer secret")

authenticator = Authenticator("secret")


@pytest.mark.parametrize("peer", [HERE, "ipv6:[::1]:5000", "ipv6:%5B::1%5D:5000", "unix:/tmp/s"])
def test_without_a_credential_a_local_call_is_an_agent(peer: str) -> None:
    assert authenticator.authenticate([], peer) == LOCAL_AGENT


def test_a_claim_without_a_credential_is_not_believed() -> None:
    assert authenticator.authenticate([CLAIM], HERE) == LOCAL_AGENT


def test_the_owner_who_asks_for_it_is_the_user() -> None:
    assert authenticator.authenticate([TOKEN, CLAIM], HERE) == LOCAL_USER
    assert authenticator.authenticate([TOKEN], HERE) == LOCAL_AGENT


def test_the_owner_may_call_from_another_machine() -> None:
    assert authenticator.authenticate([TOKEN, CLAIM], ELSEWHERE) == LOCAL_USER


def test_no_other_principal_can_be_claimed() -> None:
    claim = ("x-stepwell-principal", "user:root")
    assert authenticator.authenticate([TOKEN, claim], HERE) == LOCAL_AGENT


@pytest.mark.parametrize("credential", ["Bearer wrong", "secret", "", "Bearer ", b"\xff"])
def test_a_wrong_credential_is_refused(credential: str | bytes) -> None:
    with pytest.raises(Unauthenticated, match="read it again"):
        authenticator.authenticate([("authorization", credential), CLAIM], HERE)


@pytest.mark.parametrize("token", [None, ""])
def test_a_server_without_a_token_has_no_owner(token: str | None) -> None:
    for credential in ("Bearer ", "Bearer None"):
        with pytest.raises(Unauthenticated):
            Authenticator(token).authenticate([("authorization", credential)], HERE)


def test_another_machine_needs_a_credential() -> None:
    with pytest.raises(Unauthenticated, match="authorization: Bearer TOKEN"):
        authenticator.authenticate([], ELSEWHERE)
