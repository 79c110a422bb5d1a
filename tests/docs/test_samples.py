"""The programs, scripts and settings on the pages for builders do what the pages say."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from stepwell.config import load_settings
from stepwell.engine.messages import Message
from stepwell.engine.values import Data
from stepwell.errors import Code
from stepwell.llm.fake import FakeProvider, ScriptedError, Turn, parse_script
from stepwell.llm.port import ModelError, ModelReply, ModelRequest
from stepwell.tools.invoke import invoke
from stepwell.tools.loading import load_tools
from stepwell.tools.port import CallContext, Tool, ToolFailed
from stepwell.tools.process import ProcessPool
from stepwell_server.cli.child_daemon import ChildDaemon
from stepwell_server.home import Home

REPOSITORY = Path(__file__).parents[2]
CONTEXT = CallContext(
    namespace="default", principal="user:local", run="r", step="s", attempt=1, key="key-1"
)


def page(name: str) -> str:
    return (REPOSITORY / "docs" / f"{name}.md").read_text()


def blocks(text: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


# --- tools ------------------------------------------------------------------------------------


def tools_of_the_page(folder: Path, processes: ProcessPool) -> dict[str, Tool]:
    path = folder / "tools.py"
    path.write_text("\n".join(blocks(page("tools"), "python")))
    return {tool.spec.name: tool for tool in load_tools([str(path)], processes=processes)}


@pytest.mark.anyio
async def test_the_tools_of_the_page_can_be_called(tmp_path: Path) -> None:
    async with ProcessPool(size=1) as processes:
        tools = tools_of_the_page(tmp_path, processes)
        price = await invoke(tools["price_of"], {"product": "tea"}, CONTEXT)
        paid = await invoke(tools["take_payment"], {"customer": "ada", "cents": 450}, CONTEXT)
        with pytest.raises(ToolFailed, match="there is no product 'gold'"):
            await invoke(tools["price_of"], {"product": "gold"}, CONTEXT)
        with pytest.raises(ToolFailed) as refused:
            await invoke(tools["take_payment"], {"customer": "ada", "cents": 0}, CONTEXT)
    assert price == Data({"cents": 450, "currency": "EUR"})
    assert paid == Data({"payment": "ada-450", "key": "key-1"})
    assert refused.value.code is Code.INVALID_ARGUMENTS


@pytest.mark.anyio
async def test_what_the_page_says_of_its_tools_holds(tmp_path: Path) -> None:
    async with ProcessPool(size=1) as processes:
        tools = tools_of_the_page(tmp_path, processes)
    price, payment = tools["price_of"].spec, tools["take_payment"].spec
    assert (price.read_only, price.idempotent, price.destructive) == (True, True, None)
    assert (payment.read_only, payment.idempotent, payment.destructive) == (False, True, False)
    assert price.input_schema["properties"]["product"]["description"] == (
        "Its name, as in the catalogue."
    )


# --- models -----------------------------------------------------------------------------------


async def answer_of_the_script(folder: Path, *messages: Message) -> ModelReply:
    [script] = blocks(page("models"), "yaml")
    (folder / "analyst.yaml").write_text(script)
    return await FakeProvider(folder).complete("analyst.yaml", ModelRequest(messages=messages))


def user(text: str) -> Message:
    return Message(role="user", text=text)


@pytest.mark.anyio
async def test_the_script_of_the_page_plays_its_conversations(tmp_path: Path) -> None:
    ask = user("Who spent the most?")
    first = await answer_of_the_script(tmp_path, ask)
    rows = Message(role="tool", call="call-1", text='{"rows":[["Ada",41167]]}')
    last = await answer_of_the_script(tmp_path, ask, first.message, rows)
    asked_for_json = await answer_of_the_script(tmp_path, user("Say it as JSON"))
    other = await answer_of_the_script(tmp_path, user("Hello"))
    malformed = await answer_of_the_script(tmp_path, user("Something malformed"))
    with pytest.raises(ModelError, match="slow down") as refused:
        await answer_of_the_script(tmp_path, user("You ask too often"))

    assert [tool.name for tool in first.message.tools] == ["db_query"]
    assert last.message.text == "Ada spent the most."
    assert asked_for_json.message.text == '{"question":"Say it as JSON","total":3}'
    assert (other.message.text, other.finish) == ("I was cut o", "length")
    assert malformed.message.tools[0].problem
    assert refused.value.code is Code.MODEL_RATE_LIMITED


def test_the_page_shows_every_key_of_a_script() -> None:
    text = page("models")
    [script] = blocks(text, "yaml")
    parse_script(script.encode(), name="analyst.yaml")
    keys = {*Turn.__struct_fields__, *ScriptedError.__struct_fields__, "raw_arguments", "when"}
    assert {key for key in keys if not re.search(rf"\b{key}\b", script)} == set()


@pytest.mark.parametrize("name", ["models", "tools", "approving"])
def test_the_settings_of_a_page_are_settings(name: str, tmp_path: Path) -> None:
    settings = blocks(page(name), "toml")[0]
    (tmp_path / "config.toml").write_text(settings)
    loaded = load_settings(tmp_path, {}, {})
    assert loaded.models or loaded.tools.paths or loaded.approvals.notify


# --- clients ----------------------------------------------------------------------------------


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Path]:
    """A person's folder, with a daemon on the home in it."""
    home = Home(tmp_path / ".stepwell")
    home.create()
    home.config_file.write_text("[server]\ngrpc_port = 0\nhttp_port = 0\n")
    daemon = ChildDaemon(home)
    try:
        asyncio.run(daemon.start())
        yield tmp_path
    finally:
        daemon.stop()


def test_the_programs_of_the_page_print_what_it_shows(person: Path) -> None:
    programs, shown = blocks(page("clients"), "python"), blocks(page("clients"), "text")
    printed = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={"HOME": str(person)},
            capture_output=True,
            text=True,
            check=False,
        )
        for program in programs
    ]
    assert [(run.stdout, run.stderr) for run in printed] == [(text, "") for text in shown]


def test_code_can_be_generated_from_the_image_alone(tmp_path: Path) -> None:
    image = REPOSITORY / "proto" / "baseline.binpb"
    files = [
        file.name
        for file in FileDescriptorSet.FromString(image.read_bytes()).file
        if not file.name.startswith("google/")
    ]
    protoc = [sys.executable, "-m", "grpc_tools.protoc"]
    subprocess.run(
        [*protoc, f"--descriptor_set_in={image}", f"--python_out={tmp_path}", *files], check=True
    )
    [command] = re.findall(r"^\$ (protoc --descriptor_set_in.*)$", page("clients"), re.MULTILINE)
    assert set(files) == {word for word in command.split() if word.endswith(".proto")}
