"""Every error has a status, and its details fit into the trailers."""

import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from stepwell.errors import Code, InvalidRequest, NotFound, StepwellError, Unavailable
from stepwell_server.status import DOMAIN, STATUS, internal, to_status


def details(status: status_pb2.Status) -> dict[str, object]:
    found: dict[str, object] = {}
    for packed in status.details:
        name = packed.TypeName().removeprefix("google.rpc.")
        detail = getattr(error_details_pb2, name)()
        packed.Unpack(detail)
        found[name] = detail
    return found


@pytest.mark.parametrize("code", Code)
def test_every_code_has_a_status_that_is_an_error(code: Code) -> None:
    assert STATUS[code] is not StatusCode.OK
    assert to_status(StepwellError("no", code=code)).code == STATUS[code].value[0]


def test_an_error_tells_its_reason_and_what_else_it_knows() -> None:
    status = to_status(NotFound("no such run", detail={"run": "7"}))

    assert status.message == "no such run"
    assert details(status) == {
        "ErrorInfo": error_details_pb2.ErrorInfo(
            reason="RUN_NOT_FOUND", domain=DOMAIN, metadata={"run": "7"}
        )
    }


def test_an_invalid_request_tells_what_is_wrong_with_each_field() -> None:
    found = details(to_status(InvalidRequest("two things", detail={"a": "too long", "b": "odd"})))

    assert found["BadRequest"] == error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field="a", description="too long"),
            error_details_pb2.BadRequest.FieldViolation(field="b", description="odd"),
        ]
    )


def test_what_may_help_to_try_again_says_when() -> None:
    assert "RetryInfo" in details(to_status(Unavailable()))
    assert "RetryInfo" not in details(to_status(NotFound()))


def test_the_unforeseen_tells_nothing_but_the_request_id() -> None:
    status = internal("r-1")

    assert status.code == StatusCode.INTERNAL.value[0]
    assert details(status)["RequestInfo"] == error_details_pb2.RequestInfo(request_id="r-1")


def test_the_longest_error_fits_into_the_trailers() -> None:
    fields = {f"{'ü' * 300}{number}": "€" * 5000 for number in range(100)}
    status = to_status(InvalidRequest("€" * 50_000, detail=fields))

    escaped_message = 3 * len(status.message.encode())
    encoded_details = 4 * status.ByteSize() // 3
    assert escaped_message + encoded_details < 8000
    bad = details(status)["BadRequest"]
    assert isinstance(bad, error_details_pb2.BadRequest)
    assert bad.field_violations[-1].description == "and 92 more"
