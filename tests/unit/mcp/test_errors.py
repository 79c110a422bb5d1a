"""What a refused request is in JSON-RPC."""

import pytest
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS

from stepwell.errors import Code, NotFound, StepwellError, Unavailable
from stepwell_mcp.errors import JSONRPC_CODES, protocol_error, unknown_tool


@pytest.mark.parametrize("code", Code)
def test_every_code_has_a_place_in_the_table(code: Code) -> None:
    error = protocol_error(StepwellError("text", code=code))
    assert error.code == JSONRPC_CODES[code]
    assert error.data["code"] == code.value


def test_codes_that_the_protocol_has_given_away_are_never_used() -> None:
    assert not set(JSONRPC_CODES.values()) & {-32002, -32042, *range(-32099, -32019)}


def test_an_error_tells_whether_to_try_again_and_its_details() -> None:
    error = protocol_error(Unavailable("the disk is full", detail={"free": "0"}))
    assert (error.code, error.message) == (INTERNAL_ERROR, "the disk is full")
    assert error.data == {
        "code": "STORAGE_UNAVAILABLE",
        "retryable": True,
        "detail": {"free": "0"},
    }


def test_what_is_not_there_is_a_wrong_parameter() -> None:
    assert protocol_error(NotFound()).code == INVALID_PARAMS
    assert unknown_tool("nope").code == INVALID_PARAMS
