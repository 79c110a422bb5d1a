"""One HTTP request as a tool: a template of the settings, filled in with the arguments of a call.

Arguments are data: in a URL they are escaped, and none of them can name a secret or another host.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx2
import msgspec

from stepwell.config import HttpToolSettings
from stepwell.engine.values import Data, Json
from stepwell.engine.wording import bounded
from stepwell.errors import Code, SetupError, StepwellError
from stepwell.tools.network import Grants, Guard, NetworkRefused, TooLong, guarded_client, host_of
from stepwell.tools.port import Begin, CallContext, NotBegun, SelfTimed, ToolFailed, ToolSpec
from stepwell.tools.rate import Rate
from stepwell.tools.secrets import Redactor, Secrets

MOST_REDIRECTS: Final = 5
FIRST_DELAY: Final = timedelta(seconds=0.2)
LONGEST_DELAY: Final = timedelta(seconds=5)
AGAIN: Final = frozenset({429, 502, 503, 504})
"""Answers after which a request that may be repeated is."""
SAFE: Final = frozenset({"GET"})
REPEATABLE: Final = frozenset({"GET", "PUT", "DELETE"})

_HOLE: Final = re.compile(r"\{([A-Za-z_][\w.-]*)\}")
_ABSENT: Final = object()


class HttpTool(SelfTimed):
    """A request of the settings."""

    def __init__(self, name: str, settings: HttpToolSettings, *, secrets: Secrets) -> None:
        """Reads the template.

        Raises:
            SetupError: it cannot be used; the message names the setting.
        """
        _check(name, settings)
        self.spec: ToolSpec = _spec(name, settings)
        self._settings = settings
        self._secrets = secrets
        self._redactor = Redactor()
        self._rate = Rate(settings.rate)
        hosts = settings.hosts
        if not _HOLE.search(_authority(settings.url)):
            hosts = (host_of(_HOLE.sub("x", settings.url)), *hosts)
        try:
            self._guard = Guard(
                Grants(hosts=hosts, networks=settings.networks), whose=f"the tool {name!r}"
            )
        except ValueError as error:
            raise _invalid(name, "networks", str(error)) from error

    async def call(
        self, arguments: dict[str, Json], context: CallContext, *, begin: Begin | None = None
    ) -> Data:
        """Sends the request; the time counts from when it is sent first.

        Raises:
            ToolFailed: TOOL_RATE_LIMITED; NETWORK_REFUSED; TOOL_TIMEOUT; TOOL_UNAVAILABLE, nobody
                answers; TOOL_CRASHED, the connection broke; TOOL_ERROR, the answer is a refusal.
            NotBegun: `begin` answered False.
        """
        await self._rate.turn(self.spec.name)
        request = self._request(arguments, context)
        if begin is not None and not await begin():
            raise NotBegun
        seconds = self._settings.timeout.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                return await self._answer(request)
        except TimeoutError as error:
            raise ToolFailed(
                f"{self.spec.name} was not answered within {seconds:g} s", code=Code.TOOL_TIMEOUT
            ) from error
        except StepwellError as error:
            raise ToolFailed(
                self._redactor.text(error.message),
                code=error.code,
                retryable=error.retryable,
                detail={name: self._redactor.text(text) for name, text in error.detail.items()},
            ) from error

    # --- the request ----------------------------------------------------------------------

    def _request(self, arguments: Mapping[str, Json], context: CallContext) -> httpx2.Request:
        settings = self._settings
        try:
            headers = {key: self._text(text, arguments) for key, text in settings.headers.items()}
            url = self._url(settings.url, arguments)
            query = self._filled(settings.query, arguments)
            body = self._filled(settings.body, arguments)
        except SetupError as error:
            raise ToolFailed(error.message, code=error.code, retryable=False) from error
        if settings.method not in SAFE:
            headers.setdefault("Idempotency-Key", context.key)
        if context.traceparent:
            headers.setdefault("traceparent", context.traceparent)
        content = None
        if body is not _ABSENT and settings.body is not None:
            content = msgspec.json.encode(body)
            headers.setdefault("Content-Type", "application/json")
        if pairs := _flat(query):
            url += ("&" if "?" in url else "?") + urlencode(pairs)
        try:
            return httpx2.Request(settings.method, url, headers=headers, content=content)
        except (ValueError, TypeError, httpx2.InvalidURL) as error:
            raise ToolFailed(
                f"the arguments of {self.spec.name} make no request: "
                f"{self._redactor.text(str(error))}",
                code=Code.INVALID_ARGUMENTS,
                retryable=False,
            ) from error

    def _url(self, template: str, arguments: Mapping[str, Json]) -> str:
        def escaped(text: str) -> str:
            if text in (".", ".."):
                raise ToolFailed(
                    f"{self.spec.name} takes no {text!r} as a part of its URL",
                    code=Code.INVALID_ARGUMENTS,
                    retryable=False,
                )
            return quote(text, safe="")

        return "".join(
            self._secret(part) if hole is None else escaped(self._word(hole, arguments))
            for part, hole in _parts(template)
        )

    def _text(self, template: str, arguments: Mapping[str, Json]) -> str:
        return "".join(
            self._secret(part) if hole is None else self._word(hole, arguments)
            for part, hole in _parts(template)
        )

    def _filled(self, template: Any, arguments: Mapping[str, Json]) -> Any:
        """A part of the template as JSON; what only stands for an absent argument is left out."""
        if isinstance(template, dict):
            found = {key: self._filled(part, arguments) for key, part in template.items()}
            return {key: part for key, part in found.items() if part is not _ABSENT}
        if isinstance(template, list):
            parts = [self._filled(part, arguments) for part in template]
            return [part for part in parts if part is not _ABSENT]
        if not isinstance(template, str):
            return template
        if whole := _HOLE.fullmatch(template):
            return _at(arguments, whole[1])
        return self._text(template, arguments)

    def _word(self, hole: str, arguments: Mapping[str, Json]) -> str:
        value = _at(arguments, hole)
        if value is _ABSENT or isinstance(value, dict | list) or value is None:
            raise ToolFailed(
                f"{self.spec.name} needs the argument {hole!r}, a text or a number",
                code=Code.INVALID_ARGUMENTS,
                retryable=False,
            )
        return msgspec.json.encode(value).decode() if not isinstance(value, str) else value

    def _secret(self, text: str) -> str:
        return self._secrets.resolve(text, self._redactor)

    # --- the answer -----------------------------------------------------------------------

    async def _answer(self, request: httpx2.Request) -> Data:
        limit = self._settings.max_result
        async with guarded_client(self._guard, limit=2**62, timeout=None) as client:
            tries = self._settings.retries if self.spec.idempotent or self.spec.read_only else 0
            for number in range(tries + 1):
                delay = min(FIRST_DELAY * 2**number, LONGEST_DELAY).total_seconds()
                try:
                    status, headers, content, size = await self._sent(client, request, limit)
                except ToolFailed:
                    if number == tries:
                        raise
                else:
                    if status not in AGAIN or number == tries:
                        return self._result(status, headers, content, size)
                    delay = _wanted_delay(headers, delay)
                await asyncio.sleep(delay)
        raise AssertionError("the last try answers or raises")

    async def _sent(
        self, client: httpx2.AsyncClient, request: httpx2.Request, limit: int
    ) -> tuple[int, httpx2.Headers, bytes, int]:
        """The status, the headers and at most `limit` bytes of an answer, and how many it has."""
        where = f"{request.method} {request.url.host}"
        try:
            for _ in range(MOST_REDIRECTS + 1):
                response = await client.send(request, stream=True, follow_redirects=False)
                try:
                    follow = self._redirected(request, response)
                    if follow is None:
                        content, size = await _beginning(response, limit)
                        return response.status_code, response.headers, content, size
                    request = follow
                finally:
                    await response.aclose()
        except NetworkRefused:
            raise
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise ToolFailed(
                f"{where}: nobody answers there: {error}", code=Code.TOOL_UNAVAILABLE
            ) from error
        except (httpx2.HTTPError, httpx2.StreamError, TooLong) as error:
            raise ToolFailed(
                f"{where}: the connection broke: {error or type(error).__name__}",
                code=Code.TOOL_CRASHED,
            ) from error
        raise ToolFailed(f"{where} sends from one place to another", retryable=False)

    def _redirected(
        self, request: httpx2.Request, response: httpx2.Response
    ) -> httpx2.Request | None:
        """The request that follows a redirection. Elsewhere it takes nothing of ours along."""
        follow = response.next_request
        if follow is None or (follow.method != request.method and request.method not in SAFE):
            return None
        if host_of(str(follow.url)) != host_of(str(request.url)):
            for name in (*self._settings.headers, "Authorization", "Cookie"):
                follow.headers.pop(name, None)
        return follow

    def _result(self, status: int, headers: httpx2.Headers, content: bytes, size: int) -> Data:
        if status >= 300:
            words = bounded(content.decode(errors="replace"), 1000)
            raise ToolFailed(
                f"{self.spec.name} was answered {status}: {words}",
                code=Code.TOOL_ERROR,
                retryable=status in AGAIN or status >= 500,
                detail={"status": str(status)},
            )
        if size > len(content):
            cut: Json = {
                "text": self._redactor.text(content.decode(errors="replace")),
                "truncated": {"size": size, "limit": len(content)},
            }
            return Data(cut)
        try:
            value = msgspec.json.decode(content) if content.strip() else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            value = content.decode(errors="replace")
        return Data(self._redactor.json(self._pointed(value)))

    def _pointed(self, value: Json) -> Json:
        for step in self._settings.result.split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            try:
                value = value[int(key)] if isinstance(value, list) else value[key]
            except (KeyError, IndexError, ValueError, TypeError) as error:
                raise ToolFailed(
                    f"the answer to {self.spec.name} has nothing at {self._settings.result}",
                    code=Code.INVALID_RESULT,
                    retryable=False,
                ) from error
        return value


def _check(name: str, settings: HttpToolSettings) -> None:
    for setting in ("url", "description"):
        if not getattr(settings, setting):
            raise _invalid(name, setting, "is missing")
    if not settings.url.startswith(("http://", "https://")):
        raise _invalid(name, "url", "begins with https:// or http://")
    if _HOLE.search(_authority(settings.url)) and not settings.hosts:
        raise _invalid(name, "hosts", "is needed where an argument is part of the host")
    if settings.result and not settings.result.startswith("/"):
        raise _invalid(name, "result", "is a JSON Pointer, and begins with /")
    if settings.read_only and settings.destructive:
        raise _invalid(name, "read_only", "and destructive exclude each other")


def _spec(name: str, settings: HttpToolSettings) -> ToolSpec:
    is_safe = settings.method in SAFE if settings.read_only is None else settings.read_only
    may_repeat = settings.idempotent
    if may_repeat is None:
        may_repeat = is_safe or settings.method in REPEATABLE
    return ToolSpec(
        name=name,
        title=settings.title,
        description=settings.description,
        input_schema=settings.input or _input_schema(settings),
        output_schema=settings.output or None,
        read_only=is_safe,
        destructive=settings.destructive,
        idempotent=may_repeat,
        open_world=True,
        timeout=settings.timeout // timedelta(microseconds=1),
        published=settings.published,
        kind="http",
        labels=frozenset(settings.labels),
    )


def _input_schema(settings: HttpToolSettings) -> dict[str, Any]:
    """Takes what the template has holes for, and nothing else."""
    template = [settings.url, settings.headers, settings.query, settings.body]
    names = sorted({hole.partition(".")[0] for hole in _holes(template)})
    return {
        "type": "object",
        "properties": {name: {} for name in names},
        "required": names,
        "additionalProperties": False,
    }


def _holes(template: Any) -> Iterator[str]:
    if isinstance(template, str):
        yield from (found[1] for found in _HOLE.finditer(template))
    elif isinstance(template, dict):
        for part in template.values():
            yield from _holes(part)
    elif isinstance(template, list):
        for part in template:
            yield from _holes(part)


def _parts(template: str) -> Iterator[tuple[str, str | None]]:
    """The texts of a template, and between them the names of its holes."""
    at = 0
    for found in _HOLE.finditer(template):
        yield template[at : found.start()], None
        yield "", found[1]
        at = found.end()
    yield template[at:], None


def _at(arguments: Mapping[str, Json], path: str) -> Any:
    value: Any = arguments
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return _ABSENT
        value = value[key]
    return value


def _authority(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].partition("?")[0]


def _flat(query: Mapping[str, Json]) -> list[tuple[str, str]]:
    """A query as pairs; a list is the same name several times."""
    return [
        (name, part if isinstance(part, str) else msgspec.json.encode(part).decode())
        for name, value in query.items()
        for part in (value if isinstance(value, list) else [value])
        if part is not None
    ]


async def _beginning(response: httpx2.Response, limit: int) -> tuple[bytes, int]:
    """At most `limit` bytes of an answer, and how many it has as far as anybody can tell."""
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > limit:
            told = response.headers.get("content-length", "")
            return bytes(content[:limit]), int(told) if told.isdigit() else len(content)
    return bytes(content), len(content)


def _wanted_delay(headers: httpx2.Headers, delay: float) -> float:
    told = headers.get("retry-after", "")
    wanted = float(told) if re.fullmatch(r"\d{1,4}", told) else delay
    return min(wanted, LONGEST_DELAY.total_seconds())


def _invalid(name: str, setting: str, problem: str) -> SetupError:
    return SetupError(f"tools.http.{name}.{setting} {problem}", code=Code.INVALID_CONFIG)
