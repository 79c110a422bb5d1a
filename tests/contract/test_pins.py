"""What every store promises of pins."""

import pytest
from msgspec.structs import replace

from stepwell_storage.errors import Conflict, Missing
from stepwell_storage.ports import Storage
from stepwell_storage.records import PinRow

pytestmark = pytest.mark.anyio

READ = PinRow("read", "files", "a1", b'{"name":"read"}', "system:pins", 1)
WRITE = PinRow("write", "files", "b1", b'{"name":"write"}', "system:pins", 1)


async def test_a_pin_stays_as_it_was_first_made(storage: Storage) -> None:
    await storage.pins.add("default", [WRITE, READ])
    await storage.pins.add("default", [replace(READ, definition="a2", pinned_at=2)])
    assert await storage.pins.list("default") == [READ, WRITE]
    assert await storage.pins.get("default", "read") == READ
    await storage.pins.add("default", [])


async def test_a_pin_is_replaced_by_whoever_has_seen_it(storage: Storage) -> None:
    await storage.pins.add("default", [READ])
    newer = PinRow("read", "others", "a2", b"{}", "user:ann", 5)
    with pytest.raises(Conflict):
        await storage.pins.replace("default", newer, was="a0")
    assert await storage.pins.get("default", "read") == READ
    await storage.pins.replace("default", newer, was="a1")
    assert await storage.pins.get("default", "read") == newer
    with pytest.raises(Conflict):
        await storage.pins.replace("default", newer, was="a1")


async def test_pins_stay_in_their_namespace(storage: Storage) -> None:
    await storage.pins.add("default", [READ])
    assert await storage.pins.list("other") == []
    with pytest.raises(Missing):
        await storage.pins.get("other", "read")
    with pytest.raises(Missing):
        await storage.pins.replace("other", READ, was="a1")
