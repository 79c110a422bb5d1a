"""What every store promises of data keys."""

import pytest
from msgspec.structs import replace

from stepwell_storage.errors import Exists
from stepwell_storage.ports import Storage
from stepwell_storage.records import KeyRow, RingUse

pytestmark = pytest.mark.anyio


def key(id: str, subject: str = "ann", *, ring: str = "r1") -> KeyRow:
    return KeyRow(id, subject, ring, b"\x00wrapped " + id.encode(), 10)


async def test_a_key_is_found_by_its_id_and_by_its_subject(storage: Storage) -> None:
    ann, bob = key("a", "ann"), key("b", "bob")
    assert await storage.keys.add("default", ann) == ann
    assert await storage.keys.add("default", bob) == bob

    assert await storage.keys.get("default", ["a", "b", "c"]) == {"a": ann, "b": bob}
    assert await storage.keys.get("default", []) == {}
    assert await storage.keys.of_subject("default", "bob") == bob
    assert await storage.keys.of_subject("default", "eve") is None
    assert await storage.keys.get("elsewhere", ["a"]) == {}
    assert await storage.keys.of_subject("elsewhere", "ann") is None


async def test_a_subject_has_one_key(storage: Storage) -> None:
    first = await storage.keys.add("default", key("a", "ann"))

    assert await storage.keys.add("default", key("b", "ann")) == first
    assert await storage.keys.get("default", ["b"]) == {}
    assert await storage.keys.add("elsewhere", key("b", "ann")) == key("b", "ann")


async def test_two_keys_do_not_have_one_id(storage: Storage) -> None:
    await storage.keys.add("default", key("a", "ann"))

    with pytest.raises(Exists):
        await storage.keys.add("default", key("a", "bob"))
    assert await storage.keys.of_subject("default", "bob") is None


async def test_a_destroyed_key_is_empty_for_good(storage: Storage) -> None:
    await storage.keys.add("default", key("a", "ann"))
    await storage.keys.add("default", key("b", "bob"))

    assert await storage.keys.destroy("default", "ann", now=50) == 1
    destroyed = replace(key("a", "ann"), wrapped=b"", destroyed_at=50)
    assert await storage.keys.get("default", ["a", "b"]) == {"a": destroyed, "b": key("b", "bob")}
    assert await storage.keys.of_subject("default", "ann") is None
    assert await storage.keys.destroy("default", "ann", now=60) == 0
    assert await storage.keys.destroy("default", "eve", now=60) == 0
    assert await storage.keys.rewrap("default", key("a", ring="r2")) is False
    assert await storage.keys.get("default", ["a"]) == {"a": destroyed}


async def test_a_subject_may_have_a_new_key_after_the_old_one_is_destroyed(
    storage: Storage,
) -> None:
    for id in ("a", "b"):
        assert await storage.keys.add("default", key(id)) == key(id)
        assert await storage.keys.destroy("default", "ann", now=50) == 1

    assert await storage.keys.add("default", key("c")) == key("c")
    assert await storage.keys.of_subject("default", "ann") == key("c")
    with pytest.raises(Exists):
        await storage.keys.add("default", key("a", "bob"))


async def test_keys_are_wrapped_anew_ring_by_ring(storage: Storage) -> None:
    await storage.keys.add("default", key("a", "ann", ring="r1"))
    await storage.keys.add("elsewhere", key("b", "ann", ring="r3"))
    await storage.keys.add("default", key("c", "bob", ring="r2"))
    await storage.keys.add("default", key("d", "eve", ring="r1"))
    await storage.keys.destroy("default", "eve", now=50)

    found = await storage.keys.not_wrapped_with("r2", limit=9)
    assert found == [("default", key("a", "ann", ring="r1")), ("elsewhere", key("b", ring="r3"))]
    assert len(await storage.keys.not_wrapped_with("r2", limit=1)) == 1
    for namespace, row in found:
        anew = replace(row, ring="r2", wrapped=b"anew", subject="ignored")
        assert await storage.keys.rewrap(namespace, anew) is True
    assert await storage.keys.not_wrapped_with("r2", limit=9) == []
    expected = replace(key("a", "ann", ring="r2"), wrapped=b"anew")
    assert await storage.keys.of_subject("default", "ann") == expected
    assert await storage.keys.rewrap("default", key("never added")) is False
    assert await storage.keys.rewrap("elsewhere", key("a")) is False


async def test_keys_are_listed_page_by_page_with_those_that_are_destroyed(
    storage: Storage,
) -> None:
    await storage.keys.add("default", key("b", "ann"))
    await storage.keys.destroy("default", "ann", now=50)
    for id, subject in (("a", "ann"), ("d", "bob"), ("c", "eve")):
        await storage.keys.add("default", key(id, subject))
    await storage.keys.add("elsewhere", key("e", "ann"))

    first = await storage.keys.list("default", limit=2)
    assert [(row.id, row.destroyed_at) for row in first] == [("a", None), ("b", 50)]
    second = await storage.keys.list("default", limit=9, after=("ann", "b"))
    assert [row.id for row in second] == ["d", "c"]
    assert await storage.keys.list("default", limit=9, after=("eve", "c")) == []


async def test_the_keys_of_the_ring_that_are_in_use_are_told(storage: Storage) -> None:
    assert await storage.keys.rings() == []
    await storage.keys.add("default", key("a", "ann", ring="r2"))
    await storage.keys.add("elsewhere", key("b", "ann", ring="r2"))
    await storage.keys.add("elsewhere", key("c", "bob", ring="r1"))
    await storage.keys.add("default", key("d", "eve", ring="r3"))
    await storage.keys.destroy("default", "eve", now=50)

    first, second = await storage.keys.rings()
    assert first == RingUse("r1", 1, "elsewhere", key("c", "bob", ring="r1"))
    assert (second.ring, second.keys) == ("r2", 2)
    assert second.sample in (await storage.keys.get(second.namespace, ["a", "b"])).values()
