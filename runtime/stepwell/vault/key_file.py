"""A key of a home, in a file that only its owner may read; made at first use."""

import base64
import os
import secrets
from pathlib import Path

from stepwell.errors import SetupError
from stepwell.vault.boxes import KEY_BYTES
from stepwell.vault.ring import read_key


def key_in_file(file: Path, setting: str) -> bytes:
    """The key in a file, which is made if it is not there; `setting` is what names another one.

    Raises:
        SetupError: the file holds no key, or cannot be written.
    """
    if file.exists():
        return read_key(setting, f"file:{file}", {}, file.parent)
    key = secrets.token_bytes(KEY_BYTES)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:  # another process was first
        return read_key(setting, f"file:{file}", {}, file.parent)
    except OSError as error:
        raise SetupError(f"{file} cannot be written: {error}; set {setting}") from error
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(base64.b64encode(key) + b"\n")
        opened.flush()
        os.fsync(opened.fileno())
    return key
