"""What a person types to get at this program from where they are."""

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path


def typed_name(environ: Mapping[str, str], folder: Path) -> str:
    """`stepwell` where the shell would find this one, else its path, as seen from the folder."""
    script = _script()
    found = shutil.which("stepwell", path=environ.get("PATH", ""))
    if found and script.exists() and Path(found).samefile(script):
        return "stepwell"
    if script.exists() and script.is_relative_to(folder):
        return shlex.quote(str(script.relative_to(folder)))
    return full_name()


def full_name() -> str:
    """The command for programs that know nothing of the shell's PATH, as MCP hosts."""
    script = _script()
    if script.exists():
        return shlex.quote(str(script))
    return f"{shlex.quote(sys.executable)} -m stepwell_server.cli.main"


def _script() -> Path:
    return Path(sys.executable).with_name("stepwell")
