"""Settings: defaults here, then `config.toml` in the home, then `STEPWELL_SECTION__KEY`, then flags.

The tree is the single source: its fields carry their own description, and the page
`docs/reference/configuration.md`, `stepwell config` and the messages about wrong keys are
made from it. A setting that nobody reads does not belong here.
"""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from stepwell.durations import format_duration, parse_duration
from stepwell.errors import Code, SetupError

PREFIX: Final = "STEPWELL_"
_NAMED: Final = (("providers",), ("toolsets",), ("tools", "servers"), ("tools", "http"))
"""Places below which sections stand that have a name of yours."""
_OPEN: Final = ("mcp.oauth.tools", "mcp.oauth.attributes")
"""Tables of texts that hold no secrets."""
_JSON: Final = frozenset({"query", "body", "input", "output"})
"""Settings of `tools.http.NAME` that are JSON, and not settings below settings."""
CONFIG_FILE: Final = "config.toml"
MCP_PATH: Final = "/mcp"
"""Where MCP is served over HTTP."""
DATABASE_FILE: Final = "stepwell.db"

Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]
Count: TypeAlias = Annotated[int, Meta(ge=1)]
Surface: TypeAlias = Literal["auto", "full", "search"]
"""What of the tools `tools/list` shows."""


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of settings that belong together."""


class ServerSettings(Section, frozen=True):
    """Where the daemon listens, and how it stops."""

    grpc_host: Annotated[str, Meta(description="Address of the gRPC server.")] = "127.0.0.1"
    grpc_port: Annotated[Port, Meta(description="Port of the gRPC server; 0 picks a free one.")] = (
        7420
    )
    http_host: Annotated[str, Meta(description="Address of the HTTP server (`/mcp`, probes).")] = (
        "127.0.0.1"
    )
    http_port: Annotated[Port, Meta(description="Port of the HTTP server; 0 picks a free one.")] = (
        7421
    )
    drain: Annotated[
        timedelta,
        Meta(description="How long calls in flight may take to end when the daemon stops."),
    ] = timedelta(seconds=10)
    idle_timeout: Annotated[
        timedelta,
        Meta(description="A daemon started on demand ends after this long without work."),
    ] = timedelta(minutes=10)


class OAuthSettings(Section, frozen=True):
    """Whose access tokens are taken, besides API keys: those of one OAuth authorization server."""

    issuer: Annotated[
        str,
        Meta(
            description="The authorization server, as its tokens name it; empty takes no access "
            "tokens."
        ),
    ] = ""
    resource: Annotated[
        str,
        Meta(
            description="The URL of `/mcp` as clients see it; empty is that of the page "
            "(`approvals.page_url`) with `/mcp`."
        ),
    ] = ""
    audience: Annotated[
        str,
        Meta(description="The audience that tokens must be for; empty is `mcp.oauth.resource`."),
    ] = ""
    jwks_url: Annotated[
        str,
        Meta(
            description="Where the issuer's public keys are; empty is where its metadata says, on "
            "the host of the issuer."
        ),
    ] = ""
    networks: Annotated[
        tuple[str, ...],
        Meta(
            description="What the issuer's address may be besides a public one: a network in CIDR, "
            "`loopback` or `private`."
        ),
    ] = ()
    namespace: Annotated[
        str, Meta(description="The namespace that bearers of access tokens belong to.")
    ] = "default"
    principal: Annotated[
        str,
        Meta(description="The claim that names a bearer: `agent:` with its value is who asks."),
    ] = "sub"
    attributes: Annotated[
        dict[str, str],
        Meta(
            description="What rules of data know of a bearer: attributes, each by the claim that it "
            "is in."
        ),
    ] = {}
    scopes: Annotated[
        tuple[str, ...], Meta(description="The scopes that every access token must have.")
    ] = ()
    tools: Annotated[
        dict[str, str],
        Meta(
            description="The scopes, with spaces between them, that tools and workflows take whose "
            "names match: `*` is any text, and all that match count."
        ),
    ] = {}


class McpSettings(Section, frozen=True):
    """How MCP clients are answered."""

    wait: Annotated[
        timedelta,
        Meta(description="How long a workflow tool waits for its result before it answers a run."),
    ] = timedelta(seconds=20)
    state_key: Annotated[
        str,
        Meta(
            description="The key that seals what a client carries from one round of a call to the "
            "next, `env:NAME` or `file:PATH`, 32 bytes in base64; empty is one in the home. All "
            "processes that serve the same clients need the same."
        ),
    ] = ""
    hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="Names under which clients reach us over HTTP, without a port, besides those "
            "of this machine, of the page and of `mcp.oauth.resource`."
        ),
    ] = ()
    origins: Annotated[
        tuple[str, ...],
        Meta(
            description="Web sites whose pages may be clients, besides our own: "
            "`https://app.example`, with the port where it is not the usual one."
        ),
    ] = ()
    keyless: Annotated[
        Literal["loopback", "never", ""],
        Meta(
            description="Whether calls over HTTP from this machine need no credential; empty is "
            "`loopback`, and `never` where `mcp.oauth.issuer` is set."
        ),
    ] = ""
    rate: Annotated[
        int,
        Meta(
            ge=0,
            description="Requests a minute of one principal over HTTP; 0 is as many as there are. "
            "Calls from this machine without a credential are not counted.",
        ),
    ] = 6000
    streams: Annotated[
        Count,
        Meta(description="Requests of one principal over HTTP that may be open at a time."),
    ] = 256
    oauth: OAuthSettings = OAuthSettings()
    task_after: Annotated[
        timedelta,
        Meta(
            description="How long a call waits for its result before it becomes a task, for clients "
            "that take tasks; and before others are told that it waits for somebody."
        ),
    ] = timedelta(seconds=2)
    surface: Annotated[
        Surface,
        Meta(
            description="What `tools/list` shows, where a client does not say: every tool, or "
            "`search_tools`, `describe_tools` and `call_tool` instead; `auto` is `search` above "
            "`mcp.most_listed`."
        ),
    ] = "auto"
    most_listed: Annotated[
        Count, Meta(description="The most tools that `tools/list` shows on the surface `auto`.")
    ] = 128


class ToolsetSettings(Section, frozen=True):
    """Tools that MCP clients choose by one name of yours: in a URL, a header or a flag."""

    tools: Annotated[
        tuple[str, ...],
        Meta(
            description="Names of tools and workflows; `*` stands for any letters, `?` for one. "
            "Empty is all."
        ),
    ] = ()
    description: Annotated[str, Meta(description="What it is for.")] = ""
    read_only: Annotated[
        bool, Meta(description="Whether only those of them are in it that read only.")
    ] = False
    surface: Annotated[
        Literal["", "auto", "full", "search"],
        Meta(description="As `mcp.surface`, for clients that choose it; empty is `mcp.surface`."),
    ] = ""


class StorageSettings(Section, frozen=True):
    """Where the log lives."""

    url: Annotated[
        str, Meta(description="The database; empty is SQLite in the home. Also `DATABASE_URL`.")
    ] = ""
    direct_url: Annotated[
        str,
        Meta(
            description="The same PostgreSQL without a pooler before it, for migrations and "
            "`storage.notify`; empty is `storage.url`. Also `DATABASE_URL_DIRECT`."
        ),
    ] = ""
    notify: Annotated[
        Literal["off", "on"],
        Meta(description="Whether processes on one PostgreSQL tell each other of commits at once."),
    ] = "off"
    poll_interval: Annotated[
        timedelta,
        Meta(description="How often PostgreSQL is asked for commits of others, while one waits."),
    ] = timedelta(milliseconds=100)
    max_page_count: Annotated[
        Count | None,
        Meta(description="Caps the SQLite file at this many pages of 4 KiB, as a full disk would."),
    ] = None


class LimitSettings(Section, frozen=True):
    """What is refused with LIMIT_EXCEEDED before anything breaks."""

    inline_bytes: Annotated[
        Count, Meta(description="Arguments and results above this become blobs beside the log.")
    ] = 16 * 1024
    blob_bytes: Annotated[Count, Meta(description="The largest argument or result.")] = (
        64 * 1024 * 1024
    )
    history_events: Annotated[Count, Meta(description="The most events that one run may have.")] = (
        1_000_000
    )
    child_depth: Annotated[
        Count, Meta(description="How many runs may be above one that another has started.")
    ] = 16


class McpServerSettings(Section, frozen=True):
    """One MCP server whose tools are offered, by a name of yours: a program, or a URL."""

    command: Annotated[str, Meta(description="The program that is started; no shell is used.")] = ""
    args: Annotated[
        tuple[str, ...], Meta(description="Its arguments; each may hold `secret://` references.")
    ] = ()
    cwd: Annotated[str, Meta(description="The folder that it is started in.")] = ""
    env: Annotated[
        dict[str, str],
        Meta(
            description="A variable that it gets besides the usual few (`PATH`, `HOME`, ...), which "
            "may hold `secret://` references."
        ),
    ] = {}
    url: Annotated[
        str, Meta(description="Where a remote server is (Streamable HTTP), instead of `command`.")
    ] = ""
    headers: Annotated[
        dict[str, str],
        Meta(description="A header of every request, which may hold `secret://` references."),
    ] = {}
    networks: Annotated[
        tuple[str, ...],
        Meta(
            description="What a remote server's address may be besides a public one: a network in "
            "CIDR, `loopback` or `private`."
        ),
    ] = ()
    enabled: Annotated[bool, Meta(description="Whether it is used.")] = True
    names: Annotated[
        Literal["keep", "prefix"],
        Meta(description="Whether its tools keep their names, or get the server's before them."),
    ] = "keep"
    tools: Annotated[
        tuple[str, ...], Meta(description="The only tools to offer, by its names; empty is all.")
    ] = ()
    labels: Annotated[
        tuple[str, ...], Meta(description="What everything that its tools answer is labelled with.")
    ] = ()
    timeout: Annotated[timedelta, Meta(description="How long one call may take.")] = timedelta(
        minutes=1
    )
    start_timeout: Annotated[
        timedelta, Meta(description="How long it may take to start, and to list its tools.")
    ] = timedelta(minutes=1)
    rate: Annotated[
        int, Meta(ge=0, description="Calls a minute of one tool; 0 is as many as there are.")
    ] = 0
    max_result: Annotated[
        Count, Meta(description="Bytes of one result; the rest is cut, and that is told.")
    ] = 256 * 1024


class HttpToolSettings(Section, frozen=True):
    """One HTTP request as a tool, by the name of the tool.

    `{name}` in a text stands for the argument of that name.
    """

    url: Annotated[str, Meta(description="Where it goes; arguments in it are escaped.")] = ""
    description: Annotated[
        str, Meta(description="What it does, for the model that chooses it.")
    ] = ""
    title: Annotated[str, Meta(description="Its name for people.")] = ""
    method: Annotated[
        Literal["GET", "POST", "PUT", "PATCH", "DELETE"], Meta(description="How it is asked.")
    ] = "GET"
    headers: Annotated[
        dict[str, str],
        Meta(description="A header of the request, which may hold `secret://` references."),
    ] = {}
    query: Annotated[
        dict[str, Any],
        Meta(description="The query; what only stands for an argument not given is left out."),
    ] = {}
    body: Annotated[
        Any, Meta(description='The JSON that is sent; `"{name}"` is the argument as it is.')
    ] = None
    input: Annotated[
        dict[str, Any],
        Meta(description="The JSON Schema of its arguments; without it each is required."),
    ] = {}
    output: Annotated[dict[str, Any], Meta(description="The JSON Schema of its result.")] = {}
    result: Annotated[
        str, Meta(description="A JSON Pointer to what of the answer is the result: `/data/0`.")
    ] = ""
    hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="Hosts that it may reach besides that of `url`: `name`, `name:port`, `*.name`."
        ),
    ] = ()
    networks: Annotated[
        tuple[str, ...],
        Meta(
            description="What an address may be besides a public one: a network in CIDR, `loopback` "
            "or `private`."
        ),
    ] = ()
    read_only: Annotated[
        bool | None, Meta(description="Whether it changes nothing; a GET does not, if not said.")
    ] = None
    destructive: Annotated[
        bool | None, Meta(description="Whether what it changes may be lost.")
    ] = None
    idempotent: Annotated[
        bool | None,
        Meta(description="Whether a repeat does no harm; GET, PUT and DELETE, if not said."),
    ] = None
    published: Annotated[bool, Meta(description="Whether MCP clients are offered it.")] = True
    labels: Annotated[
        tuple[str, ...], Meta(description="What everything that it answers is labelled with.")
    ] = ()
    timeout: Annotated[timedelta, Meta(description="How long one call may take.")] = timedelta(
        seconds=30
    )
    retries: Annotated[
        int,
        Meta(ge=0, le=10, description="How often it is tried again where a repeat does no harm."),
    ] = 2
    rate: Annotated[int, Meta(ge=0, description="Calls a minute; 0 is as many as there are.")] = 0
    max_result: Annotated[
        Count, Meta(description="Bytes of one answer; the rest is cut, and that is told.")
    ] = 256 * 1024


class ToolSettings(Section, frozen=True):
    """Your own Python tools, and those of MCP servers."""

    paths: Annotated[
        tuple[str, ...],
        Meta(description="Files or modules to load tools from; files relative to the home."),
    ] = ()
    processes: Annotated[
        Count, Meta(description="The most worker processes for tools that are not async.")
    ] = 4
    question_expires: Annotated[
        timedelta,
        Meta(description="How long a question of a tool can be answered, where it does not say."),
    ] = timedelta(days=7)
    servers: dict[str, McpServerSettings] = {}
    http: dict[str, HttpToolSettings] = {}


class DatasourceSettings(Section, frozen=True):
    """What one query of a datasource may take."""

    timeout: Annotated[timedelta, Meta(description="How long a statement may take.")] = timedelta(
        seconds=10
    )
    rows: Annotated[
        Count, Meta(le=10_000, description="The most rows that a query may bring back.")
    ] = 1000
    most_cost: Annotated[
        float,
        Meta(
            ge=0,
            description="What PostgreSQL may expect a query to cost (EXPLAIN); 0 is as much as it "
            "likes.",
        ),
    ] = 0
    most_plan_rows: Annotated[
        int,
        Meta(
            ge=0,
            description="The most rows that a part of a plan may expect on PostgreSQL; 0 is as many "
            "as it likes.",
        ),
    ] = 0


class WorkerSettings(Section, frozen=True):
    """How this process works on runs."""

    lease: Annotated[
        timedelta,
        Meta(description="How long a run stays with a process that gives no sign of life."),
    ] = timedelta(seconds=4)
    poll: Annotated[
        timedelta,
        Meta(description="How often a process looks for what others have left for it."),
    ] = timedelta(milliseconds=500)


class EncryptionSettings(Section, frozen=True):
    """Encryption of what is kept beside the log."""

    keys: Annotated[
        dict[str, str],
        Meta(
            description="A key of your ring and where it is: `env:NAME` or `file:PATH`, 32 bytes in "
            "base64. No key, no encryption."
        ),
    ] = {}
    active: Annotated[str, Meta(description="The key of the ring that wraps new data keys.")] = ""
    lost: Annotated[
        tuple[str, ...],
        Meta(description="Keys of the ring that are gone for good: what they protect is erased."),
    ] = ()
    subject_label: Annotated[
        str,
        Meta(
            description="The label of a run that says whose data it holds. Such runs share one data "
            "key by its value, and keep no value in their events."
        ),
    ] = ""


class SecretSettings(Section, frozen=True):
    """The local store of secrets, `secret://store/NAME`; see `stepwell secrets`."""

    key: Annotated[
        Literal["file", "keyring"],
        Meta(
            description="Where the key of the store is: a file of the home that only its owner may "
            "read, or the keyring of the system."
        ),
    ] = "file"


class RetentionSettings(Section, frozen=True):
    """How ended runs are deleted that nobody wants to keep; see `stepwell retention`."""

    every: Annotated[
        timedelta,
        Meta(description="How often runs are looked for whose time is over."),
    ] = timedelta(minutes=1)


class AuditSettings(Section, frozen=True):
    """How the audit log vouches for the event log; see `stepwell audit`."""

    every: Annotated[
        timedelta,
        Meta(description="How often new events are vouched for: until then nothing protects them."),
    ] = timedelta(seconds=1)


class ApprovalSettings(Section, frozen=True):
    """How people are asked, and how they prove that it is they."""

    page_url: Annotated[
        str,
        Meta(
            description="Where people reach the page, as their browsers see it; empty is "
            "`http://localhost` with `server.http_port`. Passkeys are bound to it."
        ),
    ] = ""
    factor_key: Annotated[
        str,
        Meta(
            description="The key that seals factors, `env:NAME` or `file:PATH`, 32 bytes in base64; "
            "empty is one in the keyring of the system, else in the home. All processes on one "
            "database need the same."
        ),
    ] = ""
    notify: Annotated[
        str,
        Meta(
            description="How people are told that something waits: `desktop`, or the URL of a "
            "webhook; empty tells nobody."
        ),
    ] = ""
    notify_key: Annotated[
        str,
        Meta(
            description="The key that signs what goes to the webhook, `env:NAME` or `file:PATH`, 32 "
            "bytes in base64."
        ),
    ] = ""
    notify_networks: Annotated[
        tuple[str, ...],
        Meta(
            description="What of the networks that are not public the webhook may be in: a network, "
            "`loopback` or `private`."
        ),
    ] = ()


class NldbSettings(Section, frozen=True):
    """Questions in plain words about datasources."""

    mask_key: Annotated[
        str,
        Meta(
            description="The key of the mask `hash`, `env:NAME` or `file:PATH`, 32 bytes in base64; "
            "empty is one in the home. All processes over one database need the same."
        ),
    ] = ""
    model: Annotated[
        str,
        Meta(
            description="The class of `models`, or `provider:model`, that understands what "
            "patterns and verified queries do not. Without one no model is asked."
        ),
    ] = ""


class ProviderSettings(Section, frozen=True):
    """One provider of models, by the name that `provider:model` uses."""

    kind: Annotated[
        Literal["openai", "openai-compatible", "anthropic", "google", ""],
        Meta(description="What it speaks; empty when the name says it."),
    ] = ""
    base_url: Annotated[str, Meta(description="Where it is; empty is the provider's own.")] = ""
    api_key_env: Annotated[
        str, Meta(description="The variable that holds its key; empty is the provider's own.")
    ] = ""
    timeout: Annotated[timedelta, Meta(description="How long one call may take.")] = timedelta(
        minutes=2
    )
    structured_output: Annotated[
        bool,
        Meta(
            description="Whether it takes a JSON Schema for its answer, beside tools too; where "
            "`false`, the schema is told in words. Answers are checked in any case."
        ),
    ] = True


class Settings(Struct, frozen=True, kw_only=True):
    """Everything that can be set. `home` is the folder that all of it is about."""

    home: Path
    server: ServerSettings = ServerSettings()
    mcp: McpSettings = McpSettings()
    storage: StorageSettings = StorageSettings()
    limits: LimitSettings = LimitSettings()
    tools: ToolSettings = ToolSettings()
    datasources: DatasourceSettings = DatasourceSettings()
    toolsets: dict[str, ToolsetSettings] = {}
    worker: WorkerSettings = WorkerSettings()
    retention: RetentionSettings = RetentionSettings()
    audit: AuditSettings = AuditSettings()
    encryption: EncryptionSettings = EncryptionSettings()
    secrets: SecretSettings = SecretSettings()
    approvals: ApprovalSettings = ApprovalSettings()
    nldb: NldbSettings = NldbSettings()
    models: Annotated[
        dict[str, str],
        Meta(description="A model class (`small`) and what it is bound to: `provider:model`."),
    ] = {}
    providers: dict[str, ProviderSettings] = {}
    prices: Annotated[
        dict[str, str],
        Meta(
            description="What `provider:model` costs, where it is not known or other: dollars for a "
            "million tokens of input and output, `2.50/15`. A `*` is any."
        ),
    ] = {}

    @property
    def database_url(self) -> str:
        """The database: what was set, else SQLite in the home."""
        return self.storage.url or f"sqlite:///{(self.home / DATABASE_FILE).as_posix()}"

    def page_url(self, http_port: int | None = None) -> str:
        """Where people reach the page, without a slash at the end.

        `http_port` is where HTTP is served, where that is not what the settings say. Not by number
        where it is this machine: browsers bind passkeys to names only.
        """
        port = self.server.http_port if http_port is None else http_port
        return self.approvals.page_url.rstrip("/") or f"http://localhost:{port}"

    def mcp_url(self, http_port: int | None = None) -> str:
        """Where MCP clients reach us over HTTP."""
        return self.mcp.oauth.resource or self.page_url(http_port) + MCP_PATH


class Setting(Struct, frozen=True, kw_only=True):
    """One line of the reference: `key` is `section.name`, `*` stands for a name of yours."""

    key: str
    kind: str
    default: Any
    description: str


def load_settings(
    home: Path,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """The settings of a home; `overrides` are flags, by key (`server.grpc_port`).

    Raises:
        SetupError: INVALID_CONFIG; it names the file, variable or flag, what is wrong with
            it, and the nearest valid key.
    """
    tree: dict[str, Any] = {}
    for origin, key, value in _layers(home, environ or {}, overrides or {}):
        _put(tree, origin, key, value)
    if paths := tree.get("tools", {}).get("paths"):
        tree["tools"]["paths"] = tuple(_located(path, home) for path in paths)
    return Settings(
        home=home,
        **{name: msgspec.convert(value, _hints(Settings)[name]) for name, value in tree.items()},
    )


def origins(
    home: Path, environ: Mapping[str, str], overrides: Mapping[str, object]
) -> dict[str, str]:
    """The keys that somebody has set, each with the file, variable or flag that holds.

    Raises:
        SetupError: as `load_settings`.
    """
    return {".".join(key): origin for origin, key, _ in _layers(home, environ, overrides)}


def reference() -> list[Setting]:
    """Every setting there is, in the order of the tree."""
    rows: list[Setting] = []
    for section, hint in _hints(Settings).items():
        if isinstance(hint, type) and issubclass(hint, Section):
            rows += _rows(hint, section)
        elif (named := _section_named(hint)) is not None:
            rows += _rows(named, f"{section}.*")
        elif section != "home":
            rows.append(_row(section, hint, {}))
    return rows


def effective(settings: Settings) -> dict[str, Any]:
    """Every setting with its value, by key, fit to be printed: passwords are blotted out."""
    found: dict[str, Any] = {}
    for section in Settings.__struct_fields__:
        value = getattr(settings, section)
        if isinstance(value, Section):
            found |= _values(value, section)
        elif isinstance(value, dict):
            for name, item in value.items():
                key = f"{section}.{name}"
                found |= _values(item, key) if isinstance(item, Section) else {key: item}
    found["storage.url"] = redact_url(settings.database_url)
    return found


def redact_url(url: str) -> str:
    """The URL without its password and without its query, where drivers put keys.

    Nothing is parsed, so that a URL that is none, or a password that is not quoted, is no
    reason to show a secret.
    """
    scheme, slashes, rest = url.partition("://")
    if not slashes:
        scheme, rest = "", url
    user, at, place = rest.rpartition("@")
    name, colon, _ = user.partition(":")
    secret = ":***" if colon else ""
    place, mark, _ = place.partition("?")
    return f"{scheme}{slashes}{name}{secret}{at}{place}{'?***' if mark else ''}"


# --- layers ---------------------------------------------------------------------------------


def _layers(
    home: Path, environ: Mapping[str, str], overrides: Mapping[str, object]
) -> Iterator[tuple[str, tuple[str, ...], object]]:
    """(origin, key, value), weakest first; the origin is what a person can go and change."""
    yield from _file(home / CONFIG_FILE)
    for name, key in (("DATABASE_URL", "url"), ("DATABASE_URL_DIRECT", "direct_url")):
        if url := environ.get(name):
            yield name, ("storage", key), url
    for name in sorted(environ):
        if name.startswith(PREFIX):
            yield from _variable(name, environ[name])
    for key, value in overrides.items():
        yield _flag(key), tuple(key.split(".")), value


def _flag(key: str) -> str:
    name = "tools" if key == "tools.paths" else key.rpartition(".")[2]
    return f"--{name.replace('_', '-')}"


def _file(path: Path) -> Iterator[tuple[str, tuple[str, ...], object]]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise _invalid(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise _invalid(f"{path} is not valid TOML: {error}") from error
    yield from ((str(path), key, value) for key, value in _leaves(document, ()))


def _leaves(value: object, key: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    is_json = key[:2] == ("tools", "http") and len(key) == 4 and key[3] in _JSON
    if is_json or not isinstance(value, dict):
        yield key, value
        return
    for name, item in value.items():
        yield from _leaves(item, (*key, name))


def _variable(name: str, text: str) -> Iterator[tuple[str, tuple[str, ...], object]]:
    """A variable with `__` is a setting; one that lacks it and looks like a setting is an error.

    Others (`STEPWELL_HOME`) are not settings.
    """
    bare = name.removeprefix(PREFIX).lower()
    if "__" in bare:
        yield name, tuple(bare.split("__")), text
        return
    section, _, rest = bare.partition("_")
    if section in Settings.__struct_fields__ and section != "home" and rest:
        raise _invalid(
            f"{name} is not a setting; did you mean {PREFIX}{section.upper()}__{rest.upper()}?"
        )


# --- one value ------------------------------------------------------------------------------


def _put(tree: dict[str, Any], origin: str, key: tuple[str, ...], value: object) -> None:
    hint = _hint_of(origin, key)
    try:
        parsed = _parse(value, hint)
    except ValueError as error:
        raise _invalid(f"{origin}: `{'.'.join(key)}`: {error} (it is {value!r})") from error
    for part in key[:-1]:
        tree = tree.setdefault(part, {})
    tree[key[-1]] = parsed


def _parse(value: object, hint: Any) -> object:
    """One value of its type; text, as variables and flags give it, is read for what it says.

    Raises:
        ValueError: it is not of that type (msgspec's ValidationError is one).
    """
    bare = _bare(hint)
    if bare is timedelta and not isinstance(value, timedelta):
        return parse_duration(str(value))
    if get_origin(bare) is Literal and value not in get_args(bare):
        raise ValueError(f"must be one of {', '.join(filter(None, get_args(bare)))}")
    if isinstance(value, str) and get_origin(bare) is tuple:
        value = [part.strip() for part in value.split(",") if part.strip()]
    return msgspec.convert(value, hint, strict=not isinstance(value, str))


def _hint_of(origin: str, key: tuple[str, ...]) -> Any:
    """The type of a setting.

    Raises:
        SetupError: there is none of that name; the nearest ones are named.
    """
    hint: Any = Settings
    for part in key if key[0] != "home" else ():
        bare = _bare(hint)
        if get_origin(bare) is dict:
            hint = get_args(bare)[1]
        elif _is_section(bare):
            hint = _hints(bare).get(part)
        else:
            hint = None
        if hint is None:
            break
    bare = _bare(hint)
    is_json = bare is Any or bare == dict[str, Any]
    if is_json or (bare is not None and not _is_section(bare) and get_origin(bare) is not dict):
        return hint
    raise _invalid(f"{origin}: there is no setting `{'.'.join(key)}`{_nearest(key)}")


def _is_section(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Section | Settings)


def _nearest(key: tuple[str, ...]) -> str:
    known = [row.key for row in reference()]
    mine, named = list(key), "*"
    at = next((len(place) for place in _NAMED if key[: len(place)] == place), 0)
    if at and len(key) > at + 1:
        mine[at], named = "*", key[at]
    near = difflib.get_close_matches(".".join(mine), known, n=1, cutoff=0.5)
    if not near:
        sections = ", ".join(name for name in Settings.__struct_fields__ if name != "home")
        return f"; the sections are {sections}"
    return f"; did you mean `{near[0].replace('*', named, 1)}`?"


# --- the tree as a table --------------------------------------------------------------------


def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


def _rows(cls: type[Section], prefix: str) -> list[Setting]:
    default, rows = cls(), list[Setting]()
    for name, hint in _hints(cls).items():
        named = _section_named(hint)
        if named is not None:
            rows += _rows(named, f"{prefix}.{name}.*")
        elif _is_section(hint):
            rows += _rows(hint, f"{prefix}.{name}")
        else:
            rows.append(_row(f"{prefix}.{name}", hint, getattr(default, name)))
    return rows


def _section_named(hint: Any) -> type[Section] | None:
    """The section of which there is one for each name; None where a setting holds no sections."""
    bare = _bare(hint)
    if get_origin(bare) is dict and _is_section(get_args(bare)[1]):
        section: type[Section] = get_args(bare)[1]
        return section
    return None


def _row(key: str, hint: Any, default: object) -> Setting:
    if _bare(hint) == dict[str, str]:
        return Setting(key=f"{key}.*", kind="text", default="", description=_about(hint))
    return Setting(key=key, kind=_kind(hint), default=_plain(default), description=_about(hint))


def _values(section: Section, prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in section.__struct_fields__:
        value = getattr(section, name)
        if isinstance(value, Section):
            found |= _values(value, f"{prefix}.{name}")
        elif isinstance(value, dict) and any(isinstance(one, Section) for one in value.values()):
            for one, inner in value.items():
                found |= _values(inner, f"{prefix}.{name}.{one}")
        elif isinstance(value, dict):
            is_open = f"{prefix}.{name}" in _OPEN
            found |= {
                f"{prefix}.{name}.{one}": text if is_open else _place(text)
                for one, text in value.items()
            }
        else:
            found[f"{prefix}.{name}"] = _shown(value)
    return found


def _place(reference: str) -> str:
    """Where a secret is; what is no such place may be the secret itself."""
    return reference if reference.startswith(("env:", "file:", "secret://")) else "***"


def _plain(value: object) -> Any:
    return format_duration(value) if isinstance(value, timedelta) else value


def _shown(value: object) -> Any:
    return redact_url(value) if isinstance(value, str) and "://" in value else _plain(value)


def _bare(hint: Any) -> Any:
    """The type, without what is said about it."""
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _about(hint: Any) -> str:
    texts = [m.description for m in get_args(hint)[1:] if isinstance(m, Meta) and m.description]
    return texts[-1] if texts else ""


def _kind(hint: Any) -> str:
    bare = _bare(hint)
    if get_origin(bare) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(bare) if choice)
    names = {
        str: "text",
        bool: "true or false",
        timedelta: "duration",
        tuple[str, ...]: "list of text",
        bool | None: "true or false",
        dict[str, Any]: "table",
        Any: "any value",
    }
    return names.get(bare, "number")


def _located(path: str, home: Path) -> str:
    """A file as seen from the home; a module's name as it is."""
    return str(home / Path(path).expanduser()) if path.endswith(".py") or "/" in path else path


def _invalid(message: str) -> SetupError:
    return SetupError(message, code=Code.INVALID_CONFIG)
