"""What an agent, another site or a stranger tries on the pages; each of it fails."""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from tests.interaction.web.conftest import OWNER_TOKEN, Browser, Codes
from tests.interaction.web.desk import Desk
from tests.unit.orchestrator.authenticator import Authenticator

from stepwell.clock import SystemClock
from stepwell.orchestrator.service import Service
from stepwell.principals import LOCAL_USER, Caller
from stepwell_server.tickets import new_ticket

pytestmark = pytest.mark.anyio


async def status_of(desk: Desk, id: str) -> str:
    return (await desk.get(LOCAL_USER, id)).status


async def key_of(service: Service, subject: str, codes: Codes, namespace: str = "") -> str:
    from stepwell.orchestrator.approvals import Proof

    _, token = await service.api_keys.create(
        LOCAL_USER, subject, namespace=namespace, proof=Proof(kind="totp", value=codes.next())
    )
    return token


# --- without a factor -------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", ["approve", "deny"])
@pytest.mark.parametrize("proof", [{}, {"code": "000000"}, {"passkey": "{}"}], ids=str)
async def test_a_program_of_this_machine_answers_nothing(
    browser: Browser, desk: Desk, codes: Codes, verdict: str, proof: dict[str, str]
) -> None:
    """It may read the pages, and send whatever a browser sends."""
    one = desk.put()
    answer = await browser.post(
        f"/approvals/{one.id}/decide", proof, verdict=verdict, subject=one.subject
    )
    assert answer.status_code == 403
    assert await status_of(desk, one.id) == "waiting"


@pytest.mark.parametrize("about", ["call", "approval"])
async def test_nor_where_nobody_has_enrolled_a_factor_yet(
    browser: Browser, desk: Desk, about: str
) -> None:
    one = desk.put(about=about)
    for verdict in ("approve", "deny"):
        answer = await browser.post(
            f"/approvals/{one.id}/decide", verdict=verdict, subject=one.subject, code="123456"
        )
        assert answer.status_code == 403
    assert await status_of(desk, one.id) == "waiting"


async def test_an_agent_that_has_signed_in_answers_nothing(
    browser: Browser, desk: Desk, service: Service, codes: Codes
) -> None:
    one = desk.put()
    await browser.sign_in(await key_of(service, "agent:bot", codes))
    page = (await browser.get(f"/approvals/{one.id}")).text
    assert "is no person" in page
    for verdict in ("approve", "deny"):
        answer = await browser.post(
            f"/approvals/{one.id}/decide", verdict=verdict, subject=one.subject, code=codes.next()
        )
        assert answer.status_code == 403
    assert await status_of(desk, one.id) == "waiting"


async def test_the_factor_of_another_approves_nothing(
    browser: Browser, desk: Desk, service: Service, codes: Codes
) -> None:
    one = desk.put()
    await browser.sign_in(await key_of(service, "user:ann", codes))
    answer = await browser.post(
        f"/approvals/{one.id}/decide", verdict="approve", subject=one.subject, code=codes.next()
    )
    assert answer.status_code == 403
    assert await status_of(desk, one.id) == "waiting"


async def test_a_code_that_was_seen_is_worth_nothing(
    browser: Browser, desk: Desk, codes: Codes
) -> None:
    first, second = desk.put(number=1), desk.put(number=2)
    code = codes.next()
    for one, expected in ((first, 303), (second, 403), (first, 409)):
        answer = await browser.post(
            f"/approvals/{one.id}/decide", verdict="approve", subject=one.subject, code=code
        )
        assert answer.status_code == expected
    assert await status_of(desk, second.id) == "waiting"


async def test_the_answer_of_a_passkey_is_for_what_was_looked_at(
    browser: Browser, desk: Desk, service: Service
) -> None:
    first, second = desk.put(number=1), desk.put(number=2)
    device = Authenticator(service.factors.site.origin)
    answer = device.create(await service.factors.offer_passkey(LOCAL_USER))
    await service.factors.enrol_passkey(LOCAL_USER, answer)
    signed = device.get(await service.factors.question(LOCAL_USER, first.subject))

    for one, subject, expected in (
        (second, second.subject, 403),
        (second, first.subject, 409),
        (first, first.subject, 303),
        (second, second.subject, 403),
    ):
        response = await browser.post(
            f"/approvals/{one.id}/decide", verdict="approve", subject=subject, passkey=signed
        )
        assert response.status_code == expected
    assert await status_of(desk, second.id) == "waiting"


