from datetime import timedelta
from pathlib import Path

import pytest

from stepwell.config import Settings, effective, load_settings, origins, redact_url, reference
from stepwell.durations import format_duration, parse_duration, wanted_timedelta
from stepwell.errors import Code, SetupError


def test_without_a_file_or_variables_the_defaults_hold(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    assert settings == Settings(home=tmp_path)
    assert settings.database_url == f"sqlite:///{tmp_path}/stepwell.db"


def test_file_then_variable_then_flag_the_later_one_wins(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[server]\ngrpc_port = 1\nhttp_port = 1\ndrain = "1m30s"\n[models]\nsmall = "openai:x"\n'
    )
    environ = {"STEPWELL_SERVER__GRPC_PORT": "2", "STEPWELL_SERVER__HTTP_PORT": "2"}
    settings = load_settings(tmp_path, environ, {"server.http_port": 3})
    assert settings.server.drain == timedelta(seconds=90)
    assert (settings.server.grpc_port, settings.server.http_port) == (2, 3)
    assert settings.models == {"small": "openai:x"}


def test_variables_reach_lists_models_and_providers(tmp_path: Path) -> None:
    environ = {
        "STEPWELL_TOOLS__PATHS": "a.py, b",
        "STEPWELL_MODELS__SMALL": "local:m",
        "STEPWELL_PROVIDERS__LOCAL__KIND": "openai-compatible",
        "STEPWELL_PROVIDERS__LOCAL__BASE_URL": "http://127.0.0.1:1/v1",
        "STEPWELL_HOME": "/elsewhere",
    }
    settings = load_settings(tmp_path, environ)
    assert settings.tools.paths == (str(tmp_path / "a.py"), "b")
    assert settings.models == {"small": "local:m"}
    assert settings.providers["local"].base_url == "http://127.0.0.1:1/v1"


def test_a_tool_file_is_meant_from_the_home_unless_it_says_otherwise(tmp_path: Path) -> None:
    places = ["a.py", "sub/a.py", "/elsewhere/a.py", "~/a.py", "shop.tools"]
    assert load_settings(tmp_path, {}, {"tools.paths": places}).tools.paths == (
        str(tmp_path / "a.py"),
        str(tmp_path / "sub/a.py"),
        "/elsewhere/a.py",
        str(Path.home() / "a.py"),
        "shop.tools",
    )


def test_what_somebody_has_set_is_told_from_what_is_a_default(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[server]\ngrpc_port = 7420\n")
    environ = {"STEPWELL_SERVER__DRAIN": "5s"}
    assert origins(tmp_path, environ, {"tools.paths": ["a.py"]}) == {
        "server.grpc_port": str(tmp_path / "config.toml"),
        "server.drain": "STEPWELL_SERVER__DRAIN",
        "tools.paths": "--tools",
    }


def test_database_url_is_honoured_and_our_own_variable_is_stronger(tmp_path: Path) -> None:
    assert load_settings(tmp_path, {"DATABASE_URL": "memory:"}).database_url == "memory:"
    both = {"DATABASE_URL": "memory:", "STEPWELL_STORAGE__URL": "sqlite:///x.db"}
    assert load_settings(tmp_path, both).database_url == "sqlite:///x.db"


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("STEPWELL_SERVER__GPRC_PORT", "1", "did you mean `server.grpc_port`?"),
        ("STEPWELL_SERVER_GRPC_PORT", "1", "did you mean STEPWELL_SERVER__GRPC_PORT?"),
        ("STEPWELL_SERVER__GRPC_PORT", "many", "Expected `int`"),
        ("STEPWELL_SERVER__GRPC_PORT", "70000", "<= 65535"),
        ("STEPWELL_SERVER__DRAIN", "5", "write it like 500ms, 30s or 1h30m"),
        ("STEPWELL_PROVIDERS__LOCAL__URL", "x", "did you mean `providers.local.base_url`?"),
        ("STEPWELL_PROVIDERS__LOCAL__KIND", "x", "must be one of openai, openai-compatible"),
        ("STEPWELL_PLUGINS__ON", "x", "the sections are server, mcp"),
    ],
)
def test_a_wrong_variable_is_named_with_what_would_be_right(
    tmp_path: Path, variable: str, value: str, words: str
) -> None:
    with pytest.raises(SetupError) as caught:
        load_settings(tmp_path, {variable: value})
    assert caught.value.code is Code.INVALID_CONFIG
    assert caught.value.message.startswith(variable)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[server]\nport = 1", "did you mean `server.http_port`?"),
        ("[server]\ndrain = 5", "is not a duration"),
        ("[models]\nsmall = 1", "Expected `str`"),
        ("[server", "is not valid TOML"),
        ("home = 'x'", "there is no setting `home`"),
        ("server = 1", "there is no setting `server`"),
    ],
)
def test_a_wrong_line_of_the_file_is_named_with_the_file(
    tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(SetupError) as caught:
        load_settings(tmp_path)
    assert caught.value.message.startswith(str(tmp_path / "config.toml"))
    assert words in caught.value.message


def test_what_is_printed_holds_no_password(tmp_path: Path) -> None:
    environ = {
        "DATABASE_URL": "postgresql://me:hush@host:5432/db?sslkey=hush",
        "STEPWELL_PROVIDERS__LOCAL__BASE_URL": "http://me:hush@host/",
    }
    shown = effective(load_settings(tmp_path, environ))
    assert shown["storage.url"] == "postgresql://me:***@host:5432/db?***"
    assert "hush" not in repr(shown)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgres://u:p@localhost/x", "postgres://u:***@localhost/x"),
        ("postgres://u:p#a/b@c@[x/y", "postgres://u:***@[x/y"),
        ("postgres:u:p@localhost/x", "postgres:***@localhost/x"),
        ("postgres://u@localhost/x?password=p", "postgres://u@localhost/x?***"),
    ],
)
def test_a_url_is_shown_without_its_password_even_when_it_is_none(url: str, shown: str) -> None:
    assert redact_url(url) == shown


