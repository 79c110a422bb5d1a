"""API keys: who makes them, what they are worth, and how soon a revoked one is worth nothing."""

from datetime import timedelta

import pytest
from tests.unit.orchestrator.people import FakeFactors, HandClock

from stepwell.errors import Code, Denied, InvalidRequest, NotFound
from stepwell.orchestrator import api_keys
from stepwell.orchestrator.api_keys import ApiKeys
from stepwell.orchestrator.approvals import Proof
from stepwell.orchestrator.audit import Audit
from stepwell.orchestrator.authentication import Unauthenticated
from stepwell.orchestrator.deeds import deed
from stepwell.principals import LOCAL_AGENT, LOCAL_USER, Caller
from stepwell_storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio

GOOD = Proof(kind="totp", value="good")
ANN = Caller("team", "user:ann", "k1")


def keeping(storage: MemoryStorage, factors: FakeFactors, clock: HandClock) -> ApiKeys:
    return ApiKeys(storage, factors=factors, clock=clock, audit=Audit(storage, clock))


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def factors() -> FakeFactors:
    return FakeFactors()


@pytest.fixture
def keys(clock: HandClock, factors: FakeFactors) -> ApiKeys:
    return keeping(MemoryStorage(), factors, clock)


async def test_a_token_says_whose_it_is(keys: ApiKeys) -> None:
    made, token = await keys.create(LOCAL_USER, "agent:bot", namespace="team")
    assert token.startswith(f"sw_{made.id}_")
    assert await keys.identify(token) == Caller("team", "agent:bot", made.id)


async def test_a_key_vouches_for_what_is_known_of_its_bearer(keys: ApiKeys) -> None:
    said = [("tenant", ("42",)), ("groups", ("support",)), ("groups", ("night", "support"))]
    made, token = await keys.create(LOCAL_USER, "agent:bot", attributes=said)
    known = {"tenant": ("42",), "groups": ("support", "night")}
    assert made.attributes == known
    assert (await keys.identify(token)).attributes == known
    assert (await keys.list_keys(LOCAL_USER))[0].attributes == known


@pytest.mark.parametrize(
    "attributes",
    [
        [("Tenant", ("1",))],
        [("", ("1",))],
        [("a-b", ("1",))],
        [("a", ())],
        [("a", ("",))],
        [("a", ("x\n",))],
        [("a", ("x" * 257,))],
        [("a", tuple(map(str, range(101))))],
        [(f"a{number}", ("1",)) for number in range(33)],
    ],
)
async def test_what_cannot_be_an_attribute_makes_no_key(
    keys: ApiKeys, attributes: list[tuple[str, tuple[str, ...]]]
) -> None:
    with pytest.raises(InvalidRequest):
        await keys.create(LOCAL_USER, "agent:bot", attributes=attributes)
    assert await keys.list_keys(LOCAL_USER) == ()


async def test_the_store_never_sees_the_secret(clock: HandClock, factors: FakeFactors) -> None:
    storage = MemoryStorage()
    keys = keeping(storage, factors, clock)
    _, token = await keys.create(LOCAL_USER, "agent:bot")
    [row] = await storage.api_keys.list("default")
    assert token.split("_", 2)[2] not in repr(row)


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),
        lambda token: token + "A",
        lambda token: token[:-1],
        lambda token: token.replace("sw_", "sw_0", 1),
        lambda token: token.upper(),
        lambda token: f" {token}",
        lambda _: "sw_",
    ],
)
async def test_a_token_that_was_changed_is_none(keys: ApiKeys, change) -> None:  # type: ignore[no-untyped-def]
    _, token = await keys.create(LOCAL_USER, "agent:bot")
    with pytest.raises(Unauthenticated, match="stepwell key create"):
        await keys.identify(change(token))


async def test_a_revoked_key_is_worth_nothing_at_once(keys: ApiKeys) -> None:
    made, token = await keys.create(LOCAL_USER, "agent:bot")
    caller = await keys.identify(token)
    revoked = await keys.revoke(LOCAL_USER, made.id)

    assert revoked.revoked_at is not None
    entries = await keys._storage.audit.read("default")
    assert [entry.action for entry in entries] == ["api_key.create", "api_key.revoke"]
    with pytest.raises(Unauthenticated, match="revoked"):
        await keys.identify(token)
    with pytest.raises(Unauthenticated, match="revoked"):
        await keys.still(caller)


