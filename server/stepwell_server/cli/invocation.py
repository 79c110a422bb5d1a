"""What a person types to get at this program from where they are."""

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path


def typed_name(environ: Mapping[str, str], folder: Path) -> str:
    """`stepwell` where the shell would find this one, else its path, as seen from the folder."""
    script = Path(sys.executable).with_name("stepwell")
    if not script.exists():
        return f"{shlex.quote(sys.executable)} -m stepwell_server.cli.main"
    found = shutil.which("stepwell", path=environ.get("PATH", ""))
    if found and Path(found).samefile(script):
        return "stepwell"
    return shlex.quote(str(script.relative_to(folder) if script.is_relative_to(folder) else script))
