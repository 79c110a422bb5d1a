"""`stepwell doctor`: does it see what is wrong?"""

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from stepwell_server.cli.app import app
from stepwell_server.cli.child_daemon import ChildDaemon
from stepwell_server.cli.demo_home import furnish
from stepwell_server.cli.exits import Exit
from stepwell_server.home import Home

Diagnose = Callable[[str], dict[str, Any]]


@pytest.fixture
def diagnose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Diagnose:
    """What doctor says of a home with these settings that no daemon serves, by check."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    tmp_path.chmod(0o700)

    def run(settings: str) -> dict[str, Any]:
        (tmp_path / "config.toml").write_text(settings)
        told = CliRunner().invoke(app, ["doctor", "--json", "--home", str(tmp_path)])
        return {one["name"]: one for one in json.loads(told.stdout)["checks"]}

    return run


@pytest.mark.parametrize(
    ("settings", "name", "status", "words"),
    [
        ('tools.paths = ["mine.py"]', "tools.paths", "fail", "/config.toml: there is no file /"),
        ('tools.paths = ["nobody_has.this"]', "tools.paths", "fail", "no module nobody_has.this"),
        ('tools.paths = ["broken.py"]', "tools.paths", "fail", "broken.py, line 1: "),
        ('tools.paths = ["good.py"]', "tools.paths", "ok", "good.py"),
        ('models.small = "fake:none.yaml"', "models.small", "fail", "none.yaml cannot be read"),
        ('models.small = "fake:broken.yaml"', "models.small", "fail", "broken.yaml"),
        ('models.small = "fake:good.yaml"', "models.small", "ok", "fake:good.yaml"),
        ('storage.url = "sqlite:////nowhere/x.db"', "database", "fail", "the folder /nowhere"),
        ('storage.url = "oracle://me:hush@h/x"', "database", "fail", "oracle://me:***@h/x cannot"),
        ('storage.url = "postgres://me:hush@127.0.0.1:1/x"', "database", "fail", "refused"),
        ("[server]\ngrpc_port = 0", "settings", "ok", "config.toml"),
    ],
)
def test_doctor_looks_for_what_the_settings_name(
    diagnose: Diagnose, tmp_path: Path, settings: str, name: str, status: str, words: str
) -> None:
    (tmp_path / "broken.py").write_text("def (")
    (tmp_path / "good.py").write_text("raise SystemExit")
    (tmp_path / "broken.yaml").write_text("conversations: 1")
    (tmp_path / "good.yaml").write_text("conversations: [{turns: [{text: hello}]}]")
    check = diagnose(settings)[name]
    assert check["status"] == status
    assert words in f"{check['message']}: {check['fix']}"
    assert "hush" not in str(check)
    assert "key" not in check["message"]


def test_doctor_says_when_nothing_listens_at_the_address_of_a_provider(diagnose: Diagnose) -> None:
    settings = '[providers.local]\nkind = "openai-compatible"\nbase_url = "http://{}/v1"'
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert diagnose(settings.format(address))["providers.local"]["status"] == "ok"
    check = diagnose(settings.format(address))["providers.local"]
    assert check["status"] == "warn"
    assert f"nothing listens at http://{address}/v1" in check["message"]


def test_doctor_tells_of_a_key_only_where_one_is_needed(
    diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    local = '[providers.local]\nkind = "openai-compatible"\nbase_url = "http://127.0.0.1:9/v1"\n'
    found = diagnose(local + '[models]\nsmall = "local:m"\nlarge = "openai:m"')
    assert found["models.small"]["message"] == "local:m"
    assert found["models.large"]["message"] == "openai:m (key as seen from this shell)"


def test_doctor_sees_what_was_changed_under_a_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / "home"))
    home = Home(tmp_path / "home")
    furnish(home)
    child = ChildDaemon(home)
    asyncio.run(child.start())
    try:
        home.config_file.write_text(home.config_file.read_text() + "\n# changed\n")
        (home.path / "stepwell.db").unlink()
        report = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)
    finally:
        child.stop()
    found = {one["name"]: one for one in report["checks"]}
    assert report["ok"] is False
    assert (found["settings"]["status"], found["database"]["status"]) == ("warn", "fail")
    assert "was changed after the daemon had started" in found["settings"]["message"]
    assert "is gone" in found["database"]["message"]
    assert "DATABASE_URL that this shell lacks" in found["database"]["fix"]


def test_doctor_names_no_file_of_settings_that_is_not_there(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["doctor", "--json", "--home", str(tmp_path)])
    [check] = [one for one in json.loads(told.stdout)["checks"] if one["name"] == "settings"]
    assert check["message"].startswith("there is no ")
    told = CliRunner().invoke(app, ["config", "--home", str(tmp_path)])
    assert "which has no config.toml" in told.stderr


def test_doctor_without_a_daemon_looks_at_the_ports_and_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEPWELL_SERVER__GRPC_PORT", "0")
    monkeypatch.setenv("STEPWELL_SERVER__HTTP_PORT", "0")
    monkeypatch.setenv("STEPWELL_MODELS__SMALL", "openai:gpt-5.4-mini")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (tmp_path / "stepwell.db").write_bytes(b"no database")
    tmp_path.chmod(0o755)
    result = CliRunner().invoke(app, ["doctor", "--json", "--home", str(tmp_path)])
    checks = {one["name"]: one for one in json.loads(result.stdout)["checks"]}
    assert result.exit_code == Exit.FAILED
    assert checks["home"]["fix"] == f"chmod 700 {tmp_path}"
    assert checks["daemon"]["status"] == "warn"
    assert checks["server.grpc_port"]["status"] == "ok"
    assert checks["database"]["status"] == "fail"
    assert "OPENAI_API_KEY" in checks["models.small"]["fix"]
    assert all(one["fix"] for one in checks.values() if one["status"] != "ok")
