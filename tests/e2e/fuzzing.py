"""Requests that no client should send: valid ones that were changed, and bytes at random.

Everything comes from one seeded generator, so that what fails can be made again.
"""

import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Final, NamedTuple

MODERN: Final = "2026-07-28"
OLDER: Final = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
META: Final = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {
        "elicitation": {},
        "sampling": {},
        "extensions": {"io.modelcontextprotocol/tasks": {}},
    },
    "io.modelcontextprotocol/clientInfo": {"name": "fuzz", "version": "1"},
}
RUN: Final = "01a2165f-2032-7000-ad08-60b129a8aa86"
URI: Final = "stepwell://runs/" + RUN

METHODS: Final[Sequence[tuple[str, Mapping[str, Any]]]] = (
    ("tools/list", {}),
    ("tools/list", {"cursor": "WzEsImVjaG8iXQ=="}),
    ("tools/call", {"name": "echo", "arguments": {"text": "hello"}}),
    ("tools/call", {"name": "add", "arguments": {"a": 1, "b": 2}}),
    ("tools/call", {"name": "wonder", "arguments": {}}),
    ("tools/call", {"name": "fail", "arguments": {"why": "because"}}),
    ("tools/call", {"name": "sleep", "arguments": {"seconds": 0.2}}),
    ("tools/call", {"name": "hello", "arguments": {"name": "Ada"}}),
    ("tools/call", {"name": "run_get", "arguments": {"run": RUN}}),
    ("tools/call", {"name": "run_events", "arguments": {"run": RUN}}),
    ("tools/call", {"name": "run_signal", "arguments": {"run": RUN, "name": "go"}}),
    ("tools/call", {"name": "echo", "arguments": {"text": "x"}, "requestState": "forged"}),
    ("tools/call", {"name": "echo", "inputResponses": {"key": {"action": "accept"}}}),
    ("resources/list", {}),
    ("resources/templates/list", {}),
    ("resources/read", {"uri": URI}),
    ("resources/read", {"uri": "file:///etc/passwd"}),
    ("resources/subscribe", {"uri": URI}),
    ("resources/unsubscribe", {"uri": URI}),
    ("prompts/list", {}),
    ("prompts/get", {"name": "greeting", "arguments": {"name": "Ada"}}),
    (
        "completion/complete",
        {
            "ref": {"type": "ref/prompt", "name": "greeting"},
            "argument": {"name": "name", "value": "A"},
        },
    ),
    ("logging/setLevel", {"level": "debug"}),
    ("tasks/get", {"taskId": RUN}),
    ("tasks/update", {"taskId": RUN, "inputResponses": {}}),
    ("tasks/cancel", {"taskId": RUN}),
    ("server/discover", {}),
    ("subscriptions/listen", {"notifications": {"toolsListChanged": True}}),
    ("ping", {}),
    (
        "initialize",
        {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "fuzz", "version": "1"},
        },
    ),
    ("notifications/initialized", {}),
    ("notifications/cancelled", {"requestId": 1}),
    ("notifications/progress", {"progressToken": 1, "progress": 1}),
    ("unknown/method", {}),
)
ODD: Final[Sequence[Any]] = (
    None, True, False, 0, -1, 1, 1.5, 2**53, 2**63, -(2**64), 10**400, 1e308, "", "x", "\x00",
    "\ud800", "\u202e", "ÿ" * 300, "a" * 70_000, [], {}, [[]], [None], {"": ""}, {"$ref": "#"},
    "../../etc/passwd", "{{7*7}}", "' OR 1=1 --", {"__proto__": {}}, [1] * 5000, "tools/call",
)  # fmt: skip
EXTRA: Final = (
    b"last-event-id", b"x-mcp-toolsets", b"x-mcp-tools", b"x-mcp-readonly", b"x-mcp-surface",
    b"authorization", b"origin", b"mcp-param-region",
)  # fmt: skip
NAMED_BY: Final = {"resources/read": "uri"} | {
    f"tasks/{act}": "taskId" for act in ("get", "update", "cancel")
}


class HttpRequest(NamedTuple):
    """What goes over one connection, as bytes."""

    verb: str
    path: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @property
    def wire(self) -> bytes:
        """All of it."""
        head = b"".join(b"%s: %s\r\n" % header for header in self.headers)
        return b"%s %s HTTP/1.1\r\n%s\r\n%s" % (
            self.verb.encode(),
            self.path.encode(),
            head,
            self.body,
        )


