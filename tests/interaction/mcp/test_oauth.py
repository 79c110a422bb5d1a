"""Access tokens over HTTP: whose they are, which are refused, and what a client is told then."""

import base64
import hashlib
import hmac
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
import jwt
import pytest
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, TokenStorage
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl
from tests.interaction.mcp.authorization_server import AuthorizationServer, Signer, now
from tests.interaction.mcp.conftest import HASTY, HELLO, PATIENT, TOOLS
from tests.interaction.mcp.test_http import ACCEPT, headed, modern
from tests.permitting import permit_direct_calls

from stepwell.bootstrap import Runtime, open_runtime
from stepwell.config import load_settings
from stepwell.errors import Code, Denied, SetupError
from stepwell.orchestrator.authentication import Authentication, Unauthenticated
from stepwell.principals import LOCAL_USER
from stepwell_mcp.called import Called
from stepwell_mcp.http import McpHttp
from stepwell_mcp.server import build_server
from stepwell_server.http import HttpServer

pytestmark = pytest.mark.anyio


TERMS = '''

from stepwell import resource


@resource("shop://terms")
async def terms() -> str:
    """The terms of the shop."""
    return "pay first"
'''


class Door:
    """A runtime that is served over HTTP, and a client that shows no credential by itself."""

    def __init__(self, runtime: Runtime, client: httpx2.AsyncClient, url: str) -> None:
        self.runtime = runtime
        self.client = client
        self.url = url

    async def ask(
        self, token: str | None, request: dict[str, Any] | None = None
    ) -> httpx2.Response:
        """What a bearer of a token is answered."""
        request = request or modern("tools/list")
        if token is not None:
            request = headed(request, {"authorization": f"Bearer {token}"})
        return await self.client.post("/mcp", **request)

    async def call(self, token: str, name: str, /, **arguments: Any) -> httpx2.Response:
        return await self.ask(token, modern("tools/call", name=name, arguments=arguments))


Open = Callable[..., AbstractAsyncContextManager[Door]]


@pytest.fixture
async def server() -> AsyncIterator[AuthorizationServer]:
    server = AuthorizationServer()
    async with server.listening():
        yield server


@pytest.fixture
def opened(tmp_path: Path, server: AuthorizationServer) -> Open:
    """`opened(scopes=["mcp"], ...)` is a door with these settings of `mcp.oauth`.

    `tools_of` are the scopes of tools, `wait` is how long a call may take.
    """

    @asynccontextmanager
    async def open_door(
        *, tools_of: dict[str, str] | None = None, wait: timedelta = PATIENT, **oauth: Any
    ) -> AsyncIterator[Door]:
        tools = tmp_path / "tools.py"
        tools.write_text(TOOLS + TERMS)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            url = f"http://127.0.0.1:{port}/mcp"
            server.audience = url
            given = {
                "issuer": server.issuer,
                "resource": url,
                "networks": ["loopback"],
                "scopes": ["mcp"],
                **oauth,
            }
            given |= {f"tools.{pattern}": scopes for pattern, scopes in (tools_of or {}).items()}
            overrides = {f"mcp.oauth.{name}": value for name, value in given.items()}
            overrides |= {"storage.url": "memory:", "tools.paths": [str(tools)]}
            settings = load_settings(tmp_path, {}, overrides)
            async with open_runtime(settings, http_port=port) as runtime:
                service = runtime.service
                await service.put_workflow(LOCAL_USER, HELLO)
                await permit_direct_calls(service)
                assert runtime.oauth
                door = McpHttp(
                    build_server(service, wait=wait),
                    Authentication(service.api_keys.identify, "owner", bearer=runtime.oauth.bearer),
                    oauth=runtime.oauth,
                    called=Called(service),
                    keyless=False,
                )
                http = HttpServer(door.routes, drain=timedelta(seconds=1))
                async with http.draining(), door.running():
                    await http.listen(listener)
                    base = f"http://127.0.0.1:{port}"
                    async with httpx2.AsyncClient(base_url=base, headers=ACCEPT) as client:
                        yield Door(runtime, client, url)

    return open_door


