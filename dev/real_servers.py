"""Installs MCP servers that others publish, pinned, into build/real-servers; `make real-servers`."""

import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "build" / "real-servers"
NPM = (
    "@modelcontextprotocol/server-everything@2026.8.31",
    "@modelcontextprotocol/server-filesystem@2026.8.31",
)
PYPI = ("mcp-server-time==2026.10.19",)


def install(folder: Path = FOLDER) -> None:
    """Installs what is not there yet; nothing outside of the folder is touched."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp, wanted = folder / "installed", "\n".join((*NPM, *PYPI))
    if stamp.exists() and stamp.read_text() == wanted:
        return
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("there is no npm: these servers are programs of Node; install Node 20 or newer")
    cache = ["--cache", str(folder / "npm-cache"), "--prefix", str(folder)]
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error"]
    subprocess.run([npm, "install", *cache, *quiet, *NPM], check=True, timeout=300)
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True, timeout=120)
    pip = [str(folder / "venv" / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    flags = ["--disable-pip-version-check", "--cache-dir", str(folder / "pip-cache")]
    subprocess.run([*pip, *flags, *PYPI], check=True, timeout=300)
    stamp.write_text(wanted)


if __name__ == "__main__":
    install()
