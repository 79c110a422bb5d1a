import json
import subprocess
import sys

import pytest

from stepwell.errors import Code
from stepwell_server.cli.codes import CODES
from stepwell_server.cli.exits import Exit, exit_for

PROBE = """
import json, sys
sys.argv = ["stepwell", "mcp", "--help"]
from stepwell_server.cli.main import main
try:
    main()
except SystemExit as ended:
    assert ended.code == 0
print(json.dumps(sorted(sys.modules)))
"""

ONLY_IN_DAEMONS = {
    *("anthropic", "cedarpy", "lancedb", "mcp", "mcp_types", "openai", "opentelemetry"),
    *("postgast", "pydantic", "rich", "sqlalchemy", "sqlglot", "starlette", "uvicorn"),
}


def test_the_relay_starts_without_anything_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, timeout=30
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert loaded & {"typer", "rich", "grpc", "mcp", "msgspec", "pydantic", "sqlalchemy"} == set()


def test_a_command_starts_without_what_only_a_daemon_needs() -> None:
    probe = "import json, sys, stepwell_server.cli.app; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=30
    )
    assert set(json.loads(done.stdout)) & ONLY_IN_DAEMONS == set()


@pytest.mark.parametrize("code", Code)
def test_every_code_has_a_meaning_an_advice_and_an_exit_code(code: Code) -> None:
    meaning, advice = CODES[code]
    assert meaning.endswith(".")
    assert advice.endswith((".", "`."))
    assert exit_for(code) is not Exit.OK


def test_exit_codes_are_numbers_with_a_meaning() -> None:
    assert [int(code) for code in Exit] == [0, 1, 2, 3, 4, 5, 130]
    assert all(code.meaning.endswith(".") for code in Exit)