def told(response: httpx2.Response) -> dict[str, str]:
    """The fields of the challenge of a refusal."""
    scheme, _, fields = response.headers["www-authenticate"].partition(" ")
    assert scheme == "Bearer"
    pairs = (field.partition("=") for field in fields.split('", ')) if fields else ()
    return {name: value.strip('"') for name, _, value in pairs}


async def test_the_bearer_of_a_token_is_an_agent_that_acts_for_its_subject(
    opened: Open, server: AuthorizationServer
) -> None:
    async with opened() as door:
        answer = await door.call(server.token(), "add", a=2, b=3)
        assert answer.json()["result"]["structuredContent"] == {"total": 5}
        page = await door.runtime.service.list_runs(LOCAL_USER)
        assert [run.principal for run in page.runs] == ["agent:ann"]


async def test_whoever_shows_no_token_is_told_where_to_get_one(
    opened: Open, server: AuthorizationServer
) -> None:
    async with opened() as door:
        refused = await door.ask(None)
        assert refused.status_code == 401
        metadata = f"{door.url.removesuffix('/mcp')}/.well-known/oauth-protected-resource/mcp"
        assert told(refused) == {"scope": "mcp", "resource_metadata": metadata}
        found = await door.client.get(metadata)
        assert found.json() == {
            "resource": door.url,
            "authorization_servers": [server.issuer],
            "scopes_supported": ["mcp"],
            "bearer_methods_supported": ["header"],
            "resource_name": "Stepwell",
        }
        at_root = await door.client.get("/.well-known/oauth-protected-resource")
        of_a_page = await door.client.get(metadata, headers={"origin": "https://app.example"})
        assert at_root.json() == found.json()
        assert of_a_page.headers["access-control-allow-origin"] == "*"
        changed = await door.client.post(metadata)
        assert changed.status_code == 405


def unsigned(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, "", algorithm="none", headers={"kid": "first"})


def signed_with_the_public_key(claims: dict[str, Any], pem: bytes) -> str:
    """The oldest forgery: HMAC, with what everybody can read as its secret."""

    def part(content: bytes) -> bytes:
        return base64.urlsafe_b64encode(content).rstrip(b"=")

    header = {"alg": "HS256", "typ": "JWT", "kid": "first"}
    signing = part(json.dumps(header).encode()) + b"." + part(json.dumps(claims).encode())
    mark = hmac.new(pem, signing, hashlib.sha256).digest()
    return (signing + b"." + part(mark)).decode()


def tampered(token: str) -> str:
    header, payload, mark = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    changed = json.dumps({**claims, "sub": "boss"}).encode()
    return ".".join((header, base64.urlsafe_b64encode(changed).decode().rstrip("="), mark))


Forge = Callable[[AuthorizationServer], str]

