"""The OpenAI SDK, set up for us, and what its errors mean. Shared by both of its wire forms."""

from typing import Final

import httpx2
import openai

from stepwell.llm.failures import (
    BAD_REQUEST,
    CONTEXT_EXCEEDED,
    QUOTA_USED_UP,
    RATE_LIMITED,
    REFUSED,
    UNAVAILABLE,
    Kind,
    by_status,
    failure,
    retry_after,
    timed_out,
    unreachable,
    unusable,
)
from stepwell.llm.port import ModelError
from stepwell.llm.provider import CONNECT_TIMEOUT, Endpoint

ERRORS: Final = (openai.OpenAIError, httpx2.HTTPError, TimeoutError)
"""Everything that a call can raise because of the other side."""

BY_CODE: Final[dict[str | None, Kind]] = {
    "context_length_exceeded": CONTEXT_EXCEEDED,
    "string_above_max_length": CONTEXT_EXCEEDED,
    "exceed_context_size_error": CONTEXT_EXCEEDED,  # llama.cpp
    "insufficient_quota": QUOTA_USED_UP,
    "rate_limit_exceeded": RATE_LIMITED,
    "content_filter": REFUSED,
    "content_policy_violation": REFUSED,
    "bio_policy": REFUSED,
    "misalignment_policy_violation": REFUSED,
    "image_content_policy_violation": REFUSED,
    "server_error": UNAVAILABLE,
    "invalid_prompt": BAD_REQUEST,
}
"""By the `code` of an error, or its `type`; of an answer that failed as well."""


def make_client(endpoint: Endpoint) -> openai.AsyncOpenAI:
    """A client that tries once; an endpoint without a key gets a word in its place."""
    return openai.AsyncOpenAI(
        api_key=endpoint.api_key or "none",
        base_url=endpoint.base_url,
        max_retries=0,
        timeout=httpx2.Timeout(endpoint.timeout.total_seconds(), connect=CONNECT_TIMEOUT),
    )


def failure_of(error: BaseException, endpoint: Endpoint) -> ModelError:
    """What one of `ERRORS` means."""
    match error:
        case openai.APIStatusError():
            known = BY_CODE.get(error.code) or BY_CODE.get(error.type)
            return failure(
                known or by_status(error.status_code, error.message),
                endpoint,
                error.message,
                retry_after=retry_after(error.response.headers),
            )
        case openai.APITimeoutError() | httpx2.TimeoutException() | TimeoutError():
            return timed_out(endpoint)
        case openai.APIConnectionError() | httpx2.HTTPError():
            return unreachable(endpoint, error.__cause__ or error)
        case _:
            return unusable(endpoint, str(error))
