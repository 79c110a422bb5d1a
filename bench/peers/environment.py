"""The environment that the peers are installed in: made when it is first asked for."""

import re
import subprocess
import sys
import venv
from pathlib import Path

from bench.left_out import LeftOut

FOLDER = Path(__file__).parents[1] / ".venv-peers"
WANTED = Path(__file__).with_name("requirements.in")
REQUIREMENTS = WANTED.with_suffix(".lock")
INSTALLATION_TIMEOUT = 600.0


def python_of_peers() -> Path:
    """The Python that has the peers, as `requirements.lock` pins them.

    Raises:
        LeftOut: they cannot be installed.
    """
    python, stamp = FOLDER / "bin" / "python", FOLDER / "lock.stamp"
    wanted = REQUIREMENTS.read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        print("installing the peers ...", file=sys.stderr)
        venv.create(FOLDER, clear=True, with_pip=True)
        _install(python)
        stamp.write_text(wanted)
    return python


def peer_versions() -> dict[str, str]:
    """The peers, each with the version that is measured."""
    return dict(re.findall(r"^(dbos|langgraph)==(\S+)$", WANTED.read_text(), re.MULTILINE))


def _install(python: Path) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
               "--no-deps", "--require-hashes", "--requirement", str(REQUIREMENTS)]  # fmt: skip
    try:
        subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=INSTALLATION_TIMEOUT
        )
    except subprocess.CalledProcessError as error:
        raise LeftOut(f"the peers cannot be installed: {error.stderr[-500:]}") from error
    except subprocess.TimeoutExpired as error:
        raise LeftOut("the peers cannot be installed: it takes too long") from error
