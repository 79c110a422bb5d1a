"""References to secrets, where they lead, and how their values are kept out of what is told.

A setting holds `secret://KIND/PLACE`, never the value. It is looked up right before it is used, and
every value that was looked up for a tool is blotted out of all that the tool says.
"""

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus

from stepwell.engine.values import Json
from stepwell.errors import Code, SetupError, StepwellError

REFERENCE: Final = re.compile(
    r"secret://(?:(env)/(\w+)|(store)/([\w.-]*\w)|(file|keyring)/([^\s\"'<>]+))"
)
SHORTEST: Final = 6
"""Characters of a secret: anything shorter cannot be told from a word of a text."""
BLOT: Final = "[secret]"

Look = Callable[[str], str | None]
"""The value at a place of one kind; None when there is nothing."""


class SecretMissing(StepwellError):
    """A reference to a secret leads nowhere."""

    code = Code.SECRET_NOT_FOUND


def is_reference(text: str) -> bool:
    """Whether all of a text is one reference."""
    return REFERENCE.fullmatch(text) is not None


def references(text: str) -> tuple[str, ...]:
    """The references in a text."""
    return tuple(found[0] for found in REFERENCE.finditer(text))


class Secrets:
    """Looks references up. `store` is the local store, where there is one."""

    def __init__(
        self, environ: Mapping[str, str], *, home: Path, store: Look = lambda _: None
    ) -> None:
        self._environ = environ
        self._home = home
        self._looks: dict[str, Look] = {
            "env": environ.get,
            "file": self._of_file,
            "keyring": _of_keyring,
            "store": store,
        }

    def resolve(self, text: str, redactor: "Redactor") -> str:
        """The text with the value of each reference in it, which `redactor` is told.

        Raises:
            SecretMissing: a reference leads nowhere.
            SetupError: what it leads to is too short to be kept out of a text.
        """

        def value(found: re.Match[str]) -> str:
            kind, place = (part for part in found.groups() if part is not None)
            secret = self._value(found[0], kind, place)
            redactor.add(secret)
            return secret

        return REFERENCE.sub(value, text)

    def _value(self, reference: str, kind: str, place: str) -> str:
        secret = self._looks[kind](place)
        if not secret:
            raise SecretMissing(f"{reference} leads nowhere: {_advice(kind, place)}")
        if len(secret) < SHORTEST:
            raise SetupError(
                f"{reference} leads to a value of {len(secret)} characters; a secret has at least "
                f"{SHORTEST}, so that it can be kept out of results and logs"
            )
        return secret

    def _of_file(self, place: str) -> str | None:
        path = Path(f"/{place}") if not place.startswith("~") else Path(place).expanduser()
        if not path.is_file():
            path = self._home / place
        try:
            return path.read_text(encoding="utf-8").strip("\r\n")
        except (OSError, UnicodeDecodeError):
            return None


class Redactor:
    """Blots out the secrets of one tool or server, as they are and as they are often written."""

    def __init__(self) -> None:
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, secret: str) -> None:
        """Blots this out from now on; one that is too short for it is left."""
        if len(secret) < SHORTEST:
            return
        self._forms |= set(_forms(secret))
        longest_first = sorted(self._forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(re.escape(form) for form in longest_first))

    def text(self, text: str) -> str:
        """The text without any secret."""
        return text if self._pattern is None else self._pattern.sub(BLOT, text)

    def json(self, value: Json) -> Json:
        """The value without any secret, in keys neither."""
        if self._pattern is None:
            return value
        return self._json(value)

    def _json(self, value: Json) -> Json:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self._json(part) for key, part in value.items()}
        if isinstance(value, list):
            return [self._json(part) for part in value]
        return value


def _forms(secret: str) -> Iterable[str]:
    """A secret as it is, as URLs write it, as JSON does, and in base64, wherever that begins."""
    yield secret
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield secret.encode("unicode_escape").decode()
    data = secret.encode()
    yield data.hex()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            # What lies before it in the text moves its letters; those at the edges are shared.
            encoded = encode(b"\0" * shift + data).decode().rstrip("=")
            edge = (0, 2, 3)[shift]
            whole = (len(data) + shift) * 8 // 6
            if whole - edge >= SHORTEST:
                yield encoded[edge:whole]


def _of_keyring(place: str) -> str | None:
    import keyring  # it looks for the system's own, which takes a while
    from keyring.errors import KeyringError

    service, slash, name = place.partition("/")
    if not slash:
        return None
    try:
        return keyring.get_password(service, name)
    except KeyringError:
        return None


def _advice(kind: str, place: str) -> str:
    match kind:
        case "env":
            return f"the daemon's environment has no {place}; set it and start the daemon again"
        case "file":
            return f"there is no file /{place}, nor {place} in the home, that can be read"
        case "keyring":
            return "the keyring of this system has no such entry, or there is no keyring"
        case _:
            return f"put it there with `stepwell secrets set {place}`"
