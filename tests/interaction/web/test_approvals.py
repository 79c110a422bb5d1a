"""What a person sees of an approval, and how he answers it."""

from collections.abc import Callable

import pytest
from tests.interaction.web.conftest import Browser, Codes
from tests.interaction.web.desk import Desk

from stepwell.orchestrator.approvals import Proof
from stepwell.orchestrator.service import Service
from stepwell.principals import LOCAL_USER

pytestmark = pytest.mark.anyio


async def status_of(desk: Desk, id: str) -> str:
    return (await desk.get(LOCAL_USER, id)).status


async def test_what_waits_is_read_without_signing_in(browser: Browser, desk: Desk) -> None:
    one = desk.put({"path": "a.txt", "content": "hello"})
    page = await browser.get("/approvals")
    assert page.status_code == 200
    for told in ("write_file", "agent:local", "default.hold", f"/approvals/{one.id}", "a.txt"):
        assert told in page.text
    for told in ("it writes", one.subject, "a.txt", "hello"):
        assert told in (await browser.get(f"/approvals/{one.id}")).text


async def test_an_approval_takes_a_code_and_counts_once(
    browser: Browser, desk: Desk, codes: Codes
) -> None:
    one = desk.put({"path": "a.txt"})
    answer = {"verdict": "approve", "subject": one.subject, "reason": "looks right"}
    done = await browser.post(f"/approvals/{one.id}/decide", answer, code=codes.next())
    assert (done.status_code, done.headers["location"]) == (303, f"/approvals/{one.id}")

    page = (await browser.get(f"/approvals/{one.id}")).text
    assert "approved" in page
    assert "by user:local" in page
    assert "looks right" in page
    assert f"/approvals/{one.id}/decide" not in page

    again = await browser.post(f"/approvals/{one.id}/decide", answer, code=codes.next())
    assert again.status_code == 409
    assert "was quicker" in again.text


async def test_who_has_signed_in_denies_without_a_factor(
    browser: Browser, desk: Desk, codes: Codes
) -> None:
    one = desk.put()
    await browser.sign_in()
    refused = await browser.post(
        f"/approvals/{one.id}/decide", verdict="approve", subject=one.subject, reason="my words"
    )
    assert refused.status_code == 403
    assert "my words" in refused.text  # nobody types them twice
    done = await browser.post(f"/approvals/{one.id}/decide", verdict="deny", subject=one.subject)
    assert done.status_code == 303
    assert await status_of(desk, one.id) == "denied"


async def test_of_two_who_answer_at_once_one_wins(
    browsers: Callable[[], Browser], desk: Desk, service: Service, codes: Codes
) -> None:
    one = desk.put()
    _, key = await service.api_keys.create(
        LOCAL_USER, "user:ann", proof=Proof(kind="totp", value=codes.next())
    )
    ann, owner = browsers(), browsers()
    await ann.sign_in(key)
    await owner.sign_in()
    answers = [
        await person.post(f"/approvals/{one.id}/decide", verdict="deny", subject=one.subject)
        for person in (ann, owner)
    ]
    assert [answer.status_code for answer in answers] == [303, 409]


async def test_what_has_changed_since_it_was_shown_is_not_approved(
    browser: Browser, desk: Desk, codes: Codes
) -> None:
    one = desk.put({"path": "a"})
    answer = await browser.post(
        f"/approvals/{one.id}/decide", verdict="approve", subject="f" * 64, code=codes.next()
    )
    assert answer.status_code == 409
    assert await status_of(desk, one.id) == "waiting"


async def test_whoever_asked_is_told_that_another_answers(
    browser: Browser, desk: Desk, codes: Codes
) -> None:
    one = desk.put(principal="user:local", approver="other")
    page = (await browser.get(f"/approvals/{one.id}")).text
    assert "somebody else answers" in page
    assert "/decide" not in page


async def test_changes_of_files_are_shown_before_and_after(browser: Browser, desk: Desk) -> None:
    edits = [{"oldText": "one\ntwo\nthree", "newText": "one\n2\nthree"}]
    one = desk.put({"path": "notes.txt", "edits": edits}, tool="edit_file")
    page = (await browser.get(f"/approvals/{one.id}")).text
    assert '<tr class="changed">' in page
    assert 'class="left">two</td>' in page
    assert 'class="right">2</td>' in page


async def test_sql_is_shown_a_clause_a_line(browser: Browser, desk: Desk) -> None:
    one = desk.put({"sql": "DELETE FROM users WHERE id = 1 AND name = 'a AND b'"}, tool="db_write")
    page = (await browser.get(f"/approvals/{one.id}")).text
    assert "DELETE FROM users\nWHERE id = 1\n  AND name = &#39;a AND b&#39;" in page


async def test_very_long_arguments_are_cut_and_can_be_read_in_full(
    browser: Browser, desk: Desk
) -> None:
    one = desk.put({"path": "a", "content": "x\n" * 3_000_000})
    page = await browser.get(f"/approvals/{one.id}")
    assert len(page.content) < 2_000_000
    assert "more characters are not shown" in page.text
    whole = await browser.get(f"/approvals/{one.id}/arguments")
    assert len(whole.content) > 6_000_000
    assert whole.headers["content-disposition"].startswith("attachment")


async def test_pages_of_a_long_queue_follow_each_other(browser: Browser, desk: Desk) -> None:
    for number in range(1, 121):
        desk.put(number=number)
    first = (await browser.get("/approvals")).text
    assert first.count('class="card"') == 50
    assert "Older ones" in first
    last = (await browser.get("/approvals?status=waiting&page=100")).text
    assert last.count('class="card"') == 20
    assert "Older ones" not in last


async def test_what_is_not_there_is_said_to_be_not_there(browser: Browser, desk: Desk) -> None:
    desk.put(namespace="team", number=7)
    for path in ("/approvals/none", f"/approvals/{7:020x}", "/nothing"):
        page = await browser.get(path)
        assert page.status_code == 404
        assert "Nothing here" in page.text
    assert f"{7:020x}" not in (await browser.get("/approvals?status=all")).text


async def test_a_page_allows_nothing_from_elsewhere(browser: Browser, desk: Desk) -> None:
    desk.put()
    page = await browser.get("/approvals")
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "<script>" not in page.text
    assert "style=" not in page.text
    assert "http://" not in page.text.replace("http://www.w3.org", "")
    assert page.headers["cache-control"] == "no-store"
    for asset in ("style.css", "page.js", "icon.svg"):
        assert (await browser.get(f"/static/{asset}")).is_success
    assert (await browser.get("/static/../app.py")).status_code == 404


async def test_rows_that_only_people_may_see_are_answered_by_who_has_signed_in(
    browser: Browser, desk: Desk
) -> None:
    one = desk.put({"preview": "p#1"}, tool="db_apply", is_withheld=True)
    page = (await browser.get(f"/approvals/{one.id}")).text
    assert "Sign in, look at them" in page
    assert 'value="approve"' not in page
