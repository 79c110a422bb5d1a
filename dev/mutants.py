"""Mutation tests: change the core in a thousand small ways, and see whether a test notices.

    python dev/mutants.py [--sample 200] [--seed 1] [engine.evolve engine.f*]

What survives is in build/mutants.txt, with its difference: either a test is missing, or the
code says more than it means. Only fast tests are asked, so what a slower one would notice may
stand there too.

mutmut takes the path of a file, less `src/`, for the name of its module; so it works in a
folder of its own, where `src` is `runtime`.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = REPOSITORY / "build" / "mutants"
REPORT: Final = REPOSITORY / "build" / "mutants.txt"
PARALLEL: Final = 2

MUTATED: Final = (
    "src/stepwell/engine/*.py",
    *(f"src/stepwell/orchestrator/{it}.py" for it in ("journal", "letters", "owned", "peers")),
    "src/stepwell/orchestrator/worker.py",
)
NOT_MUTATED: Final = ("src/stepwell/engine/expression*.py",)
"""They are between CEL and us, and have tests of their own, which are not that fast."""

TESTS: Final = (
    "tests/unit/engine",
    "tests/unit/orchestrator",
    "tests/property/test_engine.py",
    "tests/property/test_telling.py",
    "tests/property/test_cost.py",
    "tests/simulation/test_simulation.py",
    "tests/interaction/test_encryption.py",
    "tests/interaction/test_metrics.py",
)
OPTIONS: Final = (
    *("-p", "no:cacheprovider", "-x", "--hypothesis-profile=mutants"),
    *("--ignore", "tests/unit/engine/test_expressions.py"),
    *("-k", "not it_is_seen and not a_seed_always_plays"),
)
SEEDS: Final = 40
"""Worlds of the simulation that a mutant lives in."""

SURVIVED: Final = 0
STATUS: Final[Mapping[int | None, str]] = {
    None: "not tried",
    SURVIVED: "survived",
    33: "no test",
    34: "skipped",
}
"""By exit code of mutmut; all others are ways to be noticed."""

PROFILE: Final = '''"""The same examples for every mutant, however slow the machine is."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "mutants",
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
    max_examples=40,
)
'''


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes mutants, tries all of them or a sample, and writes what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sample", type=int, default=0, help="try so many; 0 is all")
    parser.add_argument("--seed", type=int, default=1, help="which ones are tried")
    parser.add_argument("modules", nargs="*", default=["*"], help="of stepwell; all of the core")
    asked = parser.parse_args(arguments)
    prepare()
    mutmut("run", "none.of.them", check=False)  # makes them, and learns which test calls what
    names = sorted(it for it in outcomes() if _is_of(it, asked.modules))
    tried = _sample(names, asked.sample, asked.seed) if asked.sample else names
    mutmut("run", "--max-children", str(PARALLEL), *tried)
    report(tried)
    return 0


def _is_of(mutant: str, modules: Iterable[str]) -> bool:
    return any(fnmatch(mutant.rpartition(".")[0], f"stepwell.{it}") for it in modules)


def _sample(names: Sequence[str], count: int, seed: int) -> list[str]:
    return random.Random(seed).sample(names, min(count, len(names)))  # noqa: S311 - no secret


def prepare() -> None:
    """The folder in which mutmut works."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    (FOLDER / "src").symlink_to(REPOSITORY / "runtime")
    (FOLDER / "tests").symlink_to(REPOSITORY / "tests")
    (FOLDER / "dev").symlink_to(REPOSITORY / "dev")
    (FOLDER / "conftest.py").write_text(PROFILE, encoding="utf-8")
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    (FOLDER / "pyproject.toml").write_text(f"{project}\n{_configuration()}", encoding="utf-8")


def _configuration() -> str:
    settings = {
        "source_paths": ["src/"],
        "only_mutate": MUTATED,
        "do_not_mutate": NOT_MUTATED,
        "also_copy": ["dev", "conftest.py"],
        "pytest_add_cli_args_test_selection": TESTS,
        "pytest_add_cli_args": OPTIONS,
        # What is only said, to people who read a log, a message or an assertion, is no rule.
        "do_not_mutate_patterns": [r"\blog\.\w+\(", r"^\s*assert ", r'^\s*f?"[^"]+",?\s*$'],
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    return "\n".join(["[tool.mutmut]", "track_dependencies = false", *lines, ""])


def mutmut(*arguments: str, check: bool = True) -> str:
    """Runs mutmut in its folder."""
    paths = [str(REPOSITORY / name) for name in ("server", "storage", "mcp_server")]
    environment = {**os.environ, "PYTHONPATH": ":".join(paths), "STEPWELL_SIM_SEEDS": str(SEEDS)}
    command = [sys.executable, "-m", "mutmut", *arguments]
    is_shown = arguments[0] == "show"
    done = subprocess.run(
        command, cwd=FOLDER, env=environment, check=check, text=True, capture_output=is_shown
    )
    return done.stdout or ""


def outcomes() -> dict[str, int | None]:
    """How mutmut's tests ended, by mutant."""
    found: dict[str, int | None] = {}
    for path in (FOLDER / "mutants" / "src").rglob("*.meta"):
        found.update(json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"])
    return found


def report(tried: Iterable[str]) -> None:
    """Writes how many were noticed, by module, and every one that was not."""
    codes = outcomes()
    status = {name: STATUS.get(codes[name], "killed") for name in tried}
    REPORT.write_text("\n".join([*_scores(status), "", *_survivors(status)]), encoding="utf-8")
    print(*_scores(status), f"What survived is in {REPORT}", sep="\n")


def _scores(status: Mapping[str, str]) -> Iterator[str]:
    for module in sorted({name.rpartition(".")[0] for name in status}):
        yield _score(module, [it for name, it in status.items() if name.startswith(f"{module}.")])
    yield _score("all", list(status.values()))


def _score(name: str, found: Sequence[str]) -> str:
    counted = Counter(found)
    rest = ", ".join(f"{count} {it}" for it, count in counted.items() if it != "killed")
    return f"{name:36} {counted['killed']:5} of {len(found):5} killed {rest and f'({rest})'}"


def _survivors(status: Mapping[str, str]) -> Iterator[str]:
    for name, found in status.items():
        if found in ("survived", "no test"):
            yield mutmut("show", name)


if __name__ == "__main__":
    sys.exit(main())
