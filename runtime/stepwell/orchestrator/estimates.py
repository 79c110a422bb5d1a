"""What a call of a model may need at most, before anybody knows."""

from typing import Final

import msgspec

from stepwell.engine.budgets import CALLS, TOKENS, USD_MICROS
from stepwell.engine.messages import Usage
from stepwell.llm.port import ModelRequest
from stepwell.llm.prices import Prices

BYTES_OF_TOKEN: Final = 3
"""Fewer than a token has in any language that models are good at, so this counts too many."""
OVERHEAD: Final = 64
"""Tokens that a provider adds by itself."""


def estimate(request: ModelRequest, model: str, prices: Prices) -> dict[str, int | None]:
    """By unit; None is what nobody knows."""
    size = len(msgspec.json.encode((request.messages, request.tools, request.output)))
    tokens = size // BYTES_OF_TOKEN + OVERHEAD
    most = Usage(input=tokens, output=request.max_tokens)
    return {
        CALLS: 1,
        TOKENS: tokens + request.max_tokens,
        USD_MICROS: prices.cost(model, most),
    }
