"""The local store of secrets: one encrypted file in the home, and its key elsewhere.

The key is in the keyring of the system, or in a file of the home that only its owner may read. That
keeps a secret out of backups, screens and version control. It does not keep it from a program that
runs as the same user.
"""

import base64
import re
import secrets
from pathlib import Path
from typing import Final, Literal

import msgspec

from stepwell.errors import Code, InvalidRequest, NotFound, SetupError
from stepwell.files import write_private
from stepwell.vault.boxes import KEY_BYTES, Boxes, NotOpened

STORE_FILE: Final = "secrets.json"
KEY_FILE: Final = "secrets.key"
SERVICE: Final = "stepwell"
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
SHORTEST: Final = 6
"""Characters of a secret; shorter ones could not be kept out of results."""
LONGEST: Final = 64 * 1024


class SecretStore:
    """The secrets of a home, by name."""

    def __init__(self, home: Path, *, key: Literal["file", "keyring"] = "file") -> None:
        self._file = home / STORE_FILE
        self._key_file = home / KEY_FILE
        self._key = key
        self._home = home

    def names(self) -> tuple[str, ...]:
        """The names of all secrets, sorted."""
        return tuple(sorted(self._read()))

    def get(self, name: str) -> str | None:
        """A secret; None when there is none of this name.

        Raises:
            SetupError: the store or its key is not as it was written.
        """
        box = self._read().get(name)
        if box is None:
            return None
        try:
            return self._boxes().open(base64.b64decode(box), "secret", name).decode()
        except NotOpened as error:
            raise SetupError(
                f"{self._file} was written with another key, or changed since; put the right key "
                f"back, or set {name} again with `stepwell secrets set {name}`"
            ) from error

    def set(self, name: str, secret: str) -> None:
        """Keeps a secret, in the place of one of this name.

        Raises:
            InvalidRequest: the name or the secret cannot be one.
        """
        if not NAME.fullmatch(name):
            raise InvalidRequest(
                f"{name!r} cannot be the name of a secret: 1 to 128 letters, digits, _ . and -",
                code=Code.INVALID_CONFIG,
            )
        if not SHORTEST <= len(secret) <= LONGEST:
            raise InvalidRequest(
                f"a secret has {SHORTEST} to {LONGEST} characters, this one has {len(secret)}; a "
                "shorter one could not be kept out of results and logs",
                code=Code.INVALID_CONFIG,
            )
        box = self._boxes(make=True).lock(secret.encode(), "secret", name)
        self._write(self._read() | {name: base64.b64encode(box).decode()})

    def remove(self, name: str) -> None:
        """Forgets a secret.

        Raises:
            NotFound: there is none of this name.
        """
        kept = self._read()
        if kept.pop(name, None) is None:
            raise NotFound(
                f"there is no secret {name!r}; `stepwell secrets list` shows all",
                code=Code.SECRET_NOT_FOUND,
            )
        self._write(kept)

    def _read(self) -> dict[str, str]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            raise SetupError(f"{self._file} cannot be read: {error}") from error

    def _write(self, kept: dict[str, str]) -> None:
        content = msgspec.json.format(msgspec.json.encode(kept, order="sorted"), indent=2)
        write_private(self._file, content + b"\n")

    def _boxes(self, *, make: bool = False) -> Boxes:
        text = self._read_key()
        if text is None:
            if not make or self._read():
                raise SetupError(
                    f"the key of {self._file} is gone ({self._place}); put it back, or remove the "
                    "file and set its secrets again"
                )
            text = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
            self._keep_key(text)
        try:
            return Boxes(base64.b64decode(text, validate=True))
        except ValueError as error:
            raise SetupError(f"{self._place} holds no key of {KEY_BYTES} bytes") from error

    @property
    def _place(self) -> str:
        if self._key == "file":
            return str(self._key_file)
        return f"the entry {self._home} of {SERVICE} in the keyring"

    def _read_key(self) -> str | None:
        if self._key == "keyring":
            import keyring  # it looks for the system's own, which takes a while
            from keyring.errors import KeyringError

            try:
                return keyring.get_password(SERVICE, str(self._home))
            except KeyringError as error:
                raise SetupError(f"the keyring of this system cannot be used: {error}") from error
        try:
            return self._key_file.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise SetupError(f"{self._key_file} cannot be read: {error}") from error

    def _keep_key(self, text: str) -> None:
        if self._key == "keyring":
            import keyring
            from keyring.errors import KeyringError

            try:
                keyring.set_password(SERVICE, str(self._home), text)
            except KeyringError as error:
                raise SetupError(
                    f"the keyring of this system cannot be used: {error}; set "
                    '`secrets.key = "file"` to keep the key in the home'
                ) from error
        else:
            write_private(self._key_file, text.encode())
