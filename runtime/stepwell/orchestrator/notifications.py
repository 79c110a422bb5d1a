"""Telling people that something waits for them: on the desktop, or by a webhook.

Every process looks for what waits, and whoever claims a notification sends it, so each is sent by one.
One that is lost is no harm: what waits is on the page and in `stepwell approvals`. No arguments go out.
"""

import asyncio
import hashlib
import hmac
import html
import logging
import shutil
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, Protocol

import httpx2
import msgspec
from msgspec import Struct

from stepwell.clock import Clock
from stepwell.errors import StepwellError
from stepwell.orchestrator.asked import approval_of
from stepwell.orchestrator.views import Approval
from stepwell.tools.network import Grants, Guard, guarded_client, host_of
from stepwell_storage.errors import StorageError
from stepwell_storage.ports import Storage
from stepwell_storage.records import FOR_EVER

LOOK_AGAIN: Final = 1.0
"""Seconds."""
LATE: Final = timedelta(minutes=1)
"""How much later than others a process may commit what it has dated."""
BATCH: Final = 100
PAUSES: Final = (1.0, 5.0, 25.0)
"""Seconds before a webhook is tried again."""
TIMEOUT: Final = timedelta(seconds=10)
SIGNATURE: Final = "stepwell-signature"

log = logging.getLogger(__name__)


class Notice(Struct, frozen=True, kw_only=True):
    """What is told: that somebody asks, for what, by which rule, and where to answer."""

    approval: str
    namespace: str
    run: str
    step: str
    about: str
    tool: str
    principal: str
    rules: tuple[str, ...]
    reason: str
    page: str
    requested_at: int
    expires_at: int | None


class Sender(Protocol):
    """Brings a notice to people."""

    async def send(self, notice: Notice) -> None:
        """Sends it, and gives up in the end: our log says so."""
        ...


class NotificationLoop:
    """Tells of what waits, until it is cancelled."""

    def __init__(
        self, storage: Storage, sender: Sender, *, clock: Clock, page: Callable[[str], str]
    ) -> None:
        """`page` tells where an approval is answered."""
        self._storage = storage
        self._sender = sender
        self._clock = clock
        self._page = page
        self._since = 0
        self._seen: dict[str, int] = {}

    async def run(self) -> None:
        """Looks for what nobody was told yet; for ever."""
        async with asyncio.TaskGroup() as sending:
            while True:
                try:
                    for notice in await self.fresh():
                        sending.create_task(self._sender.send(notice))
                except StorageError as error:
                    log.warning("what waits for people cannot be looked up: %s", error)
                await asyncio.sleep(LOOK_AGAIN)

    async def fresh(self) -> list[Notice]:
        """What waits, and is ours to tell."""
        rows = await self._storage.approvals.waiting(since=self._since, limit=BATCH)
        found = []
        for namespace, row in rows:
            if f"{namespace}/{row.id}" in self._seen:
                continue
            self._seen[f"{namespace}/{row.id}"] = row.requested_at
            until = row.expires_at or FOR_EVER
            token = f"notice/{row.id}"
            if await self._storage.factors.spend(
                namespace, token, until=until, now=self._clock.now()
            ):
                found.append(_notice(namespace, approval_of(row), self._page(row.id)))
        if rows:
            # More than a batch of one moment would hide what comes after it.
            late = 0 if len(rows) == BATCH else LATE // timedelta(microseconds=1)
            self._since = max(self._since, rows[-1][1].requested_at - late)
            self._seen = {id: at for id, at in self._seen.items() if at >= self._since}
        return found


class Desktop:
    """Shows a notice on the screen of this machine, where it has one."""

    async def send(self, notice: Notice) -> None:
        """Sends it, or says in the log why not."""
        command = desktop_command(title_of(notice), f"{notice.reason}\n{notice.page}".strip())
        if command is None:
            log.warning("%s: %s (no program here shows notices)", title_of(notice), notice.page)
            return
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            async with asyncio.timeout(TIMEOUT.total_seconds()):
                if await process.wait():
                    log.warning("%s: %s (it could not be shown)", title_of(notice), notice.page)
        except (OSError, TimeoutError) as error:
            log.warning("a notice could not be shown: %s", error)


class Webhook:
    """Posts a notice as JSON, signed: `stepwell-signature: t=SECONDS,v1=HMAC-SHA256(t.body)`."""

    def __init__(
        self,
        url: str,
        *,
        key: bytes,
        networks: tuple[str, ...],
        clock: Clock,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`networks` are those of ours that the URL may lead to, as for tools."""
        self._url = url
        self._key = key
        self._clock = clock
        self._pause = pause
        grants = Grants(hosts=(host_of(url),), networks=networks)
        self._guard = Guard(grants, whose="approvals.notify")

    async def send(self, notice: Notice) -> None:
        """Sends it, a few times where that fails; a redirect is not followed."""
        body = msgspec.json.encode(notice)
        timeout = TIMEOUT.total_seconds()
        async with guarded_client(self._guard, timeout=timeout) as client:
            for pause in (*PAUSES, None):
                problem = await self._try(client, body)
                if not problem:
                    return
                if pause is None:
                    log.error("nobody was told of %s: %s", notice.approval, problem)
                    return
                log.warning("the webhook of approvals failed, trying again: %s", problem)
                await self._pause(pause)

    async def _try(self, client: httpx2.AsyncClient, body: bytes) -> str:
        """What went wrong, if anything."""
        headers = {
            "content-type": "application/json",
            SIGNATURE: signature(self._key, body, self._clock.now() // 1_000_000),
        }
        try:
            answer = await client.post(self._url, content=body, headers=headers)
        except (httpx2.HTTPError, StepwellError) as error:
            return str(error) or type(error).__name__
        return "" if answer.is_success else f"it answered {answer.status_code}"


def signature(key: bytes, body: bytes, seconds: int) -> str:
    """What a receiver compares: it also refuses what is much older than now."""
    mark = hmac.new(key, f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={mark}"


def title_of(notice: Notice) -> str:
    """One line."""
    what = f"call {notice.tool}" if notice.about == "call" else f"go on with {notice.step}"
    return f"{notice.principal} asks to {what}"


def desktop_command(title: str, text: str) -> tuple[str, ...] | None:
    """The program that shows a notice; texts are arguments of it, and nothing reads them as a script."""
    if sys.platform == "darwin":
        script = (
            "on run argv\ndisplay notification (item 2 of argv) with title (item 1 of argv)\nend"
        )
        return ("osascript", "-e", script, title, text)
    if program := shutil.which("notify-send"):
        # Some desktops take the text, and not the title, for markup.
        return (program, "--app-name=Stepwell", "--", title, html.escape(text, quote=False))
    return None


def _notice(namespace: str, approval: Approval, page: str) -> Notice:
    return Notice(
        approval=approval.id,
        namespace=namespace,
        run=approval.run,
        step=approval.step,
        about=approval.about,
        tool=approval.tool,
        principal=approval.principal,
        rules=approval.rules,
        reason=approval.reason,
        page=page,
        requested_at=approval.requested_at,
        expires_at=approval.expires_at,
    )
