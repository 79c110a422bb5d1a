"""What every store promises of API keys."""

import pytest
from msgspec.structs import replace

from stepwell_storage.errors import Exists, Missing
from stepwell_storage.ports import Storage
from stepwell_storage.records import ApiKeyRow

pytestmark = pytest.mark.anyio

ANN = ApiKeyRow("k1", "user:ann", "user", b"\x00\xff", "user:local", 1, is_vouched=True)
BOT = ApiKeyRow(
    "k2", "agent:bot", "agent", b"2", "user:ann", 2, expires_at=9, attributes='{"tenant":["42"]}'
)


async def test_a_key_is_found_by_its_id_whatever_its_namespace(storage: Storage) -> None:
    await storage.api_keys.add("default", ANN)
    await storage.api_keys.add("team", BOT)

    assert await storage.api_keys.find("k1") == ("default", ANN)
    assert await storage.api_keys.find("k2") == ("team", BOT)
    assert await storage.api_keys.find("k3") is None
    assert await storage.api_keys.list("default") == [ANN]
    assert await storage.api_keys.list("elsewhere") == []


async def test_an_id_is_given_once_in_all_namespaces(storage: Storage) -> None:
    await storage.api_keys.add("default", ANN)
    with pytest.raises(Exists):
        await storage.api_keys.add("team", replace(BOT, id="k1"))
    assert await storage.api_keys.find("k1") == ("default", ANN)


async def test_a_key_is_revoked_once_and_in_its_namespace_only(storage: Storage) -> None:
    await storage.api_keys.add("default", ANN)
    with pytest.raises(Missing):
        await storage.api_keys.revoke("team", "k1", now=5)

    revoked = replace(ANN, revoked_at=5)
    assert await storage.api_keys.revoke("default", "k1", now=5) == revoked
    assert await storage.api_keys.revoke("default", "k1", now=6) == revoked
    assert await storage.api_keys.find("k1") == ("default", revoked)


async def test_a_key_remembers_when_it_was_used(storage: Storage) -> None:
    await storage.api_keys.add("default", ANN)
    await storage.api_keys.touch("default", "k1", now=7)
    await storage.api_keys.touch("team", "k1", now=8)
    assert await storage.api_keys.find("k1") == ("default", replace(ANN, used_at=7))


async def test_keys_are_listed_oldest_first(storage: Storage) -> None:
    rows = [replace(ANN, id=id, created_at=at) for id, at in (("b", 1), ("a", 1), ("c", 0))]
    for row in rows:
        await storage.api_keys.add("default", row)
    assert [row.id for row in await storage.api_keys.list("default")] == ["c", "a", "b"]
