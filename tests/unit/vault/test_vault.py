from dataclasses import dataclass, field

import pytest

from stepwell.clock import Uuid7Source
from stepwell.errors import DataDamaged, KeyDestroyed
from stepwell.vault.cache import MOST_TIME, DataKey, KeyCache
from stepwell.vault.ring import KeyRing, WrongRing
from stepwell.vault.sealer import Sealer
from stepwell.vault.vault import Rotation, Vault
from stepwell_storage.memory import MemoryStorage
from stepwell_storage.records import Blob

pytestmark = pytest.mark.anyio

K1, K2 = bytes(range(32)), bytes(range(1, 33))
ANN, NOBODY = {"subject": "ann"}, dict[str, str]()


@dataclass
class Hands:
    """A clock that somebody sets."""

    time: int = 1_000_000

    def now(self) -> int:
        return self.time


@dataclass
class Home:
    """One store, and the vaults of the processes that use it."""

    storage: MemoryStorage = field(default_factory=MemoryStorage)
    clock: Hands = field(default_factory=Hands)

    def vault(self, ring: KeyRing | None = None) -> Vault:
        return Vault(
            self.storage.keys,
            ring or KeyRing({"k1": K1}, active="k1"),
            subject_label="subject",
            clock=self.clock,
            ids=Uuid7Source(self.clock),
        )


async def sealer_of(vault: Vault, run: str, labels: dict[str, str]) -> Sealer:
    sealer = await vault.sealer("default", run, labels)
    assert sealer is not None
    return sealer


async def read(vault: Vault, run: str, blob: Blob) -> bytes:
    return (await vault.opened("default", run, {blob.digest: blob}))[blob.digest].data


async def test_a_process_reads_what_another_has_written() -> None:
    home = Home()
    blob = (await sealer_of(home.vault(), "r", NOBODY)).lock(b"hush")
    assert await read(home.vault(), "r", blob) == b"hush"


async def test_a_run_has_a_key_of_its_own_and_a_person_one_over_all_runs() -> None:
    vault = Home().vault()
    keys = [
        (await sealer_of(vault, run, labels)).key_id
        for run, labels in (("r1", NOBODY), ("r2", NOBODY), ("r3", ANN), ("r4", ANN))
    ]
    assert len(set(keys)) == 3
    assert keys[2] == keys[3]


async def test_without_an_active_key_nothing_is_encrypted_and_no_label_counts() -> None:
    vault = Home().vault(KeyRing({}))
    assert await vault.sealer("default", "r", ANN) is None
    assert vault.inherited(ANN) == {}
    assert await vault.blinded("default", ANN, "digest") == "digest"
    assert await vault.lock_letter("default", "r", ANN, "l", b"{}") == b"{}"


async def test_what_a_person_s_run_begins_stays_theirs() -> None:
    assert Home().vault().inherited({"subject": "ann", "team": "a"}) == ANN


async def test_a_destroyed_key_of_a_person_erases_all_their_runs_and_nothing_else() -> None:
    home = Home()
    vault = home.vault()
    blobs = {
        run: (await sealer_of(vault, run, labels)).lock(b"hush")
        for run, labels in (("r1", ANN), ("r2", ANN), ("r3", {"subject": "bob"}), ("r4", NOBODY))
    }
    assert await vault.destroy("default", "subject:ann") == 1
    for run in ("r1", "r2"):
        with pytest.raises(KeyDestroyed, match="the key of the subject ann has been destroyed"):
            await read(vault, run, blobs[run])
    assert await read(vault, "r3", blobs["r3"]) == b"hush"
    assert await read(vault, "r4", blobs["r4"]) == b"hush"


async def test_a_person_whose_key_was_destroyed_may_come_back() -> None:
    vault = Home().vault()
    before = (await sealer_of(vault, "r1", ANN)).key_id
    await vault.destroy("default", "subject:ann")
    blob = (await sealer_of(vault, "r2", ANN)).lock(b"new")
    assert blob.key_id != before
    assert await read(vault, "r2", blob) == b"new"


async def test_a_label_cannot_name_the_key_of_another_run() -> None:
    vault = Home().vault()
    own = (await sealer_of(vault, "r1", NOBODY)).key_id
    assert (await sealer_of(vault, "r2", {"subject": "run:r1"})).key_id != own


