"""People are told once of what waits, and nothing of what it is about goes out."""

import asyncio
import hashlib
import hmac
from datetime import timedelta

import msgspec
import pytest
from msgspec.structs import replace
from tests.contract.appends import begin
from tests.contract.test_approvals import row
from tests.unit.orchestrator.people import HandClock

from stepwell.orchestrator.asked import Detail
from stepwell.orchestrator.notifications import (
    SIGNATURE,
    Notice,
    NotificationLoop,
    Webhook,
    desktop_command,
    signature,
)
from stepwell_storage.memory import MemoryStorage
from stepwell_storage.records import ApprovalRow

pytestmark = pytest.mark.anyio

KEY = b"k" * 32


class Told:
    """Nobody is told for real."""

    async def send(self, notice: Notice) -> None:
        raise NotImplementedError


def asked(id: str = "a1", *, at: int = 100) -> ApprovalRow:
    detail = Detail(tool="pay", rules=("money",), reason="it pays")
    return replace(row(id, at=at), detail=msgspec.json.encode(detail), expires_at=None)


def loop(storage: MemoryStorage) -> NotificationLoop:
    return NotificationLoop(
        storage, Told(), clock=HandClock(), page=lambda id: f"http://localhost:1/approvals/{id}"
    )


def notice(**given: object) -> Notice:
    values = {
        "approval": "a1",
        "namespace": "default",
        "run": row().run,
        "step": "pay",
        "about": "call",
        "tool": "pay",
        "principal": "agent:local",
        "rules": ("money",),
        "reason": "it pays",
        "page": "http://localhost:1/approvals/a1",
        "requested_at": 100,
        "expires_at": None,
        **given,
    }
    return Notice(**values)  # type: ignore[arg-type]


async def test_each_is_told_once_by_one_of_all_processes() -> None:
    storage = MemoryStorage()
    await storage.open()
    await storage.log.append(replace(begin(), approvals=(asked(),)))
    one, other = loop(storage), loop(storage)
    assert await one.fresh() == [notice()]
    assert await one.fresh() == []
    assert await other.fresh() == []
    assert await loop(storage).fresh() == []  # nor after a restart


async def test_what_was_asked_a_little_earlier_and_committed_later_is_told_too() -> None:
    storage = MemoryStorage()
    await storage.open()
    now = timedelta(hours=1) // timedelta(microseconds=1)
    earlier = now - timedelta(seconds=30) // timedelta(microseconds=1)
    looking = loop(storage)
    await storage.log.append(replace(begin(), approvals=(asked("a1", at=now),)))
    assert len(await looking.fresh()) == 1
    storage.approvals._database["team"].approvals["b1"] = asked("b1", at=earlier)
    assert [one.namespace for one in await looking.fresh()] == ["team"]


class Receiver:
    """A webhook on a real socket, which fails as often as it is told to."""

    def __init__(self, fails: int) -> None:
        self.left = fails
        self.heads: list[str] = []
        self.bodies: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
        self.heads.append(head)
        self.bodies.append(await reader.readexactly(length))
        status = b"503 No" if self.left else b"204 OK"
        self.left = max(self.left - 1, 0)
        writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


async def told(receiver: Receiver, *, networks: tuple[str, ...]) -> list[float]:
    """How long was waited between the tries."""
    waited: list[float] = []

    async def pause(seconds: float) -> None:
        waited.append(seconds)

    async with await asyncio.start_server(receiver.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        webhook = Webhook(
            f"http://127.0.0.1:{port}/hook",
            key=KEY,
            networks=networks,
            clock=HandClock(),
            pause=pause,
        )
        await webhook.send(notice())
    return waited


async def test_a_webhook_is_signed_and_tried_again() -> None:
    receiver = Receiver(fails=2)
    assert await told(receiver, networks=("loopback",)) == [1.0, 5.0]
    assert msgspec.json.decode(receiver.bodies[-1], type=Notice) == notice()
    seconds = HandClock().now() // 1_000_000
    mark = hmac.new(KEY, f"{seconds}.".encode() + receiver.bodies[0], hashlib.sha256).hexdigest()
    assert f"{SIGNATURE}: t={seconds},v1={mark}" in receiver.heads[0]
    assert signature(KEY, receiver.bodies[0], seconds) == f"t={seconds},v1={mark}"


async def test_a_webhook_that_never_answers_well_is_given_up() -> None:
    receiver = Receiver(fails=99)
    assert await told(receiver, networks=("loopback",)) == [1.0, 5.0, 25.0]
    assert len(receiver.bodies) == 4


async def test_a_webhook_reaches_no_network_that_was_not_granted() -> None:
    receiver = Receiver(fails=0)
    await told(receiver, networks=())
    assert receiver.bodies == []


def test_what_an_agent_says_is_no_option_and_no_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/notify-send")
    monkeypatch.setattr("sys.platform", "linux")
    command = desktop_command("--help", "-x")
    assert command == ("/usr/bin/notify-send", "--app-name=Stepwell", "--", "--help", "-x")
    monkeypatch.setattr("sys.platform", "darwin")
    apple = desktop_command('" & do shell script "id', "text")
    assert apple is not None
    assert "do shell script" not in apple[2]
