"""One server of a client's configuration as one of ours: what moves, what is a secret, what cannot."""

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct

_VARIABLE: Final = re.compile(r"\$\{([^}]*)\}")
_SECRET_NAME: Final = re.compile(
    r"key|token|secret|passw|pwd|auth|credential|cookie|session|private|dsn|conn|bearer|signature",
    re.IGNORECASE,
)
_PLAIN_VALUE: Final = re.compile(r"(true|false|yes|no|on|off|-?\d{1,9}|[a-z]{1,12})", re.IGNORECASE)
_TOKEN: Final = re.compile(
    r"\b(sk-|ghp_|gho_|github_pat_|glpat-|xox[abprs]-|AKIA|eyJ|AIza|npm_|pypi-)\w{8,}"
)
_LONG: Final = re.compile(r"[A-Za-z0-9+/=_-]{24,}")
_FLAG: Final = re.compile(r"(--?[\w-]+)=(.+)", re.DOTALL)
_OPEN_HEADERS: Final = frozenset(
    {"accept", "accept-language", "content-type", "user-agent", "x-mcp-readonly", "x-mcp-toolsets"}
)
_KNOWN: Final = frozenset({"type", "command", "args", "cwd", "env", "url", "headers", "disabled"})
_PLACES: Final = frozenset({"workspaceFolder", "workspaceFolderBasename", "pathSeparator", "cwd"})
_SHORTEST: Final = 6


class Moved(Struct, frozen=True, kw_only=True):
    """A server as our settings have it; `secrets` are what goes into the store, by name."""

    name: str
    settings: Mapping[str, Any]
    secrets: Mapping[str, str] = {}
    notes: tuple[str, ...] = ()


class Left(Struct, frozen=True):
    """A server that stays where it is, and why."""

    name: str
    why: str


class _Unknown(Exception):
    """A text has something in it that only the client knows."""


def moved(name: str, entry: Any, *, client: str, user: Path) -> Moved | Left:
    """What becomes of a server of a client."""
    if not isinstance(entry, Mapping):
        return Left(name, "it is no object")
    if reason := _unusable(entry):
        return Left(name, reason)
    maker = _Maker(_plain_name(name), client=client, user=user)
    try:
        settings = maker.settings(entry)
    except _Unknown as error:
        return Left(name, str(error))
    notes = list(maker.notes)
    if ignored := sorted(entry.keys() - _KNOWN):
        notes.append(f"{name}: {', '.join(ignored)} means nothing to Stepwell and is left out")
    return Moved(
        name=_plain_name(name), settings=settings, secrets=maker.secrets, notes=tuple(notes)
    )


def is_stepwell(entry: Any, url: str | None = None) -> bool:
    """Whether an entry starts `stepwell mcp`, or is the URL of ours."""
    if isinstance(entry, Mapping) and url and entry.get("url") == url:
        return True
    if not isinstance(entry, Mapping) or not isinstance(entry.get("command"), str):
        return False
    args = entry.get("args")
    words = [Path(entry["command"]).stem, *(args if isinstance(args, list) else [])]
    return "mcp" in words and any(
        word in ("stepwell", "stepwell_server.cli.main") for word in words
    )


def _unusable(entry: Mapping[str, Any]) -> str:
    kind = entry.get("type", "http" if "url" in entry else "stdio")
    if kind == "sse":
        return "it speaks the old SSE transport; most such servers have a Streamable HTTP URL too"
    if kind not in ("stdio", "http", "streamable-http", "streamableHttp"):
        return f"its type {kind!r} is not known"
    if "envFile" in entry:
        return "it reads its variables from a file (envFile); write them into `env` first"
    texts = {"command": str, "url": str, "cwd": str, "args": list, "env": dict, "headers": dict}
    for key, wanted in texts.items():
        if key in entry and not isinstance(entry[key], wanted):
            return f"its {key} is not what it should be"
    if not entry.get("command") and not entry.get("url"):
        return "it has neither a command nor a url"
    return ""


