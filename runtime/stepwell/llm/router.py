"""Finds the model that a name stands for, and connects to its provider on first use.

A name is a class (`small`), bound per namespace, or `provider:model` in full. The SDKs take
seconds to import, so each is imported on the first call that needs it, in a thread, and never
by a process that asks no model.
"""

import asyncio
import importlib
import os
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from stepwell.config import ProviderSettings
from stepwell.errors import Code
from stepwell.llm.fake import FakeProvider
from stepwell.llm.port import Model, ModelError, ModelReply, ModelRequest
from stepwell.llm.provider import Endpoint, Provider
from stepwell.llm.schemas import in_words

FAKE: Final = "fake"
INSTALL: Final = "pip install 'stepwell[models]'"


class _Kind(Struct, frozen=True, kw_only=True):
    """A kind of provider: our adapter, the SDK it stands on, and where keys are looked for."""

    adapter: str
    sdk: str
    key_variables: tuple[str, ...] = ()
    needs_base_url: bool = False


_KINDS: Final = {
    "openai": _Kind(
        adapter="stepwell.llm.openai_responses", sdk="openai", key_variables=("OPENAI_API_KEY",)
    ),
    "openai-compatible": _Kind(
        adapter="stepwell.llm.openai_chat", sdk="openai", needs_base_url=True
    ),
    "anthropic": _Kind(
        adapter="stepwell.llm.anthropic", sdk="anthropic", key_variables=("ANTHROPIC_API_KEY",)
    ),
    "google": _Kind(
        adapter="stepwell.llm.google",
        sdk="google.genai",
        key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    ),
}


class ModelRouter:
    """Implements `Models` over the configured providers. Owns their connections.

    `classes` binds for every namespace, `namespaces` for one, which goes first. Providers that
    need no settings (`openai`, `anthropic`, `google`, `fake`) need no entry. `scripts` is the
    folder that relative paths of `fake:` are under.
    """

    def __init__(
        self,
        classes: Mapping[str, str] | None = None,
        *,
        namespaces: Mapping[str, Mapping[str, str]] | None = None,
        providers: Mapping[str, ProviderSettings] | None = None,
        environ: Mapping[str, str] = os.environ,
        scripts: Path | None = None,
    ) -> None:
        self._classes = classes or {}
        self._namespaces = namespaces or {}
        self._settings = providers or {}
        self._environ = environ
        self._connections: dict[str, _Connection] = {}
        self._fake = FakeProvider(scripts or Path())

    def resolve(self, namespace: str, name: str) -> Model:
        """The model bound to a class (`small`), or named in full (`provider:model`).

        Raises:
            ModelError: MODEL_NOT_CONFIGURED, saying how to configure it; MISSING_EXTRA,
                with the command that installs the SDK.
        """
        full = name if ":" in name else self._bound(namespace, name)
        provider, _, model = full.partition(":")
        if not provider or not model:
            raise _not_configured(f"{full!r} names no model: write it as provider:model")
        connection = self._connections.get(provider)
        if connection is None:
            connection = self._connections[provider] = self._connection(provider)
        return _RoutedModel(connection, model)

    async def aclose(self) -> None:
        """Closes the connections of every provider that was used."""
        connections, self._connections = self._connections, {}
        async with AsyncExitStack() as closing:
            for connection in connections.values():
                closing.push_async_callback(connection.aclose)

    def _bound(self, namespace: str, name: str) -> str:
        bound = {**self._classes, **self._namespaces.get(namespace, {})}
        if name in bound:
            return bound[name]
        raise _not_configured(
            f"no model is bound to the class {name!r} in the namespace {namespace!r}"
            f"{_nearest(name, bound)}: set models.{name} to a provider:model, for instance "
            f'STEPWELL_MODELS__{name.upper()}="openai:gpt-5.4" (bound are: '
            f"{', '.join(sorted(bound)) or 'none'})"
        )

    def _connection(self, provider: str) -> "_Connection":
        if provider == FAKE:
            return _Connection(lambda: self._fake)
        settings = self._settings.get(provider, ProviderSettings())
        name = settings.kind or provider
        kind = _KINDS.get(name)
        if kind is None:
            known = [*_KINDS, FAKE, *self._settings]
            raise _not_configured(
                f"there is no provider {provider!r}{_nearest(provider, known)}: use one of "
                f"{', '.join(sorted(set(known)))}, or set providers.{provider}.kind"
            )
        endpoint = self._endpoint(provider, settings, kind)
        if not _is_installed(kind.sdk):
            raise _missing(kind.sdk)
        return _Connection(
            lambda: _connect(kind, endpoint), structured_output=settings.structured_output
        )

    def _endpoint(self, provider: str, settings: ProviderSettings, kind: _Kind) -> Endpoint:
        if kind.needs_base_url and not settings.base_url:
            raise _not_configured(
                f"the provider {provider!r} has no address: set providers.{provider}.base_url, "
                "for instance to http://127.0.0.1:11434/v1"
            )
        if settings.base_url and urlsplit(settings.base_url).scheme not in ("http", "https"):
            raise _not_configured(
                f"providers.{provider}.base_url is {settings.base_url!r}, and has to begin with "
                "http:// or https://"
            )
        variables = (settings.api_key_env,) if settings.api_key_env else kind.key_variables
        keys = {name: self._environ.get(name, "").strip() for name in variables}
        found = [name for name in variables if keys[name]]
        if variables and not found:
            raise _not_configured(
                f"the provider {provider!r} has no key: set {' or '.join(variables)} in the "
                "environment of the Stepwell process"
            )
        return Endpoint(
            name=provider,
            base_url=settings.base_url or None,
            api_key=keys[found[0]] if found else "",
            key_variable=found[0] if found else "",
            timeout=settings.timeout,
        )


class _Connection:
    """A provider that is made when it is first needed, once."""

    def __init__(self, make: Callable[[], Provider], *, structured_output: bool = True) -> None:
        self._make = make
        self._structured_output = structured_output
        self._making = asyncio.Lock()
        self._provider: Provider | None = None

    async def complete(self, model: str, request: ModelRequest) -> ModelReply:
        provider = self._provider or await self._open()
        if not self._structured_output:
            request = in_words(request)
        return await provider.complete(model, request)

    async def aclose(self) -> None:
        if self._provider is not None:
            await self._provider.aclose()

    async def _open(self) -> Provider:
        async with self._making:
            if self._provider is None:
                self._provider = await asyncio.to_thread(self._make)
            return self._provider


class _RoutedModel:
    """One model behind a connection."""

    def __init__(self, connection: _Connection, model: str) -> None:
        self._connection = connection
        self._model = model

    async def complete(self, request: ModelRequest) -> ModelReply:
        return await self._connection.complete(self._model, request)


def _connect(kind: _Kind, endpoint: Endpoint) -> Provider:
    try:
        adapter = importlib.import_module(kind.adapter)
    except ImportError as error:
        raise _missing(kind.sdk) from error
    provider: Provider = adapter.connect(endpoint)
    return provider


def _is_installed(sdk: str) -> bool:
    try:
        return find_spec(sdk) is not None
    except (ImportError, ValueError):
        return False


def _missing(sdk: str) -> ModelError:
    return ModelError(f"the package {sdk} is not installed: run {INSTALL}", code=Code.MISSING_EXTRA)


def _not_configured(message: str) -> ModelError:
    return ModelError(message, code=Code.MODEL_NOT_CONFIGURED)


def _nearest(name: str, known: Mapping[str, str] | list[str]) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
