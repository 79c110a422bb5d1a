"""What `stepwell doctor` looks at besides the machine: is there what the settings name?"""

import ast
import os
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from stepwell.config import ProviderSettings, Settings, redact_url
from stepwell.errors import StepwellError
from stepwell.llm.fake import FakeProvider
from stepwell.llm.router import FAKE, ModelRouter
from stepwell.principals import DEFAULT_NAMESPACE
from stepwell.vault.ring import key_file, missing, open_ring
from stepwell_server.cli.checks import Check, Status
from stepwell_server.cli.places import (
    is_file_name,
    missing_tools,
    sqlite_file,
    unusable_database,
)
from stepwell_server.home import Endpoints, Home
from stepwell_storage.errors import StorageError
from stepwell_storage.open import reach

RESTART: Final = "stepwell down, then stepwell up"
TIMEOUT: Final = 2.0
"""Seconds for a server of models to accept a connection."""
KEYLESS: Final = (FAKE, "openai-compatible")
"""Kinds of providers that need no key."""


def check_file(home: Home, endpoints: Endpoints | None) -> Check:
    """Whether there is a file of settings, and the daemon has read it as it is."""
    file = home.config_file
    try:
        changed = file.stat().st_mtime_ns // 1000
    except FileNotFoundError:
        return Check("settings", Status.OK, f"there is no {file}; defaults and variables hold")
    if endpoints and changed > endpoints.started_at:
        message = f"{file} was changed after the daemon had started"
        return Check("settings", Status.WARN, message, RESTART)
    return Check("settings", Status.OK, str(file))


def check_tools(settings: Settings, set_by: Mapping[str, str]) -> Iterator[Check]:
    """Whether the user's tools are there and are Python; nothing of them is executed."""
    problems = missing_tools(settings, set_by)
    for place in settings.tools.paths:
        if not is_file_name(place) or Path(place).exists():
            problems += _unreadable(place)
    fix = "correct the path or the file, then stepwell down and stepwell up"
    for problem in problems:
        yield Check("tools.paths", Status.FAIL, problem, fix)
    if settings.tools.paths and not problems:
        yield Check("tools.paths", Status.OK, ", ".join(settings.tools.paths))


def check_database(
    settings: Settings, set_by: Mapping[str, str], endpoints: Endpoints | None
) -> Check:
    """Whether the database is where the settings say, and whole; a daemon's is not opened."""
    if problem := unusable_database(settings, set_by):
        return Check("database", Status.FAIL, problem, "correct it there")
    path = sqlite_file(settings)
    if path is None:
        return _check_server(settings.database_url)
    if not path.exists():
        return _no_database(path, endpoints)
    answer = "ok" if endpoints else _quick_check(path)
    if answer != "ok":
        fix = "stop the daemon and restore a backup of the file"
        return Check("database", Status.FAIL, f"{path}: {answer}", fix)
    return Check("database", Status.OK, f"{path} ({path.stat().st_size / 1024**2:.1f} MiB)")


def _check_server(url: str) -> Check:
    shown = redact_url(url)
    try:
        reach(url)
    except StorageError as error:
        fix = "start it, or correct storage.url or DATABASE_URL"
        return Check("database", Status.FAIL, f"{shown}: {error}", fix)
    return Check("database", Status.OK, shown)


def check_models(settings: Settings, environ: Mapping[str, str]) -> Iterator[Check]:
    """Whether each model class leads to a provider with a key; keys are never shown."""
    if not settings.models:
        fix = 'set STEPWELL_MODELS__SMALL, for instance to "openai:gpt-5.4-mini"'
        yield Check("models", Status.WARN, "no model class is bound, so agents cannot run", fix)
    router = ModelRouter(
        settings.models, providers=settings.providers, environ=environ, scripts=settings.home
    )
    for name, bound in settings.models.items():
        provider, _, model = bound.partition(":")
        try:
            router.resolve(DEFAULT_NAMESPACE, name)
            if provider == FAKE:
                FakeProvider(settings.home).load(model)
        except StepwellError as error:
            what, colon, fix = error.message.partition(": ")
            fix = fix if colon else f"correct `models.{name}`, which is {bound}"
            yield Check(f"models.{name}", Status.FAIL, what, fix)
        else:
            key = _about_key(provider, settings.providers.get(provider, ProviderSettings()))
            yield Check(f"models.{name}", Status.OK, f"{bound}{key}")


