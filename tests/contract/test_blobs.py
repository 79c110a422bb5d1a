"""What every store promises of its blobs."""

import pytest
from tests.contract.appends import OTHER, RUN, begin, go_on

from stepwell_storage.ports import Storage
from stepwell_storage.records import Blob

pytestmark = pytest.mark.anyio


async def test_blobs_are_kept_with_their_run(storage: Storage) -> None:
    plain = Blob("sha256:a", 5, b"plain")
    sealed = Blob("sha256:b", 6, b"\x00sealed"[:6], label="datasource:shop", key_id="k1")
    await storage.log.append(begin(blobs=(plain,)))
    await storage.log.append(go_on(after=1, blobs=(plain, sealed)))
    await storage.log.append(begin(OTHER))

    found = await storage.blobs.get("default", RUN, ["sha256:a", "sha256:b", "sha256:c"])
    assert found == {"sha256:a": plain, "sha256:b": sealed}
    assert await storage.blobs.get("default", OTHER, ["sha256:a"]) == {}
    assert await storage.blobs.get("default", RUN, []) == {}


async def test_a_blob_that_is_there_is_left_as_it_is(storage: Storage) -> None:
    first, second = Blob("d", 1, b"x", label="first"), Blob("d", 1, b"x", label="second")
    await storage.log.append(begin(blobs=(first, second)))
    await storage.log.append(go_on(after=1, blobs=(second,)))

    assert await storage.blobs.get("default", RUN, ["d"]) == {"d": first}


async def test_many_blobs_are_fetched_at_once(storage: Storage) -> None:
    blobs = tuple(Blob(f"d{n}", 1, b"%d" % n) for n in range(1200))
    await storage.log.append(begin(blobs=blobs))

    found = await storage.blobs.get("default", RUN, [blob.digest for blob in blobs])
    assert found == {blob.digest: blob for blob in blobs}
