"""What every store promises of policies."""

import pytest

from stepwell_storage.errors import Missing
from stepwell_storage.ports import Storage
from stepwell_storage.records import PolicyHead, PolicyRow

pytestmark = pytest.mark.anyio

ONE = PolicyRow("sha256:1", b"one", "user:ann", 1)
TWO = PolicyRow("sha256:2", b"two", "user:ann", 2)


async def test_versions_are_kept_and_never_changed(storage: Storage) -> None:
    assert await storage.policies.put("default", ONE)
    assert await storage.policies.put("default", TWO)
    again = PolicyRow(ONE.version, b"other", "user:bob", 9)
    assert not await storage.policies.put("default", again)

    assert await storage.policies.get("default", ONE.version) == ONE
    assert await storage.policies.list("default") == [TWO, ONE]
    with pytest.raises(Missing):
        await storage.policies.get("default", "sha256:3")


async def test_one_version_is_in_force_and_can_be_an_older_one(storage: Storage) -> None:
    await storage.policies.put("default", ONE)
    await storage.policies.put("default", TWO)
    assert await storage.policies.in_force() == {}

    for head in (
        PolicyHead(TWO.version, "user:ann", 3),
        PolicyHead(ONE.version, "user:bob", 4),
        PolicyHead(ONE.version, "user:bob", 5),
    ):
        await storage.policies.apply("default", head)
        assert await storage.policies.in_force() == {"default": head}

    assert await storage.policies.withdraw("default")
    assert not await storage.policies.withdraw("default")
    assert await storage.policies.in_force() == {}
    assert await storage.policies.list("default") == [TWO, ONE]


async def test_what_is_not_there_cannot_be_in_force(storage: Storage) -> None:
    with pytest.raises(Missing):
        await storage.policies.apply("default", PolicyHead("sha256:9", "user:ann", 1))
    assert await storage.policies.in_force() == {}


async def test_each_namespace_has_policies_of_its_own(storage: Storage) -> None:
    await storage.policies.put("a", ONE)
    await storage.policies.put("b", ONE)
    await storage.policies.put("b", TWO)
    of_a, of_b = PolicyHead(ONE.version, "user:ann", 1), PolicyHead(TWO.version, "user:bob", 2)
    await storage.policies.apply("a", of_a)
    await storage.policies.apply("b", of_b)

    assert await storage.policies.list("a") == [ONE]
    assert await storage.policies.in_force() == {"a": of_a, "b": of_b}
    with pytest.raises(Missing):
        await storage.policies.apply("a", of_b)
    await storage.policies.withdraw("a")
    assert await storage.policies.in_force() == {"b": of_b}
