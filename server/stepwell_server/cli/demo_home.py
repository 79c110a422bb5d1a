"""The home of the demo: settings, a shop's database, a workflow, a tool, a script for the model."""

import shutil
import sqlite3
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from stepwell.errors import Code, SetupError
from stepwell_server.home import Home

SETTINGS: Final = """\
[server]
grpc_port = 0            # picks a free one
http_port = 0

[models]
small = "fake:demo/analyst.yaml"   # a script; put a model here: "openai:gpt-5.4-mini"

[tools]
paths = ["demo/tools.py"]
"""


def furnish(home: Home) -> Path:
    """Makes the home with everything in it; the folder of the demo's files is returned.

    Raises:
        SetupError: the home is in use already.
    """
    if home.path.exists() and any(home.path.iterdir()):
        raise SetupError(
            f"{home.path} is not empty; the demo needs a home of its own: give another --home, "
            "or none",
            code=Code.INVALID_CONFIG,
        )
    home.create()
    folder = home.path / "demo"
    with as_file(files("stepwell_server") / "demo") as source:
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__"))
    home.config_file.write_text(SETTINGS)
    with sqlite3.connect(folder / "shop.db") as database:
        database.executescript((folder / "shop.sql").read_text())
    database.close()
    return folder
