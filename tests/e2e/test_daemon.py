"""The daemon as a process: how it starts, who it turns away, how it stops, what a kill leaves."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable

import psutil
import pytest
from tests.processes import Child

from stepwell.client import Client
from stepwell_server.cli.child_daemon import ChildDaemon
from stepwell_server.cli.exits import Exit
from stepwell_server.home import Endpoints, Home

pytestmark = pytest.mark.anyio

Stepwell = Callable[..., "subprocess.CompletedProcess[str]"]

BOUND = 20.0


def get(url: str) -> int:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return int(answer.status)


def up(home: Home, *flags: str, **settings: str) -> Child[bytes]:
    command = [sys.executable, "-m", "stepwell_server.cli.main", "up", "--home", str(home.path)]
    return Child(
        [*command, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin", **settings},
    )


def follow(home: Home, run: str) -> Child[bytes]:
    command = [sys.executable, "-m", "stepwell_server.cli.main", "events", run, "--follow"]
    return Child(
        [*command, "--json", "--home", str(home.path)],
        stdout=subprocess.PIPE,
        bufsize=0,  # else what readline read ahead would be lost to communicate
    )


def watch_question(home: Home) -> Child[str]:
    command = [sys.executable, "-m", "stepwell_server.cli.main", "run", "answer-question.yaml"]
    given = '{"question": "Which customer spent the most?"}'
    return Child(
        [*command, "--input", given, "--watch", "--home", str(home.path)],
        cwd=home.path / "demo",
        stderr=subprocess.PIPE,
        text=True,
    )


async def test_a_daemon_tells_where_it_listens_and_answers_there(
    home: Home, daemon: ChildDaemon
) -> None:
    found = await daemon.start()
    assert get(f"{found.http}/livez") == 200
    assert get(f"{found.http}/readyz") == 200
    assert get(f"{found.http}/metrics") == 200
    async with Client(found.grpc) as client:
        assert (await client.list()).runs == ()
    assert home.endpoints_file.stat().st_mode & 0o777 == 0o600
    assert Endpoints(**json.loads(home.endpoints_file.read_bytes())) == found
    daemon.stop()
    assert not home.endpoints_file.exists()
    assert f"log   sqlite:///{home.path}/stepwell.db\n" in home.log_file.read_text()
    assert home.holder() is None


async def test_what_a_daemon_writes_is_for_its_owner_only(home: Home, daemon: ChildDaemon) -> None:
    home.path.chmod(0o755)
    before = set(home.path.iterdir())
    await daemon.start()
    made = set(home.path.iterdir()) - before
    assert home.path.stat().st_mode & 0o777 == 0o700
    assert home.path / "stepwell.db" in made
    assert {path.name: path.stat().st_mode & 0o077 for path in made} == dict.fromkeys(
        (path.name for path in made), 0
    )


async def test_a_second_daemon_on_the_same_home_is_told_who_has_it(
    home: Home, daemon: ChildDaemon, stepwell: Stepwell
) -> None:
    found = await daemon.start()
    second = stepwell("up", "--json")
    assert second.returncode == Exit.IN_USE
    error = json.loads(second.stdout)["error"]
    assert error["code"] == "HOME_IN_USE"
    assert f"in use by process {found.pid}" in error["message"]
    assert f"it listens on {found.grpc}" in error["message"]
    assert home.endpoints() == found


@pytest.mark.parametrize("on_demand", [(), ("--on-demand",)])
@pytest.mark.parametrize("flag", ["--grpc-port", "--http-port"])
def test_a_taken_port_is_refused_before_anything_starts(
    home: Home, stepwell: Stepwell, flag: str, on_demand: tuple[str, ...]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = stepwell("up", flag, str(port), "--json", *on_demand)
    assert refused.returncode == Exit.IN_USE
    error = json.loads(refused.stdout)["error"]
    assert error["code"] == "PORT_IN_USE"
    assert f"port {port} on 127.0.0.1 is used by process" in error["message"]
    assert f"{flag} 0 picks a free one" in error["message"]
    assert not (home.path / "stepwell.db").exists()


async def test_sigterm_ends_watches_and_then_the_daemon(home: Home, daemon: ChildDaemon) -> None:
    found = await daemon.start()
    async with Client(found.grpc) as client:
        watch = client.watch(cursor=None)
        first = asyncio.ensure_future(anext(watch))
        await asyncio.wait({first}, timeout=0.2)
        async with asyncio.timeout(BOUND):
            await asyncio.to_thread(daemon.stop)
        first.cancel()
        await asyncio.wait({first})
    assert home.holder() is None


def test_the_daemon_is_the_process_that_was_started(home: Home) -> None:
    with up(home, "--json") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["endpoints"]["pid"] == process.pid
        if sys.platform == "linux":
            assert psutil.Process(process.pid).name() == "stepwell"
        process.terminate()
    assert process.returncode == Exit.OK


def test_a_second_signal_does_not_wait_for_anybody(home: Home) -> None:
    with up(home, "--json") as process:
        assert process.stdout is not None
        http = json.loads(process.stdout.readline())["endpoints"]["http"]
        host, _, port = http.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as hanging:
            hanging.sendall(b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n")
            process.send_signal(signal.SIGTERM)
            while home.endpoints_file.exists():
                assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(BOUND) == -signal.SIGTERM


async def test_a_killed_daemon_counts_as_gone_and_the_next_one_starts(
    home: Home, daemon: ChildDaemon, stepwell: Stepwell
) -> None:
    first = await daemon.start()
    daemon.kill()
    assert home.endpoints_file.exists()
    assert stepwell("runs").returncode == Exit.NOT_RUNNING
    second = await daemon.start()
    assert second.pid != first.pid
    assert stepwell("runs").returncode == Exit.OK


def test_a_daemon_on_demand_ends_when_nobody_uses_it(home: Home) -> None:
    with up(home, "--on-demand", STEPWELL_SERVER__IDLE_TIMEOUT="200ms") as process:
        assert process.wait(BOUND) == 0
    assert not home.endpoints_file.exists()


def test_a_daemon_on_demand_stays_while_somebody_is_connected(home: Home) -> None:
    with up(home, "--on-demand", "--json", STEPWELL_SERVER__IDLE_TIMEOUT="200ms") as process:
        assert process.stdout is not None
        found = json.loads(process.stdout.readline())["endpoints"]
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(found["socket"])
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1)
        assert process.wait(BOUND) == 0


async def test_follow_goes_on_when_the_daemon_is_killed_and_started_again(
    home: Home, daemon: ChildDaemon, stepwell: Stepwell
) -> None:
    await daemon.start()
    assert stepwell("datasource", "add", "shop", "sqlite:///shop.db").returncode == Exit.OK
    given = '{"question": "Which customer spent the most?"}'
    started = stepwell("run", "answer-question.yaml", "--input", given)
    run = started.stdout.strip()
    with follow(home, run) as following:
        assert following.stdout is not None
        first = json.loads(following.stdout.readline())
        daemon.kill()
        await daemon.start()
        rest, _ = following.communicate(timeout=BOUND)
    events = [first, *map(json.loads, rest.splitlines())]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["kind"] == "run_completed"
    assert following.returncode == Exit.OK


async def test_who_stops_watching_is_told_that_the_run_goes_on(
    home: Home, daemon: ChildDaemon, stepwell: Stepwell
) -> None:
    await daemon.start()
    assert stepwell("datasource", "add", "shop", "sqlite:///shop.db").returncode == Exit.OK
    with watch_question(home) as watching:
        assert watching.stderr is not None
        run = watching.stderr.readline().removeprefix("run ").strip()
        assert "run_started" in watching.stderr.readline()
        watching.send_signal(signal.SIGINT)
        _, told = watching.communicate(timeout=BOUND)
    assert watching.returncode == Exit.INTERRUPTED
    assert f"stepwell events {run} --follow --home {home.path}" in told
    assert f"stepwell cancel {run} --home {home.path}" in told
    assert "Traceback" not in told
    followed = stepwell("events", run, "--follow")
    assert "run_completed" in followed.stdout.splitlines()[-1]


def test_what_goes_wrong_while_the_doors_open_is_one_clear_error(
    home: Home, stepwell: Stepwell
) -> None:
    (home.path / "mcp.sock").write_text("somebody's notes")
    refused = stepwell("up")
    assert refused.returncode == Exit.USAGE
    assert "mcp.sock should be our socket but is a file; move it away" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert (home.path / "mcp.sock").read_text() == "somebody's notes"


def test_a_home_that_belongs_to_something_newer_is_left_alone(
    home: Home, stepwell: Stepwell
) -> None:
    (home.path / "stepwell.db").write_text("this is no database, but somebody may need it")
    refused = stepwell("up", "--json")
    assert refused.returncode != Exit.OK
    assert json.loads(refused.stdout)["error"]["message"]
    assert (home.path / "stepwell.db").read_text().startswith("this is no database")
