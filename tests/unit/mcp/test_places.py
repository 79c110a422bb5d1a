"""From where we may be called."""

import pytest
from starlette.datastructures import Headers

from stepwell.config import McpSettings, OAuthSettings
from stepwell.errors import SetupError
from stepwell_mcp.callers import allowed_hosts, is_keyless
from stepwell_mcp.places import places

OURS = places(["Stepwell.example"], ["https://app.example", "http://localhost:3000"])


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("stepwell.example", True),
        ("STEPWELL.example:443", True),
        ("localhost:1", True),
        ("[::1]:7421", True),
        ("evil.example", False),
        ("stepwell.example.evil.example", False),
        ("stepwell.example:80:evil.example", False),
        ("user@stepwell.example", False),
        ("", False),
    ],
)
def test_only_our_names_are_answered(host: str, is_ours: bool) -> None:
    assert OURS.is_ours(Headers({"host": host})) is is_ours


@pytest.mark.parametrize(
    ("origin", "may_ask"),
    [
        ("https://app.example", True),
        ("https://stepwell.example", True),
        ("http://[::1]:7421", True),
        ("https://app.example:8443", False),
        ("http://app.example", False),
        ("https://app.example.evil.example", False),
        ("https://evil.example", False),
        ("null", False),
        ("", False),
    ],
)
def test_only_pages_of_ours_and_of_those_named_may_ask(origin: str, may_ask: bool) -> None:
    assert OURS.may_ask(Headers({"host": "localhost", "origin": origin})) is may_ask


def test_who_is_no_page_may_ask() -> None:
    assert OURS.may_ask(Headers({"host": "localhost"}))


@pytest.mark.parametrize("host", ["", "a:1", "https://a.example", "*", "a b"])
def test_a_host_that_is_none_is_said_at_the_start(host: str) -> None:
    with pytest.raises(SetupError, match=r"mcp\.hosts"):
        places([host], [])


@pytest.mark.parametrize(
    "origin", ["", "*", "app.example", "https://a.example/", "ftp://a.example"]
)
def test_an_origin_that_is_none_is_said_at_the_start(origin: str) -> None:
    with pytest.raises(SetupError, match=r"mcp\.origins"):
        places([], [origin])


def test_the_names_of_our_urls_are_ours() -> None:
    assert allowed_hosts("https://stepwell.example/x", "", "http://[fd00::1]:1/mcp")[3:] == (
        "stepwell.example",
        "[fd00::1]",
    )


@pytest.mark.parametrize(
    ("keyless", "issuer", "expected"),
    [
        ("", "", True),
        ("", "https://auth.example", False),
        ("loopback", "https://auth.example", True),
        ("never", "", False),
    ],
)
def test_who_names_an_issuer_wants_credentials_from_this_machine_too(
    keyless: str, issuer: str, expected: bool
) -> None:
    settings = McpSettings(keyless=keyless, oauth=OAuthSettings(issuer=issuer))  # type: ignore[arg-type]
    assert is_keyless(settings) is expected
