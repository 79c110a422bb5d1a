"""What models cost: a table of your own, then the one of `genai-prices`, which needs no network.

A model that neither knows has no price, which is not the same as a price of nothing.
"""

import math
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

from msgspec import Struct

from stepwell.config import ProviderSettings
from stepwell.engine.messages import Usage
from stepwell.errors import SetupError

MILLION: Final = 1_000_000
UNKNOWN_TO_ALL: Final = ("fake",)
"""Providers of which nobody sells anything."""


class Price(Struct, frozen=True):
    """Millionths of a dollar for a million tokens: of input, output, and input read from a cache."""

    input: Decimal
    output: Decimal
    cache_read: Decimal


class Prices:
    """Prices models by the name that a workflow gives them: a class, or `provider:model`."""

    def __init__(
        self,
        table: Mapping[str, str] | None = None,
        *,
        classes: Mapping[str, str] | None = None,
        providers: Mapping[str, ProviderSettings] | None = None,
    ) -> None:
        """`table` has `INPUT/OUTPUT` or `INPUT/OUTPUT/CACHED` by `provider:model`, where `*` is any.

        Raises:
            SetupError: INVALID_CONFIG, a price is none.
        """
        self._table = {name: read_price(name, text) for name, text in (table or {}).items()}
        self._classes = classes or {}
        self._providers = providers or {}

    def cost(self, model: str, usage: Usage, *, answered: str = "") -> int | None:
        """Millionths of a dollar, rounded up; None where nobody knows. `answered` is who answered."""
        full = model if ":" in model else self._classes.get(model, "")
        provider, _, name = full.partition(":")
        for candidate in (f"{provider}:{answered}", full):
            price = self._own(candidate)
            if price is not None:
                return _cost(price, usage)
        return self._known(provider, answered, usage) or self._known(provider, name, usage)

    def _own(self, name: str) -> Price | None:
        exact = self._table.get(name)
        if exact is not None:
            return exact
        return next((it for like, it in self._table.items() if fnmatchcase(name, like)), None)

    def _known(self, provider: str, model: str, usage: Usage) -> int | None:
        settings = self._providers.get(provider, ProviderSettings())
        kind = settings.kind or provider
        if not model or kind in UNKNOWN_TO_ALL:
            return None
        url = settings.base_url if kind == "openai-compatible" else ""
        return _looked_up(kind, url, model, usage)


def read_price(name: str, text: str) -> Price:
    """A price as settings have it, in dollars for a million tokens.

    Raises:
        SetupError: INVALID_CONFIG, it is none.
    """
    try:
        input, output, *cached = (Decimal(part) * MILLION for part in text.split("/"))
        price = Price(input, output, cached[0] if cached else input)
        if len(cached) < 2 and min(price.input, price.output, price.cache_read) >= 0:
            return price
    except (InvalidOperation, ValueError):
        pass
    raise SetupError(
        f"prices.{name} is {text!r}; write dollars for a million tokens of input and of output, "
        'like "2.50/15", and what cached input costs behind another slash'
    )


def _cost(price: Price, usage: Usage) -> int:
    cached = min(usage.cache_read, usage.input)
    total = (
        price.input * (usage.input - cached)
        + price.cache_read * cached
        + price.output * usage.output
    )
    return math.ceil(total / MILLION)


@lru_cache(maxsize=1024)
def _looked_up(kind: str, url: str, model: str, usage: Usage) -> int | None:
    # Imported by whoever has asked a model: the table takes time and memory.
    import genai_prices

    asked = genai_prices.Usage(
        input_tokens=usage.input,
        output_tokens=usage.output,
        cache_read_tokens=min(usage.cache_read, usage.input) or None,
        cache_write_tokens=min(usage.cache_write, usage.input - usage.cache_read) or None
        if usage.cache_write > 0
        else None,
    )
    try:
        if url:
            found = genai_prices.calc_price(asked, model_ref=model, provider_api_url=url)
        else:
            found = genai_prices.calc_price(asked, model_ref=model, provider_id=kind)
    except (LookupError, ValueError):
        return None
    return math.ceil(found.total_price * MILLION)
