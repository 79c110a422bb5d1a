"""The environments that the peers are installed in: each made when it is first asked for."""

import re
import subprocess
import sys
import venv
from pathlib import Path

from bench.left_out import LeftOut

FOLDER = Path(__file__).parents[1]
WANTED = Path(__file__).parent
PEERS = "peers"
FASTMCP = "fastmcp"
CONTEXTFORGE = "contextforge"
"""The environments: each is pinned by a file `NAME.lock`, and wanted by `NAME.in`."""
NAMED = re.compile(r"^(dbos|langgraph|fastmcp|mcp-contextforge-gateway)==(\S+)", re.MULTILINE)
INSTALLATION_TIMEOUT = 600.0


def python_of(name: str) -> Path:
    """The Python that has what an environment pins.

    Raises:
        LeftOut: it cannot be installed.
    """
    folder, requirements = FOLDER / f".venv-{name}", WANTED / f"{name}.lock"
    python, stamp = folder / "bin" / "python", folder / "lock.stamp"
    wanted = requirements.read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {name} ...", file=sys.stderr)
        venv.create(folder, clear=True, with_pip=True)
        _install(name, python, requirements)
        stamp.write_text(wanted)
    return python


def peer_versions() -> dict[str, str]:
    """The peers, each with the version that is measured."""
    wanted = (WANTED / f"{name}.in" for name in (PEERS, FASTMCP, CONTEXTFORGE))
    return {peer: number for file in wanted for peer, number in NAMED.findall(file.read_text())}


def _install(name: str, python: Path, requirements: Path) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
               "--no-deps", "--require-hashes", "--requirement", str(requirements)]  # fmt: skip
    try:
        subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=INSTALLATION_TIMEOUT
        )
    except subprocess.CalledProcessError as error:
        raise LeftOut(f"{name} cannot be installed: {error.stderr[-500:]}") from error
    except subprocess.TimeoutExpired as error:
        raise LeftOut(f"{name} cannot be installed: it takes too long") from error
