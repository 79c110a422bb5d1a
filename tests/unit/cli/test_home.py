import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from stepwell.errors import Code, SetupError
from stepwell_server.home import LONGEST_SOCKET, Endpoints, Home, locate_home

SINCE = 1_700_000_000_000_000

HOLD = """
import sys, time
from pathlib import Path
from stepwell_server.home import Home
with Home(Path(sys.argv[1])).hold(since=1_700_000_000_000_000):
    print("held", flush=True)
    time.sleep(60)
"""


def endpoints(pid: int) -> Endpoints:
    return Endpoints(
        pid=pid,
        started_at=SINCE,
        version="0.1.0",
        grpc="127.0.0.1:1",
        http="http://127.0.0.1:2",
        mcp="http://127.0.0.1:2/mcp",
        socket="/s",
    )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.create()
    return made


def test_the_flag_then_the_variable_then_the_default_names_the_home(tmp_path: Path) -> None:
    environ = {"STEPWELL_HOME": str(tmp_path / "b")}
    assert locate_home(tmp_path / "a", environ).path == tmp_path / "a"
    assert locate_home(None, environ).path == tmp_path / "b"
    assert locate_home(None, {}).path == Path.home() / ".stepwell"


def test_a_home_is_for_its_owner_only(home: Home) -> None:
    assert home.path.stat().st_mode & 0o777 == 0o700
    home.owner_token()
    assert home.token_file.stat().st_mode & 0o777 == 0o600


def test_a_home_that_others_could_look_into_is_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    Home(tmp_path).create()
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_a_home_that_others_can_look_into_and_is_not_ours_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_permitted(*_: object) -> None:
        raise PermissionError

    tmp_path.chmod(0o755)
    monkeypatch.setattr(Path, "chmod", not_permitted)
    with pytest.raises(SetupError, match=r"others can look into it.*Choose another with --home"):
        Home(tmp_path).create()


def test_a_home_that_cannot_be_made_says_what_to_change(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="Choose another with --home"):
        Home(tmp_path / "file" / "home").create()


def test_the_owner_token_stays_the_same(home: Home) -> None:
    assert home.owner_token() == home.owner_token()
    assert len(home.owner_token()) > 40


def test_an_empty_owner_token_counts_as_missing(home: Home) -> None:
    home.token_file.touch()
    assert len(home.owner_token()) > 40
    assert home.token_file.read_text() == home.owner_token()


def test_a_second_holder_is_told_who_has_the_home_and_what_to_do(home: Home) -> None:
    with home.hold(since=SINCE):
        home.publish(endpoints(os.getpid()))
        with pytest.raises(SetupError) as caught, home.hold(since=SINCE):
            pass
    assert caught.value.code is Code.HOME_IN_USE
    assert caught.value.message == (
        f"the home {home.path} is in use by process {os.getpid()} since 2023-11-14 22:13:20 UTC; "
        "it listens on 127.0.0.1:1 (gRPC) and http://127.0.0.1:2 (HTTP). Use that daemon, stop "
        f"it with `stepwell down --home {home.path}`, or give this one another --home"
    )


def test_endpoints_are_those_of_the_process_that_holds_the_home(home: Home) -> None:
    with home.hold(since=SINCE):
        assert home.endpoints() is None
        home.publish(endpoints(os.getpid()))
        assert home.endpoints() == endpoints(os.getpid())
        home.publish(endpoints(os.getpid() + 1))
        assert home.endpoints() is None
    assert home.holder() is None


def test_what_a_killed_daemon_left_behind_does_not_count(home: Home) -> None:
    command = [sys.executable, "-c", HOLD, str(home.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        home.publish(endpoints(child.pid))
        assert home.endpoints() == endpoints(child.pid)
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert home.endpoints_file.exists()
    assert home.endpoints() is None
    with home.hold(since=SINCE):
        assert not home.endpoints_file.exists()


@pytest.mark.parametrize("content", [b"", b"{", b'{"pid": "x"}', msgspec.json.encode({"pid": 1})])
def test_broken_endpoints_are_no_endpoints(home: Home, content: bytes) -> None:
    with home.hold(since=SINCE):
        home.endpoints_file.write_bytes(content)
        assert home.endpoints() is None


def test_a_long_home_has_its_socket_in_a_short_private_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/tmp")
    path = Home(tmp_path / ("x" * LONGEST_SOCKET)).socket_path()
    try:
        assert len(os.fsencode(path)) <= LONGEST_SOCKET
        assert path.parent.stat().st_mode & 0o777 == 0o700
        path.parent.chmod(0o755)
        with pytest.raises(SetupError, match="others can read it"):
            Home(tmp_path / ("x" * LONGEST_SOCKET)).socket_path()
    finally:
        path.parent.rmdir()
