"""What is encrypted comes back as it was, in its place only, and no byte of it can be changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.errors import DataDamaged
from stepwell.vault.boxes import Boxes, NotOpened
from stepwell.vault.sealer import Sealer
from stepwell_storage.records import Blob

keys = st.binary(min_size=32, max_size=32)
contents = st.binary(max_size=200)
texts = st.text(max_size=10)


@given(keys, contents, st.lists(texts, max_size=4))
def test_a_box_gives_back_what_was_locked(key: bytes, content: bytes, purpose: list[str]) -> None:
    assert Boxes(key).open(Boxes(key).lock(content, *purpose), *purpose) == content


@given(keys, contents, st.data())
def test_a_box_of_which_any_bit_is_changed_stays_shut(
    key: bytes, content: bytes, data: st.DataObject
) -> None:
    box = bytearray(Boxes(key).lock(content, "purpose"))
    place = data.draw(st.integers(0, len(box) * 8 - 1))
    box[place // 8] ^= 1 << place % 8
    with pytest.raises(NotOpened):
        Boxes(key).open(bytes(box), "purpose")


@given(keys, contents, st.data())
def test_a_box_that_was_cut_stays_shut(key: bytes, content: bytes, data: st.DataObject) -> None:
    box = Boxes(key).lock(content)
    with pytest.raises(NotOpened):
        Boxes(key).open(box[: data.draw(st.integers(0, len(box) - 1))])


@given(keys, st.lists(texts, max_size=4), st.lists(texts, max_size=4))
def test_a_box_is_opened_for_its_own_purpose_only(
    key: bytes, purpose: list[str], other: list[str]
) -> None:
    box = Boxes(key).lock(b"content", *purpose)
    if purpose != other:
        with pytest.raises(NotOpened):
            Boxes(key).open(box, *other)


@given(keys, contents, texts, st.tuples(texts, texts), st.tuples(texts, texts))
def test_a_blob_is_read_in_its_namespace_and_run_only(
    key: bytes, content: bytes, label: str, place: tuple[str, str], other: tuple[str, str]
) -> None:
    def sealer_of(place: tuple[str, str]) -> Sealer:
        return Sealer("key", key, namespace=place[0], run=place[1])

    blob = sealer_of(place).lock(content, label=label)
    assert sealer_of(place).open(blob) == Blob(blob.digest, len(content), content, label)
    if place != other:
        with pytest.raises(DataDamaged):
            sealer_of(other).open(blob)


@given(keys, contents, contents)
def test_names_tell_equal_contents_and_nothing_else(key: bytes, one: bytes, other: bytes) -> None:
    sealer = Sealer("key", key, namespace="default", run="r")
    names = sealer.lock(one).digest, sealer.lock(other).digest
    assert (names[0] == names[1]) == (one == other)
