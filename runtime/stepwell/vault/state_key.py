"""The key that seals what MCP clients carry from one round of a call to the next."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stepwell.vault.boxes import Boxes
from stepwell.vault.key_file import key_in_file
from stepwell.vault.ring import read_key

SETTING: Final = "mcp.state_key"
FILE: Final = "state.key"


def open_state_boxes(reference: str, home: Path, environ: Mapping[str, str]) -> Boxes:
    """What seals states: the key that the setting names, else that of this home, made at first use.

    Raises:
        SetupError: the key that the setting names, or the file, is not there or is none.
    """
    if reference:
        return Boxes(read_key(SETTING, reference, environ, home))
    return Boxes(key_in_file(home / FILE, SETTING))
