"""The pages in a real browser, with its scripts, keys and passkeys; pictures go to build/pages."""

import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    async_playwright,
    expect,
)
from tests.interaction.web.conftest import OWNER_TOKEN, Codes
from tests.interaction.web.desk import Desk

from stepwell.clock import SystemClock
from stepwell.orchestrator.passkeys import Site
from stepwell.orchestrator.service import Service
from stepwell.principals import LOCAL_USER
from stepwell_server.tickets import new_ticket

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PICTURES = Path(__file__).parents[3] / "build" / "pages"
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]

OLD = """[server]
host = "0.0.0.0"
port = 8080

[log]
level = "info"
keep = 7
format = "text"
"""
NEW = OLD.replace("0.0.0.0", "127.0.0.1").replace("keep = 7", "keep = 30\nrotate = true")


@pytest.fixture(scope="module")
async def chromium(anyio_backend: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        await browser.close()


class Window:
    """A window on the pages, and what went wrong in it."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.origin = origin
        self.complaints: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    async def go(self, path: str) -> None:
        await self.page.goto(f"{self.origin}{path}")

    async def press(self, key: str) -> None:
        """Presses a key once the script of the page listens."""
        await self.page.wait_for_load_state()
        await self.page.keyboard.press(key)

    async def look_again(self) -> None:
        """What the page does when it is looked at again, and every few seconds."""
        await self.page.wait_for_load_state()
        await self.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    async def picture(self, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=PICTURES / f"{name}.png", full_page=True)

    async def sign_in(self) -> None:
        await self.go(f"/sign-in?ticket={new_ticket(OWNER_TOKEN, SystemClock())}")
        await self.page.get_by_role("button", name="Sign in as user:local").click()
        await expect(self.page.get_by_role("link", name="user:local")).to_be_visible()


@contextlib.asynccontextmanager
async def opened(browser: Browser, port: int, **settings: Any) -> AsyncIterator[Window]:
    context: BrowserContext = await browser.new_context(**{"viewport": DESK, **settings})
    context.set_default_timeout(5000)
    # Nothing may be asked of anybody else.
    own = f"http://localhost:{port}/"
    await context.route(lambda url: not url.startswith(own), lambda route: route.abort())
    window = Window(await context.new_page(), f"http://localhost:{port}")
    yield window
    await context.close()
    assert window.complaints == []


@pytest.fixture
async def window(chromium: Browser, port: int, service: Service) -> AsyncIterator[Window]:
    service.factors.site = Site(f"http://localhost:{port}")
    async with opened(chromium, port) as window:
        yield window


async def with_authenticator(window: Window) -> None:
    """Plugs a virtual security key in, whose owner is always there and always verified."""
    session = await window.page.context.new_cdp_session(window.page)
    await session.send("WebAuthn.enable")
    await session.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )


def fill(desk: Desk) -> None:
    """Some questions as they come."""
    now = SystemClock().now()
    minute = 60_000_000
    desk.put(
        {"path": "/srv/shop/config.toml", "edits": [{"oldText": OLD, "newText": NEW}]},
        number=1,
        tool="filesystem.edit_file",
        rules=("files.write",),
        reason="Files of the shop are changed by an agent only with a person's yes.",
        requested_at=now - 4 * minute,
        expires_at=now + 23 * 60 * minute,
    )
    desk.put(
        {
            "datasource": "shop",
            "sql": "DELETE FROM orders USING customers WHERE orders.customer_id = customers.id "
            "AND customers.closed_at < '2024-01-01' RETURNING orders.id",
        },
        number=2,
        tool="db_write",
        rules=("db.delete", "db.no-limit"),
        reason="Deletes need a person; this one has no limit on its rows.",
        requested_at=now - 50 * minute,
        expires_at=now + 20 * minute,
    )
    desk.put(
        number=3,
        about="approval",
        tool="",
        message=None,
        reason="The workflow refund asks before it pays.",
        principal="service:shop",
        rules=(),
        requested_at=now - 26 * 60 * minute,
        expires_at=None,
    )


async def test_a_call_is_looked_at_and_approved_with_a_code(
    window: Window, desk: Desk, codes: Codes
) -> None:
    fill(desk)
    await window.go("/approvals")
    await expect(window.page.get_by_role("listitem")).to_have_count(3)
    await window.picture("queue")
    await window.page.get_by_role("link", name="filesystem.edit_file").click()
    await window.picture("approval")
    await window.press("a")
    await window.page.keyboard.type(codes.next())
    await window.page.keyboard.press("Enter")
    await expect(window.page.locator("#state")).to_have_text("approved")
    await window.picture("approved")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["desk", "phone"])
async def test_pages_fit_where_they_are_shown(
    chromium: Browser, port: int, service: Service, desk: Desk, codes: Codes, name: str, scheme: str
) -> None:
    fill(desk)
    size = PHONE if name == "phone" else DESK
    async with opened(chromium, port, viewport=size, color_scheme=scheme) as window:
        for number, path in enumerate(
            ("/approvals", *(f"/approvals/{n:020x}" for n in (1, 2, 3)), "/factor", "/sign-in")
        ):
            await window.go(path)
            width = await window.page.evaluate("document.documentElement.scrollWidth")
            assert width <= size["width"], path
            await window.picture(f"{name}-{scheme}-{number}")


async def test_keys_move_through_the_queue_and_answer(
    window: Window, desk: Desk, codes: Codes
) -> None:
    fill(desk)
    await window.sign_in()
    page = window.page
    await window.press("j")
    await window.press("j")
    await expect(page.locator(".card:focus")).to_contain_text("db_write")
    await window.press("k")
    await window.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("edit_file")
    await window.press("j")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("db_write")
    await window.press("d")
    await page.keyboard.type("j is a letter here")
    await window.press("Tab")
    await page.get_by_role("button", name="Deny").click()
    await expect(page.locator("#state")).to_have_text("denied")
    await expect(page.get_by_text("j is a letter here")).to_be_visible()
    await window.press("u")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Approvals")


async def test_what_comes_and_goes_is_shown_without_loading_again(
    window: Window, desk: Desk, codes: Codes
) -> None:
    one = desk.put()
    await window.go("/approvals")
    await expect(window.page.get_by_role("listitem")).to_have_count(1)
    desk.put(number=2, tool="later")
    await window.look_again()
    await expect(window.page.get_by_role("link", name="later")).to_be_visible()
    await expect(window.page).to_have_title("(2) Approvals · Stepwell")

    await window.go(f"/approvals/{one.id}")
    await window.page.get_by_label("Reason").fill("half a sent")
    await desk.decide(LOCAL_USER, one.id, verdict="deny")
    await window.look_again()
    await expect(window.page.locator("#state")).to_have_text("denied")
    await expect(window.page.get_by_role("button", name="Approve")).to_have_count(0)


async def test_a_passkey_is_enrolled_and_approves(
    window: Window, desk: Desk, service: Service
) -> None:
    fill(desk)
    await window.sign_in()
    await with_authenticator(window)
    await window.go("/factor")
    await window.picture("factor")
    await window.page.get_by_label("What you call it").fill("laptop")
    await window.page.get_by_role("button", name="Add a passkey").click()
    await expect(window.page.get_by_text("laptop is enrolled.")).to_be_visible()
    [factor] = await service.factors.list_factors(LOCAL_USER)
    assert (factor.kind, factor.label) == ("passkey", "laptop")

    await window.go(f"/approvals/{1:020x}")
    await window.picture("approval-passkey")
    await window.page.get_by_role("button", name="Approve with a passkey").click()
    await expect(window.page.locator("#state")).to_have_text("approved")

    await window.page.get_by_role("button", name="Sign out").click()
    await window.go(f"/approvals/{2:020x}")
    await window.page.get_by_role("button", name="Deny").click()
    await expect(window.page.locator("#state")).to_have_text("denied")


async def test_an_app_is_enrolled_by_its_picture(window: Window, service: Service) -> None:
    import pyotp

    await window.sign_in()
    await window.go("/factor")
    page = window.page
    await page.get_by_role("button", name="Add an app").click()
    await expect(page.locator(".qr svg")).to_be_visible()
    await window.picture("factor-app")
    secret = await page.locator("input[name=secret]").input_value()
    wrong = page.get_by_label("Code that the new app shows")
    await wrong.fill("000000")
    await page.get_by_role("button", name="Enrol it").click()
    await expect(page.get_by_role("alert")).to_contain_text("not the code")
    window.complaints.clear()  # the browser notes that the answer was 403
    await page.get_by_label("Code that the new app shows").fill(pyotp.TOTP(secret).now())
    await page.get_by_role("button", name="Enrol it").click()
    await expect(page.get_by_text("is enrolled.")).to_be_visible()
    assert await service.factors.is_enrolled(LOCAL_USER)
    await window.picture("factor-enrolled")


async def test_without_scripts_everything_is_read_and_answered_with_a_code(
    chromium: Browser, port: int, desk: Desk, codes: Codes
) -> None:
    fill(desk)
    async with opened(chromium, port, java_script_enabled=False) as window:
        await window.go("/approvals")
        await window.page.get_by_role("link", name="db_write").click()
        await window.page.get_by_label("Code of your app").fill(codes.next())
        await window.page.get_by_role("button", name="Approve", exact=True).click()
        await expect(window.page.locator("#state")).to_have_text("approved")