class Fuzz:
    """Makes requests, one after the other."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._number = 0

    def line(self, *, modern: bool) -> bytes:
        """A line for the socket; without its end."""
        text = self._body(self._message(modern=modern))
        return text.replace(b"\n", b" ")

    def http(self, session: str) -> HttpRequest:
        """A request for the endpoint: of a newer client, or of an older one in its session."""
        modern = self._random.random() < 0.6
        message = self._message(modern=modern)
        body = self._body(message)
        headers = [
            (b"host", b"127.0.0.1"),
            (b"content-type", b"application/json"),
            (b"accept", b"application/json, text/event-stream"),
            *self._said(message, session, modern=modern),
        ]
        verb = "POST"
        if self._random.random() < 0.3:
            headers = self._mixed(headers)
        if self._random.random() < 0.05:
            verb = self._random.choice(["GET", "PUT", "PATCH", "OPTIONS", "HEAD"])
        headers += [(b"content-length", str(len(body)).encode()), (b"connection", b"close")]
        path = "/mcp" if self._random.random() < 0.95 else self._path()
        return HttpRequest(verb, path, tuple(headers), body)

    # --- messages ---------------------------------------------------------------------------

    def _message(self, *, modern: bool) -> Any:
        method, params = self._random.choice(METHODS)
        self._number += 1
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
        if not method.startswith("notifications/"):
            message["id"] = self._number
        message["params"] = json.loads(json.dumps(params))
        if modern:
            message["params"]["_meta"] = json.loads(json.dumps(META))
        if self._random.random() < 0.2:
            message["params"].setdefault("_meta", {})["progressToken"] = self._odd()
        for _ in range(self._random.choice([0, 1, 1, 1, 2, 3])):
            message = self._changed(message)
        return message

    def _changed(self, value: Any) -> Any:
        """The value with one thing in it another."""
        if not isinstance(value, dict | list) or not value or self._random.random() < 0.1:
            return self._odd()
        if isinstance(value, list):
            place = self._random.randrange(len(value))
            return [*value[:place], self._changed(value[place]), *value[place + 1 :]]
        key = self._random.choice(list(value))
        match self._random.randrange(6):
            case 0:
                return {name: part for name, part in value.items() if name != key}
            case 1:
                return {**value, str(self._odd())[:40]: self._odd()}
            case 2:
                return {**value, key: self._odd()}
            case _:
                return {**value, key: self._changed(value[key])}

    def _odd(self) -> Any:
        if self._random.random() < 0.05:
            depth = self._random.choice([10, 200, 3000])
            return json.loads("[" * min(depth, 900) + "]" * min(depth, 900))
        return self._random.choice(ODD)

    def _body(self, message: Any) -> bytes:
        """The message as bytes, sometimes with damage."""
        text = json.dumps(message).encode()
        match self._random.randrange(20):
            case 0:
                return text[: self._random.randrange(len(text))]
            case 1:
                return self._flipped(text)
            case 2:
                return self._random.randbytes(self._random.randrange(1, 400))
            case 3:
                return b"[" + b",".join([text] * self._random.randrange(1, 4)) + b"]"
            case 4:
                return b'{"id": 1, ' + text[1:]
            case 5 if self._random.random() < 0.2:
                return b"[" * self._random.choice([50, 2000, 100_000])
            case 6 if self._random.random() < 0.02:
                return (
                    text[:-1]
                    + b', "pad": "'
                    + b"a" * self._random.choice([5 << 20, 17 << 20])
                    + b'"}'
                )
            case _:
                return text

    def _flipped(self, text: bytes) -> bytes:
        changed = bytearray(text)
        for _ in range(self._random.randrange(1, 6)):
            changed[self._random.randrange(len(changed))] = self._random.randrange(256)
        return bytes(changed)

    # --- headers ----------------------------------------------------------------------------

    def _said(self, message: Any, session: str, *, modern: bool) -> list[tuple[bytes, bytes]]:
        """The headers that say what the body says."""
        if not modern:
            version = self._random.choice(OLDER)
            return [
                (b"mcp-protocol-version", version.encode()),
                (b"mcp-session-id", session.encode()),
            ]
        said = [(b"mcp-protocol-version", MODERN.encode())]
        method = message.get("method") if isinstance(message, dict) else None
        params = message.get("params") if isinstance(message, dict) else None
        if isinstance(method, str):
            said.append((b"mcp-method", _header(method)))
        if isinstance(method, str) and isinstance(params, dict):
            name = params.get(NAMED_BY.get(method, "name"))
            if isinstance(name, str):
                said.append((b"mcp-name", _header(name)))
        return said

    def _mixed(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        place = self._random.randrange(1, len(headers))
        name, value = headers[place]
        match self._random.randrange(5):
            case 0:
                return headers[:place] + headers[place + 1 :]
            case 1:
                return [*headers, (name, value)]
            case 2:
                return [*headers[:place], (name, b"=?base64?!!?="), *headers[place + 1 :]]
            case 3:
                return [*headers[:place], (name, _header(str(self._odd()))), *headers[place + 1 :]]
            case _:
                return [*headers, (self._random.choice(EXTRA), _header(str(self._odd())))]

    def _path(self) -> str:
        return self._random.choice(
            ["/mcp/", "/mcp/x/none", "/mcp/readonly", "/mcp/%00", "/mcp?a=1"]
        )


def _header(text: str) -> bytes:
    """The text as far as a header can hold it."""
    kept = "".join(sign for sign in text[:2000] if " " <= sign <= "~")
    return kept.strip().encode() or b"-"
