import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.processes import Child

from stepwell_server.cli.exits import Exit
from stepwell_server.home import Home

EVENT = r"^ +(\d+)  [\d:]{8}  (\w+ .*)$"
README = (Path(__file__).parents[2] / "README.md").read_text()


def demo(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "stepwell_server.cli.main", "demo", *arguments],
        # Settings of the person who tries it must not reach the demo's daemon.
        env=os.environ | {"STEPWELL_SERVER__GRPC_PORT": "1", "DATABASE_URL": "postgresql://x/y"},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_demo_kills_its_daemon_and_ends_with_the_answer(tmp_path: Path) -> None:
    home = tmp_path / "home"
    told = demo("--home", str(home), cwd=tmp_path)
    assert told.returncode == Exit.OK, told.stdout + told.stderr
    for words in (
        "SCRIPTED, no real one",
        "llm_call",
        "tool_call",
        "kill -9",
        "run_completed",
        "Ada Lind spent the most: 401.68 in all.",
        "What to do next",
        f"rm -r {home}",
    ):
        assert words in told.stdout
    assert "NO " not in told.stdout
    shown = re.findall(EVENT, README, re.MULTILINE)
    assert len(shown) == 7
    printed = re.findall(EVENT, told.stdout, re.MULTILINE)
    assert set(shown) <= set(printed), "the README shows what the demo prints, at another time"
    assert Home(home).holder() is None
    second = demo("--home", str(home), "--json", cwd=tmp_path)
    assert second.returncode == Exit.USAGE
    assert "is not empty" in json.loads(second.stdout)["error"]["message"]


def test_a_demo_that_is_interrupted_leaves_no_daemon_behind(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = [sys.executable, "-m", "stepwell_server.cli.main", "demo", "--home", str(home)]
    with Child(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "run_started" in line:
                break
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == Exit.INTERRUPTED
    assert Home(home).holder() is None
