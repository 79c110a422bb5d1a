"""The taxonomy: waiting times, statuses, and what may show in a message."""

import pytest

from stepwell.errors import Code
from stepwell.llm.failures import BAD_REQUEST, CONTEXT_EXCEEDED, by_status, failure, retry_after
from stepwell.llm.provider import Endpoint


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Mon, 23 Nov 2026 10:00:30 GMT"}, None),
        (
            {
                "retry-after": "Mon, 23 Nov 2026 10:00:30 GMT",
                "date": "Mon, 23 Nov 2026 10:00:00 GMT",
            },
            30.0,
        ),
    ],
)
def test_the_time_to_wait_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 8192 tokens",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "The input token count exceeds the maximum number of tokens allowed",
        "the request exceeds the available context size",
    ],
)
def test_an_overflow_is_known_by_its_words(message: str) -> None:
    assert by_status(400, message) is CONTEXT_EXCEEDED


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (400, Code.MODEL_ERROR, False),
        (401, Code.MODEL_NOT_CONFIGURED, False),
        (404, Code.MODEL_NOT_CONFIGURED, False),
        (413, Code.MODEL_CONTEXT_EXCEEDED, False),
        (429, Code.MODEL_RATE_LIMITED, True),
        (500, Code.MODEL_UNAVAILABLE, True),
        (529, Code.MODEL_UNAVAILABLE, True),
    ],
)
def test_a_status_has_a_meaning_of_its_own(status: int, code: Code, retryable: bool) -> None:
    kind = by_status(status, "")

    assert (kind.code, kind.retryable) == (code, retryable)


def test_a_message_is_short_and_without_the_key() -> None:
    endpoint = Endpoint(name="mine", api_key="sk-secret")

    error = failure(BAD_REQUEST, endpoint, "your key\n sk-secret " + "x" * 1000)

    assert error.message.startswith("mine: your key *** xxx")
    assert len(error.message) < 600