async def test_another_process_notices_within_seconds(
    clock: HandClock, factors: FakeFactors, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = MemoryStorage()
    here, there = (keeping(storage, factors, clock) for _ in range(2))
    made, token = await here.create(LOCAL_USER, "agent:bot")
    await there.identify(token)
    await here.revoke(LOCAL_USER, made.id)

    monkeypatch.setattr(api_keys, "FRESH", 0.0)  # the seconds have passed
    with pytest.raises(Unauthenticated, match="revoked"):
        await there.identify(token)


async def test_a_known_key_costs_no_question_to_the_store(keys: ApiKeys) -> None:
    _, token = await keys.create(LOCAL_USER, "agent:bot")
    first = await keys.identify(token)
    keys._storage = None  # type: ignore[assignment]
    assert await keys.identify(token) == first


async def test_a_key_expires(keys: ApiKeys, clock: HandClock) -> None:
    _, token = await keys.create(LOCAL_USER, "agent:bot", expires=timedelta(days=1))
    await keys.identify(token)
    clock.pass_(timedelta(days=1))
    with pytest.raises(Unauthenticated, match="expired"):
        await keys.identify(token)


async def test_it_is_known_about_when_a_key_was_used(keys: ApiKeys, clock: HandClock) -> None:
    _, token = await keys.create(LOCAL_USER, "agent:bot")
    used = clock.now()
    await keys.identify(token)
    clock.pass_(timedelta(minutes=1))
    await keys.identify(token)
    [listed] = await keys.list_keys(LOCAL_USER)
    assert listed.used_at == used


@pytest.mark.parametrize("caller", [LOCAL_AGENT, Caller("default", "service:ci", "k2")])
async def test_only_people_make_list_and_revoke_keys(keys: ApiKeys, caller: Caller) -> None:
    for asked in (
        keys.create(caller, "user:me"),
        keys.list_keys(caller),
        keys.revoke(caller, "k1"),
    ):
        with pytest.raises(Denied, match="by a user"):
            await asked


async def test_only_the_owner_of_the_home_reaches_into_other_namespaces(keys: ApiKeys) -> None:
    made, _ = await keys.create(LOCAL_USER, "user:bob")
    for asked in (
        keys.create(ANN, "user:bob", namespace="default"),
        keys.list_keys(ANN, namespace="default"),
        keys.revoke(ANN, made.id, namespace="default"),
        keys.create(Caller("default", "user:local", "stolen"), "user:bob", namespace="team"),
    ):
        with pytest.raises(Denied, match="namespace"):
            await asked
    with pytest.raises(NotFound) as refused:
        await keys.revoke(ANN, made.id)
    assert refused.value.code is Code.API_KEY_NOT_FOUND


@pytest.mark.parametrize(
    "subject",
    [
        "ann",
        "root:ann",
        "user:",
        "user:Ann",
        "user:a b",
        "user:local",
        "agent:local",
        "user:" + "a" * 64,
    ],
)
async def test_a_subject_is_a_principal_that_is_nobody_else(keys: ApiKeys, subject: str) -> None:
    with pytest.raises(InvalidRequest):
        await keys.create(LOCAL_USER, subject)


async def test_who_has_a_factor_makes_keys_with_it_and_vouches_for_them(
    keys: ApiKeys, factors: FakeFactors
) -> None:
    before, _ = await keys.create(LOCAL_USER, "user:mallory")
    factors.enrolled.add(LOCAL_USER)
    with pytest.raises(Denied) as refused:
        await keys.create(LOCAL_USER, "user:bob")
    assert refused.value.code is Code.FACTOR_REQUIRED

    after, _ = await keys.create(LOCAL_USER, "user:bob", proof=GOOD)
    assert factors.verified == [(LOCAL_USER, deed("api_key.create", "default", "user:bob"))]
    rows = await keys._storage.api_keys.list("default")
    assert {row.id: row.is_vouched for row in rows} == {before.id: False, after.id: True}