async def test_codes_cannot_be_guessed(
    browsers: Callable[[], Browser], desk: Desk, codes: Codes
) -> None:
    one = desk.put()

    async def guess(browser: Browser, number: int) -> str:
        answer = await browser.post(
            f"/approvals/{one.id}/decide",
            verdict="approve",
            subject=one.subject,
            code=f"{number:06}",
        )
        return answer.text

    told = await asyncio.gather(*(guess(browsers(), number) for number in range(25)))
    assert sum("codes in a row were wrong" in text for text in told) >= 19
    right = await browsers().post(
        f"/approvals/{one.id}/decide", verdict="approve", subject=one.subject, code=codes.next()
    )
    assert right.status_code == 403
    assert await status_of(desk, one.id) == "waiting"


# --- by another way ---------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_only_a_post_decides(browser: Browser, desk: Desk, codes: Codes, method: str) -> None:
    one = desk.put()
    token = await browser.token("/sign-in")
    fields = {
        "form_token": token,
        "verdict": "deny",
        "subject": one.subject,
        "code": codes.next(),
    }
    for given in ({"params": fields}, {"data": fields}):
        answer = await browser.http.request(
            method,
            f"/approvals/{one.id}/decide",
            headers={"origin": browser.origin},
            **given,  # type: ignore[arg-type]
        )
        assert answer.status_code == 405
    assert await status_of(desk, one.id) == "waiting"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "http://localhost"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
    ],
    ids=str,
)
async def test_a_form_of_another_site_is_refused(
    browser: Browser, desk: Desk, codes: Codes, headers: dict[str, str]
) -> None:
    one = desk.put()
    await browser.sign_in()
    for path, fields in (
        (f"/approvals/{one.id}/decide", {"verdict": "deny", "subject": one.subject}),
        ("/sign-in", {"token": OWNER_TOKEN}),
        ("/sign-out", {}),
        ("/factor/totp/offer", {}),
    ):
        assert (await browser.post(path, fields, headers=headers)).status_code == 403
    assert await status_of(desk, one.id) == "waiting"


async def test_a_form_without_an_origin_is_refused(browser: Browser, desk: Desk) -> None:
    one = desk.put()
    await browser.sign_in()
    fields = {"form_token": await browser.token("/sign-in"), "verdict": "deny"}
    answer = await browser.http.post(f"/approvals/{one.id}/decide", data=fields)
    assert answer.status_code == 403
    assert await status_of(desk, one.id) == "waiting"


async def test_a_form_of_another_session_is_refused(
    browsers: Callable[[], Browser], desk: Desk
) -> None:
    one = desk.put()
    mine, others = browsers(), browsers()
    await mine.sign_in()
    await others.sign_in()
    for token in (await others.token("/sign-in"), "", "0" * 64, "ä"):
        answer = await mine.post(
            f"/approvals/{one.id}/decide",
            form_token=token,
            verdict="deny",
            subject=one.subject,
        )
        assert answer.status_code == 403
        assert "another session" in answer.text
    assert await status_of(desk, one.id) == "waiting"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7421", "localhost.evil.example", "127.0.0.2", ""]
)
async def test_a_name_that_is_not_ours_is_refused(browser: Browser, host: str) -> None:
    """A page of another site whose name points to us since a moment ago (DNS rebinding)."""
    for path in ("/approvals", "/sign-in", "/static/page.js"):
        answer = await browser.http.get(path, headers={"host": host})
        assert answer.status_code in (400, 421)


@pytest.mark.parametrize("header", ["forwarded", "x-forwarded-for", "x-real-ip"])
async def test_who_comes_through_a_proxy_signs_in_first(
    browser: Browser, desk: Desk, header: str
) -> None:
    one = desk.put()
    for path in ("/approvals", f"/approvals/{one.id}", "/factor"):
        answer = await browser.http.get(path, headers={header: "203.0.113.9"})
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/sign-in?next={path}"


# --- sessions ---------------------------------------------------------------------------------


