"""Tool names as providers allow them, and back.

Ours have dots (`chat.post`), which OpenAI and Anthropic refuse. A name is changed only where
it has to be, and two names never become one.
"""

import re
from typing import Final

from stepwell.llm.port import ModelRequest

_LONGEST: Final = 64
_FORBIDDEN = re.compile(r"[^A-Za-z0-9_-]")


class ToolNames:
    """The names of one request: of the tools on offer, then of those called before."""

    def __init__(self, request: ModelRequest) -> None:
        self._outward: dict[str, str] = {}
        self._inward: dict[str, str] = {}
        for offer in request.tools:
            self._add(offer.name)
        for message in request.messages:
            for tool in message.tools:
                self._add(tool.name)

    def outward(self, name: str) -> str:
        """The provider's form of a name of this request."""
        return self._outward[name]

    def inward(self, name: str) -> str:
        """Our name; one that was never offered stays as it is, for the caller to refuse."""
        return self._inward.get(name, name)

    def _add(self, name: str) -> None:
        if name in self._outward:
            return
        plain = allowed = _FORBIDDEN.sub("_", name)[:_LONGEST]
        count = 1
        while allowed in self._inward:
            count += 1
            suffix = f"_{count}"
            allowed = plain[: _LONGEST - len(suffix)] + suffix
        self._outward[name] = allowed
        self._inward[allowed] = name
