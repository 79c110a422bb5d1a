"""Servers as text at the end of `config.toml`, between two comments, so that they can be taken out."""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from stepwell.errors import Code, InvalidRequest
from stepwell_server.connecting.entries import Moved

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def with_servers(text: str, servers: Iterable[Moved], mark: str, *, names: str) -> str:
    """The settings with these servers at their end; `names` is how their tools are named.

    Raises:
        InvalidRequest: the settings cannot be read, or have no room for them.
    """
    blocks = [_block(server, names) for server in servers]
    if not blocks:
        return text
    gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
    made = "\n".join([f"# >>> {mark}", *blocks, f"# <<< {mark}", ""])
    written = text + gap + made
    try:
        tomllib.loads(written)
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequest(
            f"config.toml cannot take the servers: {error}; is `tools` or `tools.servers` written "
            "in one line there? Write it as [tools.servers.NAME]",
            code=Code.INVALID_CONFIG,
        ) from error
    return written


def without_servers(text: str, mark: str) -> str:
    """The settings without what `with_servers` has added under a mark."""
    begin, end = text.find(f"# >>> {mark}\n"), text.find(f"# <<< {mark}\n")
    if begin < 0 or end < begin:
        return text
    before, after = text[:begin], text[end + len(f"# <<< {mark}\n") :]
    return before.rstrip("\n") + "\n" + after if before.strip() else after


def servers_in(text: str) -> Mapping[str, Any]:
    """The servers that the settings have.

    Raises:
        InvalidRequest: they cannot be read.
    """
    try:
        tools = tomllib.loads(text).get("tools", {})
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequest(
            f"config.toml is not valid TOML: {error}", code=Code.INVALID_CONFIG
        ) from error
    found: Mapping[str, Any] = tools.get("servers", {})
    return found


def _block(server: Moved, names: str) -> str:
    settings = {**server.settings, **({"names": names} if names != "keep" else {})}
    lines = [f"[tools.servers.{_key(server.name)}]"]
    for name, value in settings.items():
        section, dot, rest = name.partition(".")
        key = f"{section}.{_key(rest)}" if dot else section
        lines.append(f"{key} = {_value(value)}")
    return "\n".join(lines)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return _text(str(value))


def _text(text: str) -> str:
    """A TOML string is one of JSON, but for DEL and for characters written as two."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