async def test_signing_in_begins_a_session_that_nobody_knew_before(browser: Browser) -> None:
    await browser.get("/approvals")
    before = browser.http.cookies["stepwell"]
    await browser.sign_in()
    after = browser.http.cookies["stepwell"]
    assert after != before

    browser.http.cookies.clear()
    browser.http.cookies.set("stepwell", before)
    assert "Sign in" in (await browser.get("/approvals")).text


async def test_a_cookie_is_for_this_page_alone(browser: Browser) -> None:
    cookie = (await browser.get("/approvals")).headers["set-cookie"].lower()
    for wanted in ("httponly", "samesite=strict", "path=/"):
        assert wanted in cookie


@pytest.mark.parametrize("cookie", ["", "x", "AAAA", "é", "A" * 5000, "../..", '"'])
async def test_a_cookie_that_is_none_of_ours_is_nobody(browser: Browser, cookie: str) -> None:
    answer = await browser.http.get(
        "/approvals", headers={b"cookie": f"stepwell={cookie}".encode()}
    )
    assert "reading as agent:local" in answer.text


async def test_signing_out_ends_it_and_a_revoked_key_does_at_once(
    browser: Browser, service: Service, codes: Codes
) -> None:
    token = await key_of(service, "user:ann", codes)
    await browser.sign_in(token)
    assert "user:ann" in (await browser.get("/approvals")).text
    await service.api_keys.revoke(LOCAL_USER, token.split("_")[1])
    assert "reading as agent:local" in (await browser.get("/approvals")).text

    await browser.sign_in()
    assert "user:local" in (await browser.get("/approvals")).text
    await browser.post("/sign-out")
    assert "reading as agent:local" in (await browser.get("/approvals")).text


@pytest.mark.parametrize("token", ["", "wrong", "sw_000000000000_" + "A" * 43, "Bearer x"])
async def test_a_wrong_token_signs_nobody_in(browser: Browser, token: str) -> None:
    answer = await browser.post("/sign-in", token=token)
    assert answer.status_code == 401
    assert "reading as agent:local" in (await browser.get("/approvals")).text


@pytest.mark.parametrize(
    "path", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", ""]
)
async def test_signing_in_leads_nowhere_else(browser: Browser, path: str) -> None:
    answer = await browser.post("/sign-in", token=OWNER_TOKEN, next=path)
    assert answer.headers["location"] == "/approvals"


async def test_a_link_signs_the_owner_in_once(browsers: Callable[[], Browser]) -> None:
    ticket = new_ticket(OWNER_TOKEN, SystemClock())
    first, second = browsers(), browsers()
    for _ in range(2):  # looking at it is nothing yet: programs look at links
        assert "Sign in as user:local" in (await first.get(f"/sign-in?ticket={ticket}")).text
    assert (await first.post("/sign-in", ticket=ticket)).status_code == 303
    assert "user:local" in (await first.get("/approvals")).text
    assert (await second.post("/sign-in", ticket=ticket)).status_code == 401
    for wrong in ("1.2.3", f"9{ticket}", ticket[:-1] + "x", new_ticket("other", SystemClock())):
        assert (await second.post("/sign-in", ticket=wrong)).status_code == 401


async def test_another_namespace_is_another_world(
    browser: Browser, desk: Desk, service: Service, codes: Codes
) -> None:
    here, there = desk.put(number=1), desk.put(number=2, namespace="team")
    await browser.sign_in(await key_of(service, "user:ann", codes, namespace="team"))
    queue = (await browser.get("/approvals?status=all")).text
    assert there.id in queue
    assert here.id not in queue
    assert (await browser.get(f"/approvals/{here.id}")).status_code == 404
    assert (await browser.get(f"/approvals/{here.id}/arguments")).status_code == 404
    answer = await browser.post(
        f"/approvals/{here.id}/decide", verdict="deny", subject=here.subject
    )
    assert answer.status_code == 404
    assert await status_of(desk, here.id) == "waiting"


# --- what is shown ----------------------------------------------------------------------------

EVIL = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>\"'{{7*7777777}}\u202e\u200b\x1b[31m"