class _Maker:
    """Makes our settings of one entry, and gathers its secrets."""

    def __init__(self, name: str, *, client: str, user: Path) -> None:
        self._name = name
        self._client = client
        self._user = user
        self.secrets: dict[str, str] = {}
        self.notes: list[str] = []

    def settings(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        if url := entry.get("url"):
            made["url"] = self._argument(str(url), "url")
            if networks := _networks(str(url)):
                made["networks"] = networks
            made |= {
                f"headers.{key}": self._header(key, str(text))
                for key, text in entry.get("headers", {}).items()
            }
        else:
            made["command"] = self._filled(entry["command"], can_refer=False)
            if args := entry.get("args"):
                made["args"] = self._arguments([str(text) for text in args])
        if cwd := entry.get("cwd"):
            made["cwd"] = self._filled(cwd, can_refer=False)
        made |= {
            f"env.{key}": self._variable(key, "" if text is None else str(text))
            for key, text in entry.get("env", {}).items()
        }
        if entry.get("disabled") is True:
            made["enabled"] = False
        return made

    def _variable(self, name: str, text: str) -> str:
        if "${" in text or not text:
            return self._filled(text)
        return self._kept(name, text) if _is_secret(name, text) else text

    def _header(self, name: str, text: str) -> str:
        if "${" in text or name.lower() in _OPEN_HEADERS:
            return self._filled(text)
        scheme, space, token = text.partition(" ")
        if space and scheme.lower() in ("bearer", "basic", "token"):
            return f"{scheme} {self._kept(name, token)}"
        return self._kept(name, text)

    def _arguments(self, texts: list[str]) -> list[str]:
        made, before = [], ""
        for text in texts:
            flag = _FLAG.fullmatch(text)
            if flag and _SECRET_NAME.search(flag[1]) and "${" not in text:
                made.append(f"{flag[1]}={self._kept(flag[1].strip('-'), flag[2])}")
            elif _is_value_of(before, text):
                made.append(self._kept(before.strip("-"), text))
            else:
                made.append(self._argument(text, "argument"))
            before = text
        return made

    def _argument(self, text: str, name: str) -> str:
        if "${" in text:
            return self._filled(text)
        if _TOKEN.search(text) or _has_password(text):
            return self._kept(name, text)
        return text

    def _kept(self, name: str, secret: str) -> str:
        """The reference to a secret that is moved into the store; one that is too short stays."""
        if len(secret) < _SHORTEST:
            self.notes.append(
                f"{self._name}: the value of {name} has {len(secret)} characters and stays as it is"
            )
            return secret
        base = key = f"{self._name}-{_plain_name(name)}"
        count = 1
        while self.secrets.get(key, secret) != secret:
            count += 1
            key = f"{base}-{count}"
        self.secrets[key] = secret
        return f"secret://store/{key}"

    def _filled(self, text: str, *, can_refer: bool = True) -> str:
        """A text whose variables are ours.

        Raises:
            _Unknown: one of them cannot be.
        """

        def ours(found: re.Match[str]) -> str:
            kind, _, name = found[1].rpartition(":")
            if found[1] in ("userHome", "HOME", "env:HOME"):
                return str(self._user)
            if can_refer and kind == "input":
                key = f"{self._name}-{_plain_name(name)}"
                self.notes.append(
                    f"{self._name}: {self._client} asked for {name}; keep it with: "
                    f"stepwell secrets set {key}"
                )
                return f"secret://store/{key}"
            is_variable = kind in ("", "env") and re.fullmatch(r"[A-Za-z_]\w*", name)
            if can_refer and is_variable and name not in _PLACES:
                return f"secret://env/{name}"
            raise _Unknown(f"it uses {found[0]}, which only {self._client} knows")

        return _VARIABLE.sub(ours, text)


def _is_value_of(flag: str, text: str) -> bool:
    """Whether an argument is the value of a flag that takes a secret."""
    is_flag = flag.startswith("-") and "=" not in flag and _SECRET_NAME.search(flag)
    return bool(is_flag) and not text.startswith("-") and "${" not in text


def _is_secret(name: str, text: str) -> bool:
    """Whether a variable is kept from sight: when in doubt it is."""
    if _SECRET_NAME.search(name) or _TOKEN.search(text) or _has_password(text):
        return True
    if _PLAIN_VALUE.fullmatch(text) or text.startswith(("/", "~", "./")):
        return False
    if re.match(r"[A-Za-z]:\\", text) or text.startswith(("http://", "https://")):
        return "?" in text
    return _LONG.search(text) is not None or len(text) >= 16


def _has_password(text: str) -> bool:
    try:
        return "://" in text and urlsplit(text).password is not None
    except ValueError:
        return "@" in text


def _networks(url: str) -> list[str]:
    """What a URL that its user has written himself needs to be granted."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return []
    if host == "localhost":
        return ["loopback"]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return []
    if address.is_loopback:
        return ["loopback"]
    return [] if address.is_global else [str(ipaddress.ip_network(address))]


def _plain_name(name: str) -> str:
    """A name as a key of the settings and of the store."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "server"
