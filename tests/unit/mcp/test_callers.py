"""What is known of whoever makes a request."""

from typing import Any

from stepwell.principals import LOCAL_AGENT
from stepwell_mcp.callers import admit, headers_of


def scope(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http", "headers": list(headers)}


def test_of_headers_with_one_name_the_first_counts() -> None:
    given = scope((b"host", b"localhost"), (b"origin", b"null"), (b"host", b"evil.example"))
    assert headers_of(given) == {"host": "localhost", "origin": "null"}


def test_a_credential_is_gone_from_whatever_was_read_of_a_request() -> None:
    given = scope((b"host", b"localhost"), (b"authorization", b"Bearer secret"))
    assert headers_of(given)["authorization"] == "Bearer secret"
    admit(given, LOCAL_AGENT)
    assert headers_of(given) == {"host": "localhost"}
    assert given["headers"] == [(b"host", b"localhost")]
