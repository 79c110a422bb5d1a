"""How things are named in a document: what a name may look like, and which are taken."""

from stepwell.definitions.shapes import Text

RESERVED_IDS = frozenset(
    # what expressions see besides the nodes, everywhere or in some places
    {"input", "run", "item", "index", "last", "output"}
    # what `on_error` may say besides an id (`continue` is a word of CEL as well)
    | {"fail"}
    # the reserved words of CEL
    | {"as", "break", "const", "continue", "else", "false", "for", "function", "if", "import"}
    | {"in", "let", "loop", "namespace", "null", "package", "return", "true", "var", "void"}
    | {"while"}
    # its types, and the roots of its own functions
    | {"bool", "bytes", "double", "dyn", "int", "list", "map", "null_type", "string", "type"}
    | {"uint", "cel", "google", "math", "optional", "strings"}
)

BUILT_IN = frozenset({"call"})
"""Workflows that Stepwell brings along; see `stepwell.definitions.builtin`."""

_NAME = "^[a-z][a-z0-9_-]{0,62}$"
_NAME_RULE = "small letters, digits, _ and -, a letter first, at most 63"
_ID = "^[a-z][a-z0-9_]{0,62}$"

WORKFLOW_NAME = Text(f"a name: {_NAME_RULE}", pattern=_NAME, reserved=BUILT_IN)
CHILD_NAME = Text(
    f"the name of a workflow: {_NAME_RULE}",
    pattern=_NAME,
    reserved=BUILT_IN,
    instead="call the tool with a tool node",
)
WORKFLOW_VERSION = Text(
    "a version: sha256: and 64 digits of base 16", pattern="^sha256:[0-9a-f]{64}$"
)
AGENT_NAME = Text(f"the name of an agent: {_NAME_RULE}", pattern=_NAME)
QUEUE_NAME = Text(f"the name of a queue: {_NAME_RULE}", pattern=_NAME)
MODEL_NAME = Text("the name of a model or a model class", pattern=r"^[^=\s]\S{0,255}$")
TOOL_NAME = Text(
    "the name of a tool: letters, digits, _ . - and /, at most 128",
    pattern="^[A-Za-z0-9_./-]{1,128}$",
)
SIGNAL_NAME = Text(
    "the name of a signal: small letters, digits, _ . and -, a letter first, at most 64",
    pattern="^[a-z][a-z0-9_.-]{0,63}$",
)
NEW_ID = Text(
    "an id: small letters, digits and _, a letter first, at most 63",
    pattern=_ID,
    reserved=RESERVED_IDS,
)
NODE_ID = Text("the id of a node", pattern=_ID)
ON_ERROR = Text("fail, continue or the id of a node", pattern=_ID)