async def test_another_process_forgets_a_destroyed_key_before_long() -> None:
    home = Home()
    one, other = home.vault(), home.vault()
    blob = (await sealer_of(one, "r", ANN)).lock(b"hush")
    assert await read(other, "r", blob) == b"hush"
    await one.destroy("default", "subject:ann")
    home.clock.time += MOST_TIME
    with pytest.raises(KeyDestroyed):
        await read(other, "r", blob)


async def test_a_key_that_is_gone_with_its_row_is_as_good_as_destroyed() -> None:
    blob = (await sealer_of(Home().vault(), "r", NOBODY)).lock(b"hush")
    with pytest.raises(KeyDestroyed, match="not in the database any more"):
        await read(Home().vault(), "r", blob)


async def test_rotation_wraps_every_key_anew_and_the_old_one_can_go() -> None:
    home = Home()
    before = home.vault()
    blobs = {run: (await sealer_of(before, run, NOBODY)).lock(b"hush") for run in ("r1", "r2")}
    both = home.vault(KeyRing({"k1": K1, "k2": K2}, active="k2"))
    assert await both.rotate() == Rotation(wrapped=2, lost=0)
    assert await both.rotate() == Rotation(wrapped=0, lost=0)

    after = home.vault(KeyRing({"k2": K2}, active="k2"))
    assert [(use.ring, use.keys) for use in await after.check()] == [("k2", 2)]
    assert {await read(after, run, blob) for run, blob in blobs.items()} == {b"hush"}


async def test_keys_that_a_lost_key_wraps_are_left_alone_by_rotation() -> None:
    home = Home()
    blob = (await sealer_of(home.vault(), "r1", NOBODY)).lock(b"hush")
    ring = KeyRing({"k2": K2}, active="k2", lost=["k1"])
    assert await home.vault(ring).rotate() == Rotation(wrapped=0, lost=1)
    with pytest.raises(KeyDestroyed, match="which is lost"):
        await read(home.vault(ring), "r1", blob)
    found = home.vault(KeyRing({"k1": K1, "k2": K2}, active="k2"))
    assert await read(found, "r1", blob) == b"hush"


@pytest.mark.parametrize(
    ("ring", "words"),
    [
        (KeyRing({"k2": K2}, active="k2"), "none of this name"),
        (KeyRing({}), "none of this name"),
        (KeyRing({"k1": K2}, active="k1"), "is not the key that wrapped"),
    ],
)
async def test_a_ring_that_does_not_fit_the_database_is_found_out_at_once(
    ring: KeyRing, words: str
) -> None:
    home = Home()
    await sealer_of(home.vault(), "r1", NOBODY)
    with pytest.raises(WrongRing, match=words):
        await home.vault(ring).check()


async def test_a_letter_is_locked_for_its_run_and_a_plain_one_is_read_too() -> None:
    home = Home()
    locked = await home.vault().lock_letter("default", "r", ANN, "l", b'{"hush":1}')
    assert b"hush" not in locked
    vault = home.vault()
    assert await vault.open_letter("default", "r", "l", locked) == b'{"hush":1}'
    assert await vault.open_letter("default", "r", "l", b"{}") == b"{}"
    with pytest.raises(DataDamaged):
        await vault.open_letter("default", "r", "l", locked[:-1] + bytes([locked[-1] ^ 1]))
    await vault.destroy("default", "subject:ann")
    with pytest.raises(KeyDestroyed):
        await vault.open_letter("default", "r", "l", locked)


async def test_a_digest_of_a_person_s_data_is_stable_and_says_nothing_without_their_key() -> None:
    home = Home()
    first = await home.vault().blinded("default", ANN, "digest")
    assert first == await home.vault().blinded("default", ANN, "digest") != "digest"
    assert first != await home.vault().blinded("default", {"subject": "bob"}, "digest")
    assert await home.vault().blinded("default", NOBODY, "digest") == "digest"


def test_the_cache_keeps_what_was_used_last_and_shows_no_key() -> None:
    cache = KeyCache(Hands(), most=2)
    for name in ("a", "b"):
        cache.add("default", DataKey(name, f"of-{name}", b"hush"))
    assert cache.by_id("default", "a") is not None
    cache.add("default", DataKey("c", "of-c", b"hush"))
    assert [cache.by_id("default", name) is not None for name in ("a", "b", "c")] == [
        True,
        False,
        True,
    ]
    assert cache.by_subject("default", "of-b") is None
    assert cache.by_id("elsewhere", "a") is None
    assert len(cache) == 2
    assert "hush" not in repr(cache.by_id("default", "a"))