FORGED: dict[str, Forge] = {
    "expired": lambda server: server.token(exp=now() - 60),
    "not yet": lambda server: server.token(nbf=now() + 600),
    "for ever": lambda server: server.token(exp=None),
    "for another server": lambda server: server.token(aud="https://other.example/mcp"),
    "for all servers": lambda server: server.token(aud=None),
    "for a part of our name": lambda server: server.token(aud=server.audience[:-1]),
    "of another issuer": lambda server: server.token(iss="https://evil.example"),
    "of no issuer": lambda server: server.token(iss=None),
    "of nobody": lambda server: server.token(sub=None),
    "unsigned": lambda server: unsigned(server.claims()),
    "signed with the public key": lambda server: signed_with_the_public_key(
        server.claims(), server.signers[0].pem
    ),
    "signed by somebody else": lambda server: Signer("first").sign(server.claims()),
    "with a key that is not there": lambda server: Signer("second").sign(server.claims()),
    "with a key of its own": lambda server: Signer("first").sign(
        server.claims(), jwk=Signer("first").jwk
    ),
    "with another algorithm": lambda server: Signer("first", "ES256").sign(server.claims()),
    "tampered": lambda server: tampered(server.token()),
    "an identity": lambda server: server.signers[0].sign(server.claims(), typ="logout+jwt"),
    "with what we do not know": lambda server: server.signers[0].sign(
        server.claims(), crit=["x"], x=1
    ),
    "too long": lambda server: server.token(x="y" * 20_000),
    "too deep": lambda server: base64.urlsafe_b64encode(b"[" * 9000).decode() + ".e30.e30",
    "no JSON": lambda server: "a.b.c",
    "empty": lambda server: "..",
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
async def test_a_token_that_is_not_right_lets_nobody_in(
    opened: Open, server: AuthorizationServer, forge: Forge
) -> None:
    async with opened() as door:
        token = forge(server)
        refused = await door.ask(token)
        assert (refused.status_code, told(refused)["error"]) == (401, "invalid_token")
        assert token not in refused.text
        assert token not in refused.headers["www-authenticate"]


async def test_a_new_key_counts_as_soon_as_a_token_names_it(
    opened: Open, server: AuthorizationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepwell.orchestrator.signing_keys.PAUSE", 0.0)
    async with opened() as door:
        assert (await door.ask(old := server.token())).is_success
        server.signers = [Signer("second", "ES256")]
        assert (await door.ask(server.token())).is_success
        assert (await door.ask(old)).status_code == 401


async def test_made_up_key_names_do_not_have_us_ask_the_issuer_each_time(
    opened: Open, server: AuthorizationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepwell.orchestrator.signing_keys.PAUSE", 600.0)
    async with opened(jwks_url=f"{server.issuer}/jwks") as door:
        forged = Signer("first")
        for number in range(20):
            forged.kid = f"made-up-{number}"
            assert (await door.ask(forged.sign(server.claims()))).status_code == 401
        assert server.asked == ["keys"]


async def test_keys_outlive_an_issuer_that_is_down_for_a_while(
    opened: Open, server: AuthorizationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepwell.orchestrator.signing_keys.PAUSE", 0.0)
    async with opened() as door:
        assert (await door.ask(server.token())).is_success
        server.down = True
        monkeypatch.setattr("stepwell.orchestrator.signing_keys.FRESH", 0.0)
        assert (await door.ask(server.token())).is_success
        monkeypatch.setattr("stepwell.orchestrator.signing_keys.LONGEST", 0.0)
        lost = await door.ask(server.token())
        assert lost.status_code == 503
        server.down = False
        monkeypatch.setattr("stepwell.orchestrator.signing_keys.LONGEST", 3600.0)
        assert (await door.ask(server.token())).is_success


async def test_metadata_of_another_issuer_are_not_believed(
    opened: Open, server: AuthorizationServer
) -> None:
    async with opened(issuer=f"{server.issuer}/") as door:
        assert (await door.ask(server.token(iss=f"{server.issuer}/"))).status_code == 503
        assert "keys" not in server.asked


async def test_keys_are_not_fetched_from_where_nobody_has_allowed_it(
    opened: Open, server: AuthorizationServer
) -> None:
    async with opened(networks=[]) as door:
        assert (await door.ask(server.token())).status_code == 503
        assert server.asked == []


# --- scopes -----------------------------------------------------------------------------------

TOOLS_OF = {"add": "math:read", "echo": "words", "e*": "letters", "run_*": "runs", "hello": "flows"}
TOOLS_OF |= {"prompt?*": "prompts"}


async def test_a_token_without_a_scope_is_told_all_that_it_takes_at_once(
    opened: Open, server: AuthorizationServer
) -> None:
    async with opened(tools_of=TOOLS_OF) as door:
        refused = await door.call(server.token(scope="mcp"), "echo", text="hello")
        assert refused.status_code == 403
        challenge = told(refused)
        assert (challenge["error"], challenge["scope"]) == (
            "insufficient_scope",
            "mcp words letters",
        )
        assert challenge["resource_metadata"].endswith("/.well-known/oauth-protected-resource/mcp")
        allowed = await door.call(server.token(scope="mcp words letters"), "echo", text="hello")
        assert allowed.json()["result"]["structuredContent"] == "hello"


async def test_a_token_without_any_scope_hears_of_those_of_the_tool_too(
    opened: Open, server: AuthorizationServer
) -> None:
    async with opened(tools_of=TOOLS_OF) as door:
        refused = await door.call(server.token(scope=None), "echo", text="hello")
        assert (refused.status_code, told(refused)["scope"]) == (403, "mcp words letters")


async def test_a_client_that_steps_up_is_not_asked_to_give_up_what_it_has(
    opened: Open, server: AuthorizationServer
) -> None:
    async with opened(tools_of=TOOLS_OF) as door:
        token = server.token(scope="mcp math:read elsewhere")
        refused = await door.call(token, "echo", text="hello")
        assert told(refused)["scope"] == "mcp words letters math:read"


async def test_issuers_that_write_scp_are_understood(
    opened: Open, server: AuthorizationServer
) -> None:
    async with opened(tools_of=TOOLS_OF) as door:
        token = server.token(scope=None, scp=["mcp", "math:read"])
        assert (await door.call(token, "add", a=1, b=1)).is_success


async def test_workflows_and_run_tools_take_scopes_by_their_names_too(
    opened: Open, server: AuthorizationServer
) -> None:
    async with opened(tools_of=TOOLS_OF) as door:
        token = server.token(scope="mcp")
        assert told(await door.call(token, "hello", name="ann"))["scope"] == "mcp flows"
        assert told(await door.call(token, "run_get", run="x"))["scope"] == "mcp runs"


async def test_a_tool_called_through_another_takes_its_own_scopes(
    opened: Open, server: AuthorizationServer
) -> None:
    async with opened(tools_of=TOOLS_OF) as door:
        given = {"name": "echo", "arguments": {"text": "hello"}}
        call = modern("tools/call", name="call_tool", arguments=given)
        refused = await door.ask(server.token(scope="mcp"), call)
        assert (refused.status_code, told(refused)["scope"]) == (403, "mcp words letters")
        prompt = modern("prompts/get", name="eat")
        assert told(await door.ask(server.token(scope="mcp"), prompt))["scope"] == "mcp prompts"
        # An argument that happens to have the name of a tool is an argument.
        allowed = await door.call(server.token(scope="mcp flows"), "hello", name="echo")
        assert allowed.status_code == 200


async def test_a_resource_takes_scopes_by_its_name(
    opened: Open, server: AuthorizationServer
) -> None:
    async with opened(tools_of={"resource?terms": "shop"}) as door:
        read = modern("resources/read", uri="shop://terms")
        read = headed(read, {"Mcp-Name": "shop://terms"})
        refused = await door.ask(server.token(), read)
        assert (refused.status_code, told(refused)["scope"]) == (403, "mcp shop")
        allowed = await door.ask(server.token(scope="mcp shop"), read)
        assert allowed.json()["result"]["contents"][0]["text"] == "pay first"


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("resources/subscribe", {"uri": "shop://terms"}),
        ("completion/complete", {"ref": {"type": "ref/resource", "uri": "shop://terms"}}),
        ("subscriptions/listen", {"notifications": {"resourceSubscriptions": ["shop://terms"]}}),
        ("tools/call", {"name": "run_start", "arguments": {"name": "resource.terms"}}),
        ("tools/call", {"name": "call_tool", "arguments": {"name": "resource.terms"}}),
    ],
)
async def test_whatever_uses_a_tool_takes_its_scopes(
    opened: Open, server: AuthorizationServer, method: str, params: dict[str, Any]
) -> None:
    async with opened(tools_of={"resource?terms": "shop"}) as door:
        refused = await door.ask(server.token(), modern(method, **params))
        assert (refused.status_code, told(refused)["scope"]) == (403, "mcp shop")


async def test_an_older_client_cannot_hide_what_it_calls_behind_a_header(
    opened: Open, server: AuthorizationServer
) -> None:
    """2025-06-18 has no `Mcp-Name`, so the SDK compares it with nothing: the body decides."""
    async with opened(tools_of=TOOLS_OF) as door:
        call = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": "echo", "arguments": {"text": "hello"}},
        }
        headers = {
            "authorization": f"Bearer {server.token(scope='mcp')}",
            "mcp-protocol-version": "2025-06-18",
            "mcp-name": "add",
            "mcp-method": "tools/list",
        }
        refused = await door.client.post("/mcp", json=call, headers=headers)
        assert (refused.status_code, told(refused)["scope"]) == (403, "mcp words letters")
        batch = await door.client.post("/mcp", json=[{"method": "ping"}, call], headers=headers)
        assert batch.status_code == 403


async def test_a_newer_client_whose_header_and_body_differ_is_refused(
    opened: Open, server: AuthorizationServer
) -> None:
    async with opened() as door:
        call = modern("tools/call", name="echo", arguments={"text": "hello"})
        differing = await door.ask(server.token(), headed(call, {"Mcp-Name": "add"}))
        assert (differing.status_code, differing.json()["error"]["code"]) == (400, -32020)


async def test_scopes_hold_behind_the_door_as_well(
    opened: Open, server: AuthorizationServer
) -> None:
    """A way that the gate does not know, like a tool that calls another, leads no further."""
    async with opened(tools_of=TOOLS_OF) as door:
        assert door.runtime.oauth
        caller = await door.runtime.oauth.bearer(server.token(scope="mcp"))
        for asked in (
            door.runtime.service.call_tool(caller, "echo", {"text": "hello"}),
            door.runtime.service.start_run(caller, "hello", {"name": "ann"}),
            door.runtime.service.put_workflow(caller, HELLO),
        ):
            with pytest.raises(Denied) as refused:
                await asked
            assert refused.value.code is Code.INSUFFICIENT_SCOPE


async def test_api_keys_and_the_owner_go_on_as_before(
    opened: Open, server: AuthorizationServer
) -> None:
    async with opened(tools_of=TOOLS_OF) as door:
        _, key = await door.runtime.service.api_keys.create(LOCAL_USER, "agent:bot")
        for token in (key, "owner"):
            answer = await door.call(token, "echo", text="hello")
            assert answer.json()["result"]["structuredContent"] == "hello"


# --- who the bearer is, and is not --------------------------------------------------------------


@pytest.mark.parametrize(
    "subject",
    [
        "local",
        "Ann",
        "user:ann",
        "auth0|4711",
        "sub-" + "0" * 32,
        "x" * 5000,
        "\n",
        "schedule/daily",
    ],
)
async def test_no_subject_takes_the_name_of_another(
    opened: Open, server: AuthorizationServer, subject: str
) -> None:
    """What cannot be a name here, or is somebody's already, is named by its digest."""
    async with opened() as door:
        assert door.runtime.oauth
        caller = await door.runtime.oauth.bearer(server.token(sub=subject))
        digest = hashlib.sha256(subject.encode()).hexdigest()[:32]
        assert (caller.principal, caller.is_user) == (f"agent:sub-{digest}", False)


async def test_a_claim_of_the_settings_names_the_bearer(
    opened: Open, server: AuthorizationServer
) -> None:
    async with opened(principal="client_id", namespace="shop") as door:
        assert door.runtime.oauth
        caller = await door.runtime.oauth.bearer(server.token())
        assert (caller.namespace, caller.principal) == ("shop", "agent:inspector")


async def test_a_bearer_never_approves(opened: Open, server: AuthorizationServer) -> None:
    """Whatever its claims say of it."""
    async with opened(wait=HASTY) as door:
        service = door.runtime.service
        await service.policies.withdraw(LOCAL_USER)
        held = await door.call(server.token(), "pass_gate", gate="g")
        assert held.is_success
        (approval,) = (await service.approvals.list(LOCAL_USER)).approvals
        assert door.runtime.oauth
        for claims in ({}, {"roles": ["admin"]}, {"sub": "user:local"}):
            caller = await door.runtime.oauth.bearer(server.token(**claims))
            with pytest.raises(Denied) as refused:
                await service.approvals.decide(caller, approval.id, verdict="approve")
            assert refused.value.code is Code.POLICY_DENIED
        with pytest.raises(Unauthenticated):
            await Authentication(
                service.api_keys.identify, "owner", bearer=door.runtime.oauth.bearer
            ).person(server.token())


async def test_a_session_belongs_to_the_subject_that_began_it(
    opened: Open, server: AuthorizationServer
) -> None:
    hello = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    begin = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    async with opened() as door:
        begun = await door.ask(server.token(), {"json": begin, "headers": {}})
        session = {"mcp-session-id": begun.headers["mcp-session-id"]}
        answers = [
            (
                await door.ask(server.token(sub=subject), {"json": ping, "headers": session})
            ).status_code
            for subject in ("bob", "ann")
        ]
        assert answers == [404, 200]


# --- what becomes of a token --------------------------------------------------------------------


async def test_an_open_stream_ends_with_the_token_that_it_was_opened_with(
    opened: Open, server: AuthorizationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepwell_mcp.credentials.LOOK_AGAIN", 0.0)
    async with opened() as door:
        listen = modern("subscriptions/listen", notifications={"toolsListChanged": True})
        request = headed(listen, {"authorization": f"Bearer {server.token()}"})
        async with door.client.stream("POST", "/mcp", **request) as stream:
            lines = stream.aiter_lines()
            assert "event" in await anext(lines)
            server.signers = [Signer("second")]
            monkeypatch.setattr("stepwell.orchestrator.signing_keys.FRESH", 0.0)
            monkeypatch.setattr("stepwell.orchestrator.signing_keys.PAUSE", 0.0)
            with anyio.fail_after(5):
                door.runtime.service._tools.suspend("echo", "for a change")
                async for _ in lines:
                    pass


async def test_no_log_has_a_token(
    opened: Open, server: AuthorizationServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with opened(tools_of=TOOLS_OF) as door:
        tokens = [
            server.token(scope="mcp words letters"),
            *(forge(server) for forge in FORGED.values()),
        ]
        for token in tokens:
            await door.call(token, "echo", text="hello")
            await door.call(token, "fail", why="so")
    marks = [token.rpartition(".")[2] for token in tokens if len(token) > 100]
    said = "\n".join(f"{record.getMessage()} {record.exc_text}" for record in caplog.records)
    assert not [mark for mark in marks if mark and mark in said]


# --- the SDK's own client ------------------------------------------------------------------------


class Kept(TokenStorage):
    """What the client keeps."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


def signing_in(url: str, kept: Kept) -> OAuthClientProvider:
    """The SDK's flow, with a browser that follows one redirect."""
    answers: list[str] = []

    async def redirect(url: str) -> None:
        async with httpx2.AsyncClient() as browser:
            answers.append((await browser.get(url)).headers["location"])

    async def callback() -> AuthorizationCodeResult:
        query = parse_qs(urlsplit(answers.pop()).query)
        return AuthorizationCodeResult(
            code=query["code"][0], state=query["state"][0], iss=query["iss"][0]
        )

    metadata = OAuthClientMetadata(
        client_name="test", redirect_uris=[AnyUrl("http://127.0.0.1:1/callback")]
    )
    return OAuthClientProvider(
        url, metadata, kept, redirect_handler=redirect, callback_handler=callback
    )


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_client_of_the_sdk_signs_in_and_steps_up(
    opened: Open, server: AuthorizationServer, mode: str
) -> None:
    async with opened(tools_of=TOOLS_OF) as door:
        kept = Kept()
        async with (
            httpx2.AsyncClient(auth=signing_in(door.url, kept)) as http,
            Client(streamable_http_client(door.url, http_client=http), mode=mode) as client,
        ):
            assert "echo" in {tool.name for tool in (await client.list_tools()).tools}
            assert server.consents == ["mcp"]
            said = await client.call_tool("echo", {"text": "hello"})
            assert said.structured_content == "hello" or "hello" in str(said.content)
            assert [set(each.split()) for each in server.consents] == [
                {"mcp"},
                {"mcp", "words", "letters"},
            ]
        page = await door.runtime.service.list_runs(LOCAL_USER)
        assert {run.principal for run in page.runs} == {"agent:ann"}


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("oauth", "word"),
    [
        ({"issuer": "http://auth.example"}, "https"),
        ({"issuer": "auth.example"}, "https"),
        ({"issuer": "https://auth.example/?x=1"}, "path alone"),
        ({"jwks_url": "http://keys.example/jwks"}, "https"),
        ({"resource": "http://stepwell.example/mcp"}, "https"),
        ({"namespace": "No Namespace"}, "namespace"),
        ({"networks": ["home"]}, "networks"),
        ({"scopes": ["offline_access"]}, "offline_access"),
    ],
)
async def test_a_setting_that_cannot_be_used_is_said_at_the_start(
    opened: Open, oauth: dict[str, Any], word: str
) -> None:
    with pytest.raises(SetupError, match=word):
        async with opened(**oauth):
            pass
