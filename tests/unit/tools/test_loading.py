"""Loading a user's tools from files and modules."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stepwell.engine.values import Data
from stepwell.errors import Code, SetupError
from stepwell.tools.invoke import invoke
from stepwell.tools.loading import load_tools
from stepwell.tools.port import CallContext
from stepwell.tools.process import ProcessPool

TOOL = (
    'from stepwell import tool\n@tool\ndef {name}() -> str:\n    """Says."""\n    return {text!r}\n'
)

NESTED = """
from stepwell import tool
def make():
    @tool
    def f() -> None:
        '''F.'''
    return f
f = make()
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], str]:
    def write(name: str, text: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return str(path)

    return write


def names(*places: str) -> list[str]:
    return [tool.spec.name for tool in load_tools(places, processes=ProcessPool())]


def refusal(*places: str) -> str:
    with pytest.raises(SetupError) as refused:
        names(*places)
    return refused.value.message


Write = Callable[[str, str], str]


@pytest.mark.anyio
async def test_a_file_may_import_its_neighbours_here_and_in_its_process(
    write: Write, context: CallContext
) -> None:
    write("stepwell_test_neighbour.py", "WORD = 'tea'\n")
    place = write(
        "with_neighbour.py",
        "from stepwell import tool\nfrom stepwell_test_neighbour import WORD\n"
        '@tool\ndef word() -> str:\n    """Says a word."""\n    return WORD\n',
    )
    async with ProcessPool() as processes:
        (word,) = load_tools([place], processes=processes)
        assert await invoke(word, {}, context) == Data("tea")


@pytest.mark.anyio
async def test_a_module_is_loaded_by_its_name_here_and_in_its_process(
    write: Write, tmp_path: Path, context: CallContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("stepwell_test_shop/__init__.py", "")
    write("stepwell_test_shop/tools.py", TOOL.format(name="open_shop", text="open"))
    monkeypatch.syspath_prepend(str(tmp_path))
    async with ProcessPool() as processes:
        (tool,) = load_tools(["stepwell_test_shop.tools"], processes=processes)
        assert await invoke(tool, {}, context) == Data("open")


def test_files_of_the_same_name_in_two_folders_are_two_files(write: Write) -> None:
    one = write("a/tools.py", TOOL.format(name="one", text=""))
    two = write("b/tools.py", TOOL.format(name="two", text=""))
    assert names(one, two) == ["one", "two"]


def test_the_same_place_twice_is_loaded_once(write: Write) -> None:
    place = write("once.py", TOOL.format(name="once", text=""))
    assert names(place, place) == ["once"]


def test_two_functions_of_one_name_are_refused_with_both_places(write: Write) -> None:
    one = write("a.py", TOOL.format(name="same", text=""))
    two = write("b.py", TOOL.format(name="same", text=""))
    with pytest.raises(SetupError) as refused:
        names(one, two)
    assert refused.value.code is Code.ALREADY_EXISTS
    assert refused.value.message == (
        f"two tools are named same: {one}:2 and {two}:2; "
        "give one of them another name with @tool(name=...)"
    )


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    absent = tmp_path / "absent.py"
    assert refusal(str(absent)) == f"there is no file {absent} (looked at {absent})"
    assert "is a folder; name the Python files in it" in refusal(str(tmp_path))
    assert refusal("stepwell_test_absent.tools") == (
        "there is no module stepwell_test_absent.tools; "
        "install it, or name a file: ./stepwell_test_absent.tools.py"
    )


def test_a_file_without_a_tool_is_told_how_to_make_one(write: Write) -> None:
    place = write("none.py", "def plain() -> None: ...\n")
    assert refusal(place) == (
        f"{place} has no tool: decorate a function with @tool, @resource or @prompt "
        "(from stepwell import tool)"
    )


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("x = 1\ndef f(:\n", "line 2", "SyntaxError: invalid syntax"),
        ("import json\n\njson.loads('{')\n", "line 3", "JSONDecodeError"),
        ("import stepwell_absent\n", "line 1", "No module named 'stepwell_absent'"),
        ("raise SystemExit(3)\n", "line 1", "SystemExit: 3"),
        ("from stepwell import tool\n@tool\ndef f(x):\n    '''F.'''\n", "line 2", "x has no type"),
        (
            NESTED,
            ":4",
            "move it to the top level of its module, or make it async",
        ),
    ],
)
def test_a_file_that_does_not_load_is_told_with_file_line_and_reason(
    write: Write, text: str, where: str, what: str
) -> None:
    place = write("broken.py", text)
    message = refusal(place)
    assert place in message
    assert where in message
    assert what in message
