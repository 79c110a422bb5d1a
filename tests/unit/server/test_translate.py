"""Values at the edge: what fits a message, what is JSON, what has a name on the wire."""

import pytest

from stepwell.client import decode
from stepwell.client.types import RunStatus as ClientStatus
from stepwell.engine import codec
from stepwell.engine.events import RunCompleted
from stepwell.engine.values import BlobRef, Data
from stepwell.errors import InvalidRequest
from stepwell.orchestrator.views import RunStatus
from stepwell.v1 import common_pb2, run_service_pb2
from stepwell_server import translate

LARGE = "x" * (translate.PAYLOAD_BYTES + 1)


def test_every_status_of_a_run_has_a_name_on_the_wire() -> None:
    for status in RunStatus:
        wire = translate.RUN_STATUSES[status]
        assert decode.RUN_STATUSES[wire] == ClientStatus(status.value)
        assert run_service_pb2.RunStatus.Name(wire) == f"RUN_STATUS_{status.name}"


def test_a_resolved_value_is_given_whatever_it_is_made_from() -> None:
    blob = BlobRef("sha256:00", 5, "datasource:shop")
    sent = translate.data_resolved(Data(value="rows", blob=blob, sealed="datasource:shop"))

    assert sent == common_pb2.Data(json=b'"rows"', sealed="datasource:shop")


def test_a_value_that_fits_no_message_is_given_by_reference() -> None:
    blob = BlobRef("sha256:00", len(LARGE) + 2)

    assert translate.data_resolved(Data(value=LARGE, blob=blob)).ref.digest == "sha256:00"


def test_a_large_value_that_was_just_computed_is_named_as_the_log_names_it() -> None:
    event = RunCompleted(at=0, output=Data(value=LARGE))
    _, (blob,) = codec.encode(event, inline_limit=1000)

    assert translate.data_resolved(event.output).ref.digest == blob.digest


@pytest.mark.parametrize("json", [b"{", b"", b"\xff", b"nan", b"[" * 100_000])
def test_what_is_not_json_is_refused_with_the_field_it_stands_in(json: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        translate.read_json(common_pb2.Data(json=json), "input")

    assert refused.value.detail["input"].startswith("is not JSON")


def test_an_absent_value_is_the_default() -> None:
    assert translate.read_json(common_pb2.Data(), "input", default={}) == {}
