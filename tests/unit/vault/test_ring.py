import base64
import os
from pathlib import Path

import pytest

from stepwell.config import EncryptionSettings
from stepwell.errors import Code, KeyDestroyed, SetupError
from stepwell.vault.ring import KeyRing, WrongRing, open_ring

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
DATA_KEY = b"d" * 32


def wrapped_by(ring: KeyRing) -> bytes:
    return ring.wrap(DATA_KEY, namespace="default", id="key-1", subject="run:r")


def unwrapped_by(ring: KeyRing, wrapped: bytes, *, name: str = "k1") -> bytes:
    return ring.unwrap(wrapped, ring=name, namespace="default", id="key-1", subject="run:r")


def test_a_ring_unwraps_what_it_has_wrapped_also_when_another_key_is_active_by_now() -> None:
    wrapped = wrapped_by(KeyRing({"k1": KEY}, active="k1"))
    later = KeyRing({"k1": KEY, "k2": OTHER}, active="k2")
    assert unwrapped_by(later, wrapped) == DATA_KEY
    assert DATA_KEY not in wrapped


@pytest.mark.parametrize("field", ["namespace", "id", "subject"])
def test_a_wrapped_key_is_of_no_use_in_the_row_of_another(field: str) -> None:
    ring = KeyRing({"k1": KEY}, active="k1")
    place = {"namespace": "default", "id": "key-1", "subject": "run:r", field: "another"}
    with pytest.raises(WrongRing):
        ring.unwrap(wrapped_by(ring), ring="k1", **place)


def test_a_ring_that_lacks_the_key_says_which_one_to_put_back() -> None:
    wrapped = wrapped_by(KeyRing({"k1": KEY}, active="k1"))
    with pytest.raises(WrongRing, match="wrapped with the ring key 'k1'") as caught:
        unwrapped_by(KeyRing({"k2": OTHER}, active="k2"), wrapped)
    assert caught.value.code is Code.INVALID_CONFIG


def test_another_key_under_the_same_name_is_found_out() -> None:
    wrapped = wrapped_by(KeyRing({"k1": KEY}, active="k1"))
    with pytest.raises(WrongRing, match="is not the key that wrapped"):
        unwrapped_by(KeyRing({"k1": OTHER}, active="k1"), wrapped)


def test_what_a_lost_key_has_wrapped_counts_as_destroyed() -> None:
    wrapped = wrapped_by(KeyRing({"k1": KEY}, active="k1"))
    with pytest.raises(KeyDestroyed, match="the ring key 'k1', which is lost"):
        unwrapped_by(KeyRing({"k2": OTHER}, active="k2", lost=["k1"]), wrapped)


@pytest.mark.parametrize(
    "written",
    [
        base64.b64encode(KEY).decode(),
        base64.urlsafe_b64encode(KEY).decode() + "\n",
    ],
)
def test_keys_are_read_from_variables_and_from_files_in_the_home(
    written: str, tmp_path: Path
) -> None:
    (tmp_path / "ring.key").write_text(written)
    settings = EncryptionSettings(keys={"a": "env:RING", "b": "file:ring.key"}, active="b")
    ring = open_ring(settings, {"RING": written}, home=tmp_path)
    wrapped = wrapped_by(KeyRing({"a": KEY}, active="a"))
    assert unwrapped_by(ring, wrapped, name="a") == DATA_KEY
    assert (ring.active, ring.has("b"), ring.has("c")) == ("b", True, False)


def test_no_keys_are_a_ring_that_encrypts_nothing(tmp_path: Path) -> None:
    assert open_ring(EncryptionSettings(), {}, home=tmp_path).active == ""


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (EncryptionSettings(keys={"a": "env:ABSENT"}, active="a"), "ABSENT is not set"),
        (EncryptionSettings(keys={"a": "env:SHORT"}, active="a"), "must hold 32 bytes in base64"),
        (EncryptionSettings(keys={"a": "file:absent"}, active="a"), "No such file"),
        (EncryptionSettings(keys={"a": "aHVzaA=="}, active="a"), "must be env:NAME or file:PATH"),
        (EncryptionSettings(keys={"a": "env:GOOD"}), "encryption.active must name the key"),
        (EncryptionSettings(keys={"a": "env:GOOD"}, active="b"), "encryption.active must name"),
        (EncryptionSettings(active="a"), "encryption.keys is empty"),
        (EncryptionSettings(keys={"a": "env:GOOD"}, active="a", lost=("a",)), "lost names 'a'"),
    ],
)
def test_a_ring_that_cannot_be_used_is_refused_without_showing_a_key(
    settings: EncryptionSettings, words: str, tmp_path: Path
) -> None:
    environ = {"SHORT": "aHVzaA==", "GOOD": base64.b64encode(os.urandom(32)).decode()}
    with pytest.raises(SetupError, match=words) as caught:
        open_ring(settings, environ, home=tmp_path)
    assert caught.value.code is Code.INVALID_CONFIG
    assert "aHVzaA" not in caught.value.message