def check_encryption(settings: Settings, environ: Mapping[str, str]) -> Iterator[Check]:
    """Whether each key of the ring is there, is its owner's alone, and is all the database needs."""
    encryption = settings.encryption
    try:
        ring = open_ring(encryption, environ, home=settings.home)
    except StepwellError as error:
        fix = "correct the setting, or put the key there as the daemon sees it"
        yield Check("encryption", Status.FAIL, error.message, fix)
        return
    for name, reference in encryption.keys.items():
        file = key_file(reference, settings.home)
        if file is not None and os.name == "posix" and file.stat().st_mode & 0o077:
            message, fix = f"others can read {file}", f"chmod 600 {file}"
            yield Check(f"encryption.keys.{name}", Status.WARN, message, fix)
    for name in _rings_in_use(settings):
        if not ring.has(name):
            fix = f"put the key back as encryption.keys.{name}"
            yield Check("encryption", Status.FAIL, missing(name), fix)
            return
    if ring.active:
        yield Check("encryption", Status.OK, f"new data keys are wrapped with {ring.active}")


def _rings_in_use(settings: Settings) -> list[str]:
    """The keys of the ring that a SQLite database needs; [] where it has no such table yet."""
    path = sqlite_file(settings)
    if path is None or not path.exists():
        return []
    rings = "SELECT DISTINCT ring FROM keys WHERE destroyed_at IS NULL"
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return [ring for (ring,) in connection.execute(rings)]
    except sqlite3.Error:
        return []  # what is wrong with the database is said by its own check


def check_providers(settings: Settings) -> Iterator[Check]:
    """Whether somebody listens at each address of a provider."""
    for name, provider in settings.providers.items():
        if not provider.base_url:
            continue
        address = redact_url(provider.base_url)
        if _is_reached(provider.base_url):
            yield Check(f"providers.{name}", Status.OK, f"{address} accepts connections")
        else:
            fix = f"start that server, or correct `providers.{name}.base_url`"
            yield Check(f"providers.{name}", Status.WARN, f"nothing listens at {address}", fix)


def _unreadable(place: str) -> list[str]:
    """A sentence when a place of tools cannot be imported, as far as that is seen from outside."""
    if not is_file_name(place):
        return [] if _is_module(place) else [f"there is no module {place}"]
    try:
        ast.parse(Path(place).read_bytes(), place)
    except SyntaxError as error:
        return [f"{place}, line {error.lineno}: {error.msg}"]
    except (OSError, ValueError) as error:
        return [f"{place} cannot be read: {error}"]
    return []


def _is_module(name: str) -> bool:
    try:
        return find_spec(name.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return False


def _no_database(path: Path, endpoints: Endpoints | None) -> Check:
    if endpoints is None:
        return Check("database", Status.OK, f"{path} will be made by `stepwell up`")
    message = f"{path} is gone, but process {endpoints.pid} serves this home"
    fix = (
        f"if it was started with a DATABASE_URL that this shell lacks, nothing is wrong: set it here "
        f"too. Else {RESTART}, which begins a new database; restore a backup in between if there is one"
    )
    return Check("database", Status.FAIL, message, fix)


def _quick_check(path: Path) -> str:
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return str(answer)


def _about_key(name: str, provider: ProviderSettings) -> str:
    if (provider.kind or name) in KEYLESS and not provider.api_key_env:
        return ""
    return " (key as seen from this shell)"


def _is_reached(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80}.get(parts.scheme, 443)
        socket.create_connection((parts.hostname or "", port), timeout=TIMEOUT).close()
    except (OSError, ValueError):
        return False
    return True
