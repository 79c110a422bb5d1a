from typing import Any

import pytest

from stepwell.engine import codec
from stepwell.engine.events import StepCompleted, ToolCall
from stepwell.engine.values import NOTHING, BlobRef, Data
from stepwell.errors import DataDamaged
from stepwell.vault.sealer import Sealer
from stepwell_storage.records import Blob

SECRET = "4111 1111 1111 1111"
INLINE = 16 * 1024


def sealer(*, run: str = "r1", everything: bool = True, key: bytes = b"k" * 32) -> Sealer:
    return Sealer("key-1", key, namespace="default", run=run, everything=everything)


def completed(output: Data) -> StepCompleted:
    return StepCompleted(at=1, step="ask", attempt=1, output=output)


def read_back(by: Sealer, kind: str, body: bytes, blobs: tuple[Blob, ...]) -> Any:
    opened = {blob.digest: by.open(blob) for blob in blobs}
    return codec.fill(codec.decode(kind, body), opened)


def test_an_event_of_a_person_holds_no_value_and_comes_back_whole() -> None:
    body, blobs = sealer().encode(completed(Data({"card": SECRET})), INLINE)
    assert SECRET.encode() not in body + blobs[0].data
    assert blobs[0].key_id == "key-1"
    event = read_back(sealer(), "step_completed", body, blobs)
    assert event.output.value == {"card": SECRET}


def test_an_event_of_nobody_in_particular_keeps_what_is_small() -> None:
    body, blobs = sealer(everything=False).encode(completed(Data(SECRET)), INLINE)
    assert (body, blobs) == codec.encode(completed(Data(SECRET)), INLINE)


def test_what_is_large_or_sealed_leaves_any_event() -> None:
    call = ToolCall(
        at=1,
        step="ask",
        attempt=1,
        call="",
        tool="db_query",
        key="k",
        arguments=Data("x" * INLINE),
        result=Data([SECRET], sealed="datasource:shop"),
    )
    body, blobs = sealer(everything=False).encode(call, INLINE)
    assert [(blob.label, blob.size) for blob in blobs] == [
        ("", INLINE + 2),
        ("datasource:shop", len(SECRET) + 4),
    ]
    event = read_back(sealer(), "tool_call", body, blobs)
    assert event.arguments.value == "x" * INLINE
    assert (event.result.value, event.result.sealed) == ([SECRET], "datasource:shop")


def test_no_value_makes_no_blob() -> None:
    assert sealer().encode(completed(NOTHING), INLINE) == codec.encode(completed(NOTHING), INLINE)
    assert sealer().encode(completed(Data(None)), INLINE)[1] == ()


def test_content_has_one_name_in_its_run_and_another_elsewhere() -> None:
    names = [by.lock(b'"Yes"').digest for by in (sealer(), sealer(), sealer(run="r2"))]
    assert names[0] == names[1] != names[2]
    assert codec.digest(b'"Yes"') not in names
    assert sealer(key=b"q" * 32).lock(b'"Yes"').digest not in names


def test_a_value_that_was_read_elsewhere_takes_no_reference_with_it() -> None:
    event = completed(Data(True, blob=BlobRef("sha256:elsewhere", 4)))
    body, _ = sealer(everything=False).encode(event, INLINE)
    assert b"elsewhere" not in body


def test_a_blob_is_of_no_use_in_another_run_or_under_another_name_or_label() -> None:
    blob = sealer().lock(b'"Yes"')
    elsewhere = [
        (sealer(run="r2"), blob),
        (sealer(key=b"q" * 32), blob),
        (Sealer("key-1", b"k" * 32, namespace="other", run="r1"), blob),
        (sealer(), Blob(sealer().lock(b'"No"').digest, blob.size, blob.data)),
        (sealer(), Blob(blob.digest, blob.size, blob.data, "datasource:shop")),
    ]
    for by, moved in elsewhere:
        with pytest.raises(DataDamaged, match="changed, or moved"):
            by.open(moved)


def test_a_letter_is_opened_by_the_run_that_it_is_for() -> None:
    locked = sealer().lock_letter("letter-1", b'{"payload":"hush"}')
    assert b"hush" not in locked
    assert sealer().open_letter("letter-1", locked) == b'{"payload":"hush"}'
    with pytest.raises(DataDamaged):
        sealer().open_letter("letter-2", locked)
    with pytest.raises(DataDamaged):
        sealer(run="r2").open_letter("letter-1", locked)
