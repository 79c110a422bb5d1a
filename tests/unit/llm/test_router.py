"""What a name stands for, and what is said when it stands for nothing."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from stepwell.config import ProviderSettings
from stepwell.engine.messages import Message
from stepwell.errors import Code
from stepwell.llm.port import ModelError, ModelRequest
from stepwell.llm.router import ModelRouter

ASK = ModelRequest(messages=(Message(role="user", text="Hello"),))
SCRIPT = "conversations: [{{ turns: [{{ text: {} }}] }}]"


def refused(router: ModelRouter, name: str, namespace: str = "default") -> ModelError:
    with pytest.raises(ModelError) as caught:
        router.resolve(namespace, name)
    return caught.value


def test_importing_the_router_imports_no_sdk() -> None:
    program = "import sys, stepwell.llm.router; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    loaded = set(done.stdout.decode().split())
    assert loaded.isdisjoint({"openai", "anthropic", "google.genai", "httpx2", "pydantic"})


@pytest.mark.anyio
async def test_a_namespace_may_bind_a_class_for_itself(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / f"{name}.yaml").write_text(SCRIPT.format(name))
    router = ModelRouter(
        {"small": "fake:ours.yaml"},
        namespaces={"team": {"small": "fake:theirs.yaml"}},
        scripts=tmp_path,
    )

    ours = await router.resolve("default", "small").complete(ASK)
    theirs = await router.resolve("team", "small").complete(ASK)
    in_full = await router.resolve("default", "fake:theirs.yaml").complete(ASK)

    assert [reply.message.text for reply in (ours, theirs, in_full)] == ["ours", "theirs", "theirs"]
    assert theirs.model == "fake:theirs.yaml"


def test_a_class_that_is_not_bound_says_how_to_bind_it() -> None:
    error = refused(ModelRouter({"small": "openai:m"}), "smal")

    assert error.code == Code.MODEL_NOT_CONFIGURED
    assert "did you mean 'small'?" in error.message
    assert "set models.smal to a provider:model" in error.message


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("openai:m", "set OPENAI_API_KEY in the environment"),
        ("anthropic:m", "set ANTHROPIC_API_KEY in the environment"),
        ("google:m", "set GEMINI_API_KEY or GOOGLE_API_KEY in the environment"),
        ("mine:m", "set MY_KEY in the environment"),
        ("openai-compatible:m", "set providers.openai-compatible.base_url"),
        ("opnai:m", "did you mean 'openai'?"),
        ("strange:m", "set providers.strange.kind"),
        ("nowhere:m", "has to begin with http:// or https://"),
        ("openai:", "write it as provider:model"),
    ],
)
def test_a_model_that_cannot_be_reached_says_what_to_set(name: str, advice: str) -> None:
    providers = {
        "mine": ProviderSettings(kind="openai", api_key_env="MY_KEY"),
        "nowhere": ProviderSettings(kind="openai-compatible", base_url="localhost:11434"),
    }

    error = refused(ModelRouter(providers=providers, environ={}), name)

    assert error.code == Code.MODEL_NOT_CONFIGURED
    assert advice in error.message


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
def test_an_sdk_that_is_not_installed_is_said_with_its_command(
    sdk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, sdk, None)
    keys = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}

    error = refused(ModelRouter(environ=keys), f"{sdk}:m")

    assert error.code == Code.MISSING_EXTRA
    assert error.message == (
        f"the package {sdk} is not installed: run pip install 'stepwell[models]'"
    )


def test_a_local_server_needs_an_address_and_no_key() -> None:
    ollama = ProviderSettings(
        kind="openai-compatible",
        base_url="http://127.0.0.1:11434/v1",
        timeout=timedelta(minutes=10),
    )

    assert ModelRouter(providers={"ollama": ollama}, environ={}).resolve("default", "ollama:qwen")
