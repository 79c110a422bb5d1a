"""The key that seals what people have enrolled: in the keyring of the system, or beside the database.

It is not in the database, so whoever has a copy of that has no codes, and whoever edits the database
cannot put a factor of his own into it. Against a program that runs as the same account it is no
defence: such a program may ask the keyring, or read the file, as we do. `docs/security.md` says what is.
"""

import base64
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stepwell.vault.boxes import KEY_BYTES, Boxes
from stepwell.vault.key_file import key_in_file
from stepwell.vault.ring import read_key

SETTING: Final = "approvals.factor_key"
FILE: Final = "factor.key"
SERVICE: Final = "stepwell factors"


def open_factor_boxes(reference: str, home: Path, environ: Mapping[str, str]) -> Boxes:
    """What seals factors: the key that the setting names, else that of this home, made at first use.

    It may wait for the keyring of the system, so call it where that holds nobody up.

    Raises:
        SetupError: the key that the setting names, or the file, is not there or is none.
    """
    if reference:
        return Boxes(read_key(SETTING, reference, environ, home))
    file = home / FILE
    key = None if file.exists() else _from_keyring(home)
    return Boxes(key if key is not None else key_in_file(file, SETTING))


def passing_boxes() -> Boxes:
    """For a runtime that has no home: what it seals, nobody opens after it."""
    return Boxes(secrets.token_bytes(KEY_BYTES))


def _from_keyring(home: Path) -> bytes | None:
    """The key of this home in the system's keyring, made if need be; None where there is no keyring."""
    import keyring
    from keyring.errors import KeyringError

    try:
        if keyring.get_keyring().priority < 1:  # one that keeps nothing, or keeps it in the clear
            return None
        text = keyring.get_password(SERVICE, str(home))
        if text is None:
            text = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
            keyring.set_password(SERVICE, str(home), text)
            if keyring.get_password(SERVICE, str(home)) != text:
                return None
        key = base64.b64decode(text, validate=True)
    except (KeyringError, OSError, RuntimeError, ValueError):
        return None
    return key if len(key) == KEY_BYTES else None