async def test_nothing_that_is_shown_acts_or_hides(
    browser: Browser, desk: Desk, codes: Codes
) -> None:
    given = {
        "path": EVIL,
        "content": EVIL,
        "old_text": EVIL,
        "new_text": "x",
        "sql": f"SELECT {EVIL}",
        EVIL: EVIL,
    }
    told: dict[str, Any] = dict.fromkeys(("tool", "principal", "reason", "decision_reason"), EVIL)
    one = desk.put(given, **told, rules=(EVIL,), groups=())
    asked = desk.put(number=2, about="approval", message=one.arguments, reason=EVIL)
    for path in ("/approvals", f"/approvals/{one.id}", f"/approvals/{asked.id}"):
        page = (await browser.get(path)).text
        for acting in ("<script>alert", "<img src=x", "54444439", "\u202e", "\u200b", "\x1b"):
            assert acting not in page, (path, acting)
        assert "\\u202e" in page
    wrong = await browser.post(
        f"/approvals/{one.id}/decide", verdict=EVIL, subject=EVIL, reason=EVIL, code="1"
    )
    assert "<script>alert" not in wrong.text
    refused = await browser.post(
        f"/approvals/{one.id}/decide", verdict="approve", subject=one.subject, reason=EVIL
    )
    assert refused.status_code == 403
    assert "<script>alert" not in refused.text
    evil = quote(EVIL, safe="")
    for path in (f"/{evil}", f"/approvals/{evil}", f"/approvals?status={evil}"):
        assert "<script>alert" not in (await browser.http.get(path)).text


@pytest.mark.parametrize(
    "body",
    [b"", b"verdict=deny", b"a=1&" * 100, b"\xff\xfe", b"verdict=%ff", b"x" * 200_000],
    ids=["empty", "no token", "many", "not text", "not UTF-8", "long"],
)
async def test_what_is_no_form_is_refused(browser: Browser, desk: Desk, body: bytes) -> None:
    one = desk.put()
    await browser.sign_in()
    headers = {"origin": browser.origin, "content-type": "application/x-www-form-urlencoded"}
    answer = await browser.http.post(f"/approvals/{one.id}/decide", content=body, headers=headers)
    assert answer.status_code in (400, 403, 413)
    headers["content-type"] = "application/json"
    answer = await browser.http.post(f"/approvals/{one.id}/decide", content=body, headers=headers)
    assert answer.status_code == 400
    assert await status_of(desk, one.id) == "waiting"


# --- enrolling --------------------------------------------------------------------------------


async def test_whoever_has_not_signed_in_enrols_nothing(browser: Browser, service: Service) -> None:
    """A tool that fetches pages could else enrol the first factor, which is free."""
    assert "stepwell page" in (await browser.get("/factor")).text
    offer = await service.factors.offer_totp(LOCAL_USER)
    for path, fields in (
        ("/factor/totp/offer", {}),
        ("/factor/totp", {"ticket": offer.ticket, "new_code": "123456"}),
        ("/factor/passkey", {"answer": "{}"}),
        ("/factor/remove", {"id": "x"}),
    ):
        assert (await browser.post(path, fields)).status_code == 403
    assert not await service.factors.is_enrolled(LOCAL_USER)


async def test_a_new_user_of_a_program_that_reads_the_owners_token_enrols_nothing(
    browser: Browser, service: Service
) -> None:
    """It makes itself a user before anybody has enrolled, and comes back later."""
    _, mallory = await service.api_keys.create(LOCAL_USER, "user:mallory")
    await Codes(service, LOCAL_USER).enrol()
    await browser.sign_in(mallory)
    answer = await browser.post("/factor/totp/offer")
    assert answer.status_code == 403
    assert "nobody has shown one" in answer.text
    assert not await service.factors.is_enrolled(Caller("default", "user:mallory"))


async def test_mcp_and_grpc_have_no_way_to_approve(port: int, desk: Desk) -> None:
    """No tool that approves is published, and `tools/call` of a made-up one does nothing."""
    one = desk.put()
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        for name in ("approve", "approvals_approve", "approvals.decide", "run_resolve"):
            call = {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "tools/call",
                "params": {"name": name, "arguments": {"id": one.id}},
            }
            answer = await http.post(
                "/mcp", json=call, headers={"accept": "application/json, text/event-stream"}
            )
            assert answer.status_code >= 400 or "error" in answer.json()
    assert await status_of(desk, one.id) == "waiting"
