"""What every store promises of factors: what may happen once happens once."""

import asyncio

import pytest
from msgspec.structs import replace

from stepwell_storage.errors import Exists, Missing
from stepwell_storage.ports import Storage
from stepwell_storage.records import Attempts, FactorRow

pytestmark = pytest.mark.anyio

PHONE = FactorRow("f1", "user:ann", "totp", "phone", b"\x00\xff", 1)
KEY = FactorRow("f2", "user:ann", "passkey", "key", b"key", 2, counter=7)


async def test_factors_belong_to_a_principal_in_a_namespace(storage: Storage) -> None:
    await storage.factors.add("default", PHONE, is_first=True)
    await storage.factors.add("default", KEY)
    bobs = replace(PHONE, id="f3", principal="user:bob", created_at=0)
    await storage.factors.add("default", bobs)

    assert await storage.factors.list("default", "user:ann") == [PHONE, KEY]
    assert await storage.factors.list("default") == [bobs, PHONE, KEY]
    assert await storage.factors.list("team", "user:ann") == []
    with pytest.raises(Exists):
        await storage.factors.add("default", PHONE)


async def test_of_many_first_factors_one_is(storage: Storage) -> None:
    rows = [replace(PHONE, id=f"f{n}") for n in range(5)]
    adding = [storage.factors.add("default", row, is_first=True) for row in rows]
    outcomes = await asyncio.gather(*adding, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes if outcome] == [Exists] * 4
    assert len(await storage.factors.list("default", "user:ann")) == 1
    bobs = replace(PHONE, id="bob", principal="user:bob")
    await storage.factors.add("default", bobs, is_first=True)


async def test_nobody_removes_the_factor_of_another(storage: Storage) -> None:
    await storage.factors.add("default", PHONE)
    for namespace, principal in (("default", "user:bob"), ("team", "user:ann")):
        with pytest.raises(Missing):
            await storage.factors.remove(namespace, principal, "f1")
    await storage.factors.remove("default", "user:ann", "f1")
    assert await storage.factors.list("default", "user:ann") == []


async def test_a_counter_only_grows_unless_it_counts_nothing(storage: Storage) -> None:
    await storage.factors.add("default", PHONE)
    await storage.factors.add("default", KEY)

    assert await storage.factors.advance("default", "f2", counter=8, now=10) is True
    for counter in (8, 7, 0):
        assert await storage.factors.advance("default", "f2", counter=counter, now=11) is False
    assert await storage.factors.advance("default", "f1", counter=0, now=12) is True
    assert await storage.factors.advance("team", "f1", counter=1, now=12) is False
    assert await storage.factors.list("default", "user:ann") == [
        replace(PHONE, used_at=12),
        replace(KEY, counter=8, used_at=10),
    ]


async def test_a_token_is_spent_once_until_its_time_is_over(storage: Storage) -> None:
    spending = [storage.factors.spend("default", "t", until=10, now=1) for _ in range(5)]
    assert sorted(await asyncio.gather(*spending)) == [False] * 4 + [True]

    assert await storage.factors.spend("default", "t", until=10, now=10) is False
    assert await storage.factors.spend("team", "t", until=10, now=1) is True
    assert await storage.factors.spend("default", "other", until=10, now=11) is True
    assert await storage.factors.spend("default", "t", until=20, now=11) is True


async def test_attempts_are_counted_one_after_the_other(storage: Storage) -> None:
    none = Attempts()
    assert await storage.factors.attempts("default", "user:ann") == none
    counting = [storage.factors.attempt("default", "user:ann", after=none, now=5) for _ in range(5)]
    assert sorted(await asyncio.gather(*counting)) == [False] * 4 + [True]

    once = Attempts(1, 5)
    assert await storage.factors.attempts("default", "user:ann") == once
    assert await storage.factors.attempt("default", "user:ann", after=once, now=6) is True
    assert await storage.factors.attempts("default", "user:ann") == Attempts(2, 6)
    assert await storage.factors.attempts("default", "user:bob") == none
    assert await storage.factors.attempts("team", "user:ann") == none

    await storage.factors.clear_attempts("default", "user:ann")
    assert await storage.factors.attempts("default", "user:ann") == none
