"""The rules of the repository itself: what may import what, what is pinned, what is written."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = ("runtime", "server", "storage", "mcp_server", "dev")
LOCKS = ("requirements.lock", "requirements-base.lock")


def project() -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def base_requirements() -> list[Requirement]:
    return [Requirement(line) for line in project()["project"]["dependencies"]]


def all_requirements() -> list[Requirement]:
    pyproject = project()
    optional = pyproject["project"]["optional-dependencies"]
    lines = [
        *(line for extra, group in optional.items() if extra != "all" for line in group),
        *pyproject["dependency-groups"]["dev"],
    ]
    return base_requirements() + [Requirement(line) for line in lines]


def pins(lock: str) -> dict[str, list[str]]:
    """The pinned versions of each package: more than one where platforms differ."""
    pinned: dict[str, list[str]] = {}
    text = (REPOSITORY / lock).read_text()
    for name, version in re.findall(r"^([\w.-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", text, re.MULTILINE):
        pinned.setdefault(name, []).append(version)
    return pinned


def test_imports_run_downwards() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    outcome = subprocess.run(
        [command, "--no-logo", "--no-cache"], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_importing_stepwell_loads_no_model_sdk_and_no_vector_database() -> None:
    """Together they cost seconds and 100 MB, for which most commands have no use."""
    heavy = ("openai", "anthropic", "google.genai", "lancedb", "pyarrow", "numpy")
    program = f"import sys, stepwell; print([name for name in {heavy!r} if name in sys.modules])"
    outcome = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert outcome.stdout == "[]\n"


def test_no_module_is_named_after_having_no_name() -> None:
    nameless = {"utils", "util", "helpers", "helper", "common", "misc"}
    modules = (path for root in SOURCES for path in (REPOSITORY / root).rglob("*.py"))
    found = [
        str(path.relative_to(REPOSITORY))
        for path in modules
        if nameless & {path.stem, path.parent.name}
    ]
    assert found == []


def test_the_installed_version_is_the_one_in_pyproject() -> None:
    assert importlib.metadata.version("stepwell") == project()["project"]["version"]


def test_every_dependency_has_a_sentence_in_contributing() -> None:
    text = (REPOSITORY / "CONTRIBUTING.md").read_text()
    section = text.partition("## Dependencies")[2]
    explained = {name for line in section.splitlines() for name in re.findall(r"`([\w-]+)`", line)}
    assert [need.name for need in all_requirements() if need.name not in explained] == []


@pytest.mark.parametrize(
    ("lock", "needs"),
    [("requirements.lock", all_requirements()), ("requirements-base.lock", base_requirements())],
)
def test_a_lock_pins_what_pyproject_asks_for(lock: str, needs: list[Requirement]) -> None:
    """Otherwise `make lock` was forgotten."""
    pinned = pins(lock)
    missing = [
        str(need)
        for need in needs
        if not any(need.specifier.contains(version) for version in pinned.get(need.name, []))
    ]
    assert missing == []


def test_a_plain_installation_gets_the_versions_that_were_tested() -> None:
    tested, plain = (pins(lock) for lock in LOCKS)
    assert {name: tested.get(name) for name in plain} == plain


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_index(lock: str) -> None:
    """A mirror must serve as well as the original."""
    text = (REPOSITORY / lock).read_text()
    assert re.findall(r".*(?:://|--index|--find-links|--trusted-host).*", text) == []


def test_every_target_of_the_makefile_is_explained_by_its_help() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    phony = set(re.findall(r"^\.PHONY: (\S+)$", makefile, re.MULTILINE))
    explained = set(re.findall(r"^([a-z-]+):.*## \S", makefile, re.MULTILINE))
    assert phony == explained
