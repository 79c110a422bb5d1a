"""The local store of secrets."""

import stat
from pathlib import Path

import pytest

from stepwell.errors import Code, InvalidRequest, NotFound, SetupError
from stepwell.vault.secret_store import SecretStore


def test_a_secret_is_kept_where_only_its_owner_can_read_it_and_not_in_clear(tmp_path: Path) -> None:
    store = SecretStore(tmp_path)
    assert (store.names(), store.get("token")) == ((), None)
    store.set("token", "hush-hush")
    store.set("other", "pässwörd")
    again = SecretStore(tmp_path)
    assert again.names() == ("other", "token")
    assert (again.get("token"), again.get("other")) == ("hush-hush", "pässwörd")
    for path in (tmp_path / "secrets.json", tmp_path / "secrets.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "hush" not in path.read_text()
    store.set("token", "changed-it")
    store.remove("other")
    assert (again.get("token"), again.names()) == ("changed-it", ("token",))


def test_a_secret_is_bound_to_its_name(tmp_path: Path) -> None:
    store = SecretStore(tmp_path)
    store.set("a", "secret-of-a")
    path = tmp_path / "secrets.json"
    path.write_text(path.read_text().replace('"a"', '"b"'))
    with pytest.raises(SetupError, match="another key, or changed since"):
        store.get("b")


def test_what_cannot_be_a_secret_is_refused(tmp_path: Path) -> None:
    store = SecretStore(tmp_path)
    with pytest.raises(InvalidRequest, match="6 to 65536 characters"):
        store.set("a", "short")
    with pytest.raises(InvalidRequest, match="cannot be the name"):
        store.set("a/b", "long-enough")
    with pytest.raises(NotFound) as missing:
        store.remove("a")
    assert missing.value.code is Code.SECRET_NOT_FOUND


def test_a_key_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    store = SecretStore(tmp_path)
    store.set("a", "long-enough")
    (tmp_path / "secrets.key").unlink()
    with pytest.raises(SetupError, match="the key of"):
        store.get("a")
    with pytest.raises(SetupError, match="the key of"):
        store.set("b", "long-enough")


def test_the_key_can_be_in_the_keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring: dict[tuple[str, str], str] = {}
    monkeypatch.setattr("keyring.get_password", lambda service, name: ring.get((service, name)))
    monkeypatch.setattr(
        "keyring.set_password", lambda service, name, text: ring.update({(service, name): text})
    )
    store = SecretStore(tmp_path, key="keyring")
    store.set("a", "long-enough")
    assert store.get("a") == "long-enough"
    assert list(ring) == [("stepwell", str(tmp_path))]
    assert not (tmp_path / "secrets.key").exists()
