"""The key of the mask `hash`: without it nobody can tell which value a masked one is by trying."""

import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stepwell.vault.key_file import key_in_file
from stepwell.vault.ring import read_key

SETTING: Final = "nldb.mask_key"
FILE: Final = "mask.key"


def open_mask_key(reference: str, home: Path, environ: Mapping[str, str]) -> bytes:
    """The key that the setting names, else that of this home, made at first use.

    Raises:
        SetupError: the key that the setting names, or the file, is not there or is none.
    """
    if reference:
        return read_key(SETTING, reference, environ, home)
    return key_in_file(home / FILE, SETTING)


def salt_of(key: bytes, namespace: str, datasource: str) -> str:
    """What keys the masks of one datasource."""
    return hmac.new(key, f"mask\0{namespace}\0{datasource}".encode(), "sha256").hexdigest()
