"""What every store promises of workflow versions."""

import pytest

from stepwell_storage.errors import Missing
from stepwell_storage.ports import Storage
from stepwell_storage.records import DefinitionRow

pytestmark = pytest.mark.anyio


async def test_the_newest_version_is_the_one_put_last(storage: Storage) -> None:
    one = DefinitionRow("w", "v1", b"source 1", "user:ann", 1)
    two = DefinitionRow("w", "v2", b"source 2", "user:ann", 2)

    assert await storage.definitions.put("default", one) is True
    assert await storage.definitions.put("default", two) is True
    assert await storage.definitions.get("default", "w") == two
    assert await storage.definitions.get("default", "w", "v1") == one

    again = DefinitionRow("w", "v1", b"source 1", "user:bob", 3)
    assert await storage.definitions.put("default", again) is False
    assert await storage.definitions.get("default", "w") == one
    assert await storage.definitions.get("default", "w", "v2") == two


async def test_another_author_takes_a_version_over_where_he_says_so(storage: Storage) -> None:
    await storage.definitions.put("default", DefinitionRow("w", "v1", b"s", "agent:bot", 1))
    await storage.definitions.put("default", DefinitionRow("w", "v2", b"t", "agent:bot", 2))
    mine = DefinitionRow("w", "v1", b"s", "user:ann", 3)

    assert await storage.definitions.put("default", mine, takes_over=True) is False

    assert await storage.definitions.get("default", "w") == mine
    other = await storage.definitions.get("default", "w", "v2")
    assert other.principal == "agent:bot"


async def test_the_newest_versions_are_listed_by_name(storage: Storage) -> None:
    rows = [
        DefinitionRow("b", "v1", b"b", "user:ann", 1),
        DefinitionRow("a", "v1", b"old", "user:ann", 1),
        DefinitionRow("a", "v2", b"new", "user:ann", 2),
    ]
    for row in rows:
        await storage.definitions.put("default", row)

    assert await storage.definitions.list("default") == [rows[2], rows[0]]


async def test_a_definition_that_is_not_there_is_missing(storage: Storage) -> None:
    await storage.definitions.put("default", DefinitionRow("w", "v1", b"s", "user:ann", 1))

    for name, version in (("x", None), ("w", "v2"), ("x", "v1")):
        with pytest.raises(Missing):
            await storage.definitions.get("default", name, version)