def test_a_url_without_secrets_is_shown_as_it_is() -> None:
    assert redact_url("sqlite:////tmp/a b.db") == "sqlite:////tmp/a b.db"


def test_every_setting_has_a_description_of_its_own() -> None:
    rows = reference()
    assert [row.key for row in rows if not row.description.endswith(".")] == []
    assert len({row.key for row in rows}) == len(rows)


@pytest.mark.parametrize("text", ["500ms", "30s", "1h30m", "2d", "0s", "1m500ms"])
def test_a_duration_is_written_as_it_was_read(text: str) -> None:
    assert format_duration(parse_duration(text)) == text


@pytest.mark.parametrize("text", ["", "5", "-1s", "1 s", "s", "1e9d", "9" * 30 + "d", "9" * 99])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("given", "call"),
    [
        (5, "timedelta(seconds=5)"),
        (0.5, "timedelta(seconds=0.5)"),
        ("3m", "timedelta(minutes=3)"),
        ("soon", "timedelta(seconds=30)"),
    ],
)
def test_who_gives_no_timedelta_is_told_what_to_write(given: object, call: str) -> None:
    assert wanted_timedelta(given) == f"a timedelta, it is {given!r}; write {call}"


def test_keys_of_the_ring_are_set_by_name_in_the_file_and_by_variables(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[encryption]\nactive = "k2"\n[encryption.keys]\nk1 = "file:k1.key"\n'
    )
    settings = load_settings(tmp_path, {"STEPWELL_ENCRYPTION__KEYS__K2": "env:RING_KEY"})
    assert settings.encryption.keys == {"k1": "file:k1.key", "k2": "env:RING_KEY"}
    assert settings.encryption.active == "k2"


def test_a_key_that_stands_where_its_place_should_is_not_printed(tmp_path: Path) -> None:
    environ = {
        "STEPWELL_ENCRYPTION__KEYS__K1": "hush",
        "STEPWELL_ENCRYPTION__KEYS__K2": "env:RING_KEY",
    }
    shown = effective(load_settings(tmp_path, environ))
    assert shown["encryption.keys.k1"] == "***"
    assert shown["encryption.keys.k2"] == "env:RING_KEY"
