"""References to secrets, and how their values are kept out of what is told."""

import base64
from pathlib import Path
from urllib.parse import quote

import pytest

from stepwell.errors import Code, SetupError
from stepwell.tools.secrets import Redactor, SecretMissing, Secrets, references

SECRET = "hüsh/hush+42 ok"


def secrets(home: Path) -> Secrets:
    environ = {"TOKEN": "t0ken-value", "PIN": "1234"}
    return Secrets(environ, home=home, store={"gh-token": "from-the-store"}.get)


def test_references_are_looked_up_wherever_they_stand(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text("from-a-file\n")
    (tmp_path / "other").mkdir()
    found, redactor = secrets(tmp_path), Redactor()
    assert found.resolve("plain", redactor) == "plain"
    assert found.resolve("Bearer secret://env/TOKEN", redactor) == "Bearer t0ken-value"
    assert found.resolve("secret://store/gh-token,x", redactor) == "from-the-store,x"
    assert found.resolve("secret://file/key.txt", redactor) == "from-a-file"
    absolute = f"secret://file{tmp_path / 'key.txt'}"
    assert found.resolve(absolute, redactor) == "from-a-file"
    assert redactor.text("t0ken-value from-a-file") == "[secret] [secret]"
    assert references("a secret://env/A/b secret://keyring/s/n") == (
        "secret://env/A",
        "secret://keyring/s/n",
    )


def test_the_keyring_of_the_system_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = {("shop", "ann"): "from-the-keyring"}
    monkeypatch.setattr("keyring.get_password", lambda service, name: ring.get((service, name)))
    found = secrets(tmp_path)
    assert found.resolve("secret://keyring/shop/ann", Redactor()) == "from-the-keyring"
    with pytest.raises(SecretMissing):
        found.resolve("secret://keyring/shop", Redactor())


@pytest.mark.parametrize(
    ("reference", "advice"),
    [
        ("secret://env/NOPE", "the daemon's environment has no NOPE"),
        ("secret://file/nope", "there is no file /nope"),
        ("secret://store/nope", "`stepwell secrets set nope`"),
    ],
)
def test_a_reference_that_leads_nowhere_says_where_it_looked(
    reference: str, advice: str, tmp_path: Path
) -> None:
    with pytest.raises(SecretMissing) as missing:
        secrets(tmp_path).resolve(f"x {reference}", Redactor())
    assert missing.value.code is Code.SECRET_NOT_FOUND
    assert advice in missing.value.message


def test_a_secret_that_is_too_short_to_be_blotted_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="4 characters") as refused:
        secrets(tmp_path).resolve("secret://env/PIN", Redactor())
    assert "1234" not in refused.value.message


def test_a_secret_is_blotted_out_in_every_form_in_which_it_is_written() -> None:
    redactor = Redactor()
    redactor.add(SECRET)
    data = SECRET.encode()
    for told in (
        SECRET,
        quote(SECRET, safe=""),
        data.hex(),
        base64.b64encode(data).decode(),
        base64.urlsafe_b64encode(b"ann:" + data).decode(),
        base64.b64encode(b"a" + data + b"zz").decode(),
        base64.b64encode(b"ab" + data).decode(),
    ):
        text = redactor.text(f"<{told}>")
        assert "[secret]" in text, told
        assert SECRET not in text
    value = {"a": [SECRET, 1, {SECRET: None}], "b": "nothing"}
    assert redactor.json(value) == {"a": ["[secret]", 1, {"[secret]": None}], "b": "nothing"}


def test_nothing_is_blotted_out_where_there_is_no_secret() -> None:
    redactor = Redactor()
    redactor.add("short")
    value = {"a": ["short"]}
    assert redactor.json(value) is value
    assert redactor.text("a short text") == "a short text"
