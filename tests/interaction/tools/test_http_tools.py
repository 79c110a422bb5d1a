"""HTTP requests of the settings as tools."""

import gzip
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.interaction.tools.conftest import allow_all, call

from stepwell.bootstrap import open_runtime
from stepwell.config import load_settings
from stepwell.errors import SetupError
from stepwell.orchestrator.service import Service
from stepwell.principals import LOCAL_AGENT
from stepwell.tools import http as timing

pytestmark = pytest.mark.anyio

SECRET = "hush-hush-4711"
Answer = tuple[int, dict[str, str], bytes]


class Shop(ThreadingHTTPServer):
    """Answers as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers: list[Answer] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Shop

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.command, self.path, headers, body))
        default: Answer = (200, {}, json.dumps({"data": [{"id": 1}]}).encode())
        status, more, content = self.server.answers.pop(0) if self.server.answers else default
        self.send_response(status)
        for name, value in {"content-length": str(len(content)), **more}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = answer  # noqa: N815 - so the base class wants it

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def shop() -> Iterator[Shop]:
    server = Shop()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "FIRST_DELAY", timedelta(milliseconds=1))


Open = Callable[..., AbstractAsyncContextManager[Service]]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """A service with the tool `ask` of these settings, which may reach loopback."""

    @asynccontextmanager
    async def open_home(**settings: Any) -> AsyncIterator[Service]:
        given = {"description": "Asks.", "networks": ("loopback",), **settings}
        overrides = {f"tools.http.ask.{name}": value for name, value in given.items()}
        loaded = load_settings(tmp_path, {}, overrides | {"storage.url": "memory:"})
        async with open_runtime(loaded, environ={"SHOP_TOKEN": SECRET}) as runtime:
            await allow_all(runtime.service)
            yield runtime.service

    return open_home


async def test_a_request_is_filled_with_arguments_which_stay_data(opened: Open, shop: Shop) -> None:
    settings = {
        "url": f"{shop.url}/items/{{id}}?x=1",
        "method": "POST",
        "query": {"q": "{what}", "limit": 5, "page": "{page}"},
        "body": {"note": "for {id}", "tags": "{tags}", "none": "{page}"},
        "headers.Authorization": "Bearer secret://env/SHOP_TOKEN",
        "headers.X-Id": "{id}",
        "input": {"type": "object", "required": ["id", "what", "tags"]},
        "result": "/data/0/id",
    }
    async with opened(**settings) as service:
        value = await call(
            service, "ask", id="a/../b?secret://env/SHOP_TOKEN", what="t&a", tags=["x", {"y": 1}]
        )
    ((method, path, headers, body),) = shop.asked
    assert value == 1
    assert method == "POST"
    assert path == ("/items/a%2F..%2Fb%3Fsecret%3A%2F%2Fenv%2FSHOP_TOKEN?x=1&q=t%26a&limit=5")
    assert json.loads(body) == {
        "note": "for a/../b?secret://env/SHOP_TOKEN",
        "tags": ["x", {"y": 1}],
    }
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert headers["x-id"] == "a/../b?secret://env/SHOP_TOKEN"
    assert headers["idempotency-key"]


async def test_what_a_tool_takes_is_read_from_its_template(opened: Open, shop: Shop) -> None:
    async with opened(url=f"{shop.url}/{{shop}}", query={"q": "{q}"}) as service:
        (spec,) = [one for one in await service.list_tools(LOCAL_AGENT) if one.name == "ask"]
    assert spec.input_schema == {
        "type": "object",
        "properties": {"q": {}, "shop": {}},
        "required": ["q", "shop"],
        "additionalProperties": False,
    }
    assert (spec.kind, spec.read_only, spec.idempotent, spec.open_world) == (
        "http",
        True,
        True,
        True,
    )


async def test_a_secret_that_comes_back_is_blotted_out(opened: Open, shop: Shop) -> None:
    settings = {"url": f"{shop.url}/", "headers.X-Key": "secret://env/SHOP_TOKEN"}
    shop.answers = [
        (200, {}, json.dumps({"echo": SECRET}).encode()),
        (401, {}, f"bad key {SECRET}".encode()),
    ]
    async with opened(**settings) as service:
        value = await call(service, "ask")
        failed = await call(service, "ask")
    assert value == {"echo": "[secret]"}
    assert failed.message == "ask was answered 401: bad key [secret]"
    assert failed.detail["status"] == "401"


async def test_a_request_that_may_be_repeated_is_and_another_is_not(
    opened: Open, shop: Shop
) -> None:
    shop.answers = [(503, {}, b""), (429, {"retry-after": "0"}, b"")]
    async with opened(url=f"{shop.url}/") as service:
        assert await call(service, "ask") == {"data": [{"id": 1}]}
    assert len(shop.asked) == 3
    shop.answers = [(503, {}, b"later")]
    async with opened(url=f"{shop.url}/", method="POST", read_only=False) as service:
        failed = await call(service, "ask")
    assert (failed.reason, failed.retryable, len(shop.asked)) == ("TOOL_ERROR", True, 4)


async def test_a_long_answer_is_cut_and_says_so(opened: Open, shop: Shop) -> None:
    shop.answers = [(200, {}, b'"' + b"x" * 5000 + b'"')]
    async with opened(url=f"{shop.url}/", max_result=100) as service:
        value = await call(service, "ask")
    assert value == {"text": '"' + "x" * 99, "truncated": {"size": 5002, "limit": 100}}


async def test_an_answer_that_is_compressed_unasked_is_refused(opened: Open, shop: Shop) -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    shop.answers = [(200, {"content-encoding": "gzip"}, bomb)] * 3
    async with opened(url=f"{shop.url}/") as service:
        failed = await call(service, "ask")
    assert "compressed (gzip)" in failed.message
    assert shop.asked[0][2]["accept-encoding"] == "identity"


async def test_a_redirection_passes_the_guard_again_and_takes_no_secret_elsewhere(
    opened: Open, shop: Shop
) -> None:
    other = Shop()
    thread = threading.Thread(target=other.serve_forever, args=(0.01,))
    thread.start()
    port = other.server_address[1]
    settings = {"url": f"{shop.url}/", "headers.X-Key": "secret://env/SHOP_TOKEN"}
    try:
        shop.answers = [(302, {"location": f"{other.url}/there"}, b"")] * 2
        async with opened(**settings) as service:
            refused = await call(service, "ask")
        async with opened(**settings, hosts=(f"127.0.0.1:{port}",)) as service:
            followed = await call(service, "ask")
    finally:
        other.shutdown()
        thread.join()
        other.server_close()
    assert refused.reason == "NETWORK_REFUSED"
    assert followed == {"data": [{"id": 1}]}
    ((_, path, headers, _),) = other.asked
    assert path == "/there"
    assert "x-key" not in headers
    assert shop.asked[0][2]["x-key"] == SECRET


async def test_loopback_and_metadata_are_refused_unless_granted(opened: Open, shop: Shop) -> None:
    async with opened(url=f"{shop.url}/", networks=()) as service:
        loopback = await call(service, "ask")
    async with opened(url="http://169.254.169.254/latest/meta-data/") as service:
        metadata = await call(service, "ask")
    async with opened(url="http://{host}/", hosts=("127.0.0.1",)) as service:
        elsewhere = await call(service, "ask", host="localhost")
    assert {loopback.reason, metadata.reason, elsewhere.reason} == {"NETWORK_REFUSED"}
    assert shop.asked == []


async def test_nobody_there_and_no_answer_in_time_are_told_apart(
    opened: Open, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        async with opened(url=url, timeout=timedelta(seconds=0.2)) as service:
            late = await call(service, "ask")
    async with opened(url=url, retries=0) as service:
        nobody = await call(service, "ask")
    assert (late.reason, nobody.reason) == ("TOOL_TIMEOUT", "TOOL_UNAVAILABLE")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"url": ""}, "url is missing"),
        ({"url": "ftp://x"}, "begins with https://"),
        ({"url": "https://{host}/"}, "hosts is needed"),
        ({"url": "https://x", "result": "a"}, "JSON Pointer"),
        ({"url": "https://x", "networks": ("everything",)}, "networks"),
        ({"url": "https://x", "description": ""}, "description is missing"),
        ({"url": "https://x", "read_only": True, "destructive": True}, "exclude each other"),
    ],
)
async def test_a_template_that_cannot_be_used_is_named(
    settings: dict[str, Any], problem: str, opened: Open
) -> None:
    with pytest.raises(SetupError, match=problem):
        async with opened(**settings):
            pass


async def test_a_dot_is_no_part_of_a_url(opened: Open, shop: Shop) -> None:
    async with opened(url=f"{shop.url}/a/{{id}}/b") as service:
        failed = await call(service, "ask", id="..")
        number = await call(service, "ask", id=7)
    assert failed.reason == "INVALID_ARGUMENTS"
    assert number == {"data": [{"id": 1}]}
    assert [path for _, path, _, _ in shop.asked] == ["/a/7/b"]


def test_the_settings_of_a_request_are_toml(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[tools.http.ask]\nurl = "https://x/{id}"\ndescription = "Asks."\n'
        'headers.X-Key = "secret://store/x"\n'
        '[tools.http.ask.input]\ntype = "object"\nproperties.id = {}\n'
        '[tools.http.ask.body]\nitems = [{ id = "{id}" }]\n'
    )
    settings = load_settings(tmp_path).tools.http["ask"]
    assert settings.headers == {"X-Key": "secret://store/x"}
    assert settings.input == {"type": "object", "properties": {"id": {}}}
    assert settings.body == {"items": [{"id": "{id}"}]}
