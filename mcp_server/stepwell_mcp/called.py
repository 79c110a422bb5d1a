"""Which tools the body of a request uses: those that it calls, and those by which it reads and is prompted."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from stepwell.orchestrator.service import Service
from stepwell.tools.prompts import PREFIX
from stepwell_mcp import own_resources
from stepwell_mcp.meta_tools import CALL
from stepwell_mcp.run_tools import START


class Called:
    """Finds the tools of a request, before it is answered."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def names(self, content: bytes) -> tuple[str, ...]:
        """The tools that a message uses, or a batch of messages, as an older client may send.

        What is no message uses nothing.
        """
        try:
            document = msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ()
        messages = document if isinstance(document, list) else [document]
        found = (name for message in messages for name in self._of(message))
        return tuple(dict.fromkeys(filter(None, found)))

    def _of(self, message: Any) -> Iterator[str]:
        params = message.get("params") if isinstance(message, dict) else None
        if not isinstance(params, dict):
            return
        match message.get("method"), params:
            case "tools/call", {"name": str(name)}:
                yield from _tools_called(name, params.get("arguments"))
            case "prompts/get", {"name": str(name)}:
                yield self._getter(name)
            case "resources/read" | "resources/subscribe", {"uri": str(uri)}:
                yield self._reader(uri)
            case "completion/complete", {"ref": {"name": str(name)}}:
                yield self._getter(name)
            case "completion/complete", {"ref": {"uri": str(uri)}}:
                yield self._reader(uri)
            case "subscriptions/listen", {"notifications": {"resourceSubscriptions": list(uris)}}:
                yield from (self._reader(uri) for uri in uris if isinstance(uri, str))
            case _:
                return

    def _getter(self, name: str) -> str:
        return self._service.prompts.getter(name) or PREFIX + name

    def _reader(self, uri: str) -> str:
        if own_resources.is_own(uri):
            return own_resources.reader(uri)
        return self._service.resources.reader(uri)


def _tools_called(name: str, arguments: object) -> Iterator[str]:
    """Of `call_tool` the one that it calls, of `run_start` itself and the one that it starts."""
    if name != CALL:
        yield name
    if name in (CALL, START) and isinstance(arguments, Mapping):
        inner = arguments.get("name")
        if isinstance(inner, str):
            yield inner
