"""Tools that ask back while they run: the user, his client's model, his client's folders."""

from collections.abc import Mapping
from typing import Any, Final

from stepwell import Question, Reply, ask, ask_all, tool

NAME: Final = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
}
COLOR: Final = {
    "type": "object",
    "properties": {"color": {"type": "string"}},
    "required": ["color"],
}
CONFIRM: Final = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}},
    "required": ["ok"],
}
CONTACT: Final = {
    "type": "object",
    "properties": {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    },
    "required": ["username", "email"],
}
DEFAULTS: Final = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {
            "type": "string",
            "enum": ["active", "inactive", "pending"],
            "default": "active",
        },
        "verified": {"type": "boolean", "default": True},
    },
}
ENUMS: Final = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {
            "type": "string",
            "oneOf": [
                {"const": "value1", "title": "First Option"},
                {"const": "value2", "title": "Second Option"},
                {"const": "value3", "title": "Third Option"},
            ],
        },
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {
            "type": "array",
            "items": {"type": "string", "enum": ["option1", "option2", "option3"]},
        },
        "titledMulti": {
            "type": "array",
            "items": {
                "anyOf": [
                    {"const": "value1", "title": "First Choice"},
                    {"const": "value2", "title": "Second Choice"},
                    {"const": "value3", "title": "Third Choice"},
                ]
            },
        },
    },
}
FOLDERS: Final = Question(kind="roots")


def _prompted(text: str, tokens: int = 100) -> Question:
    """A question to the model of the client."""
    message = {"role": "user", "content": {"type": "text", "text": text}}
    return Question(kind="sampling", params={"messages": [message], "maxTokens": tokens})


def _said(reply: Reply) -> str:
    """What a model answered."""
    return str(reply.content["content"]["text"]) if reply.is_accepted else reply.action


def _field(reply: Reply, name: str) -> str:
    """What somebody filled in."""
    content: Mapping[str, Any] = reply.content or {}
    return str(content.get(name, reply.action))


@tool(read_only=True)
async def test_sampling(prompt: str) -> str:
    """Has the model of the client answer."""
    replies = await ask_all({"answer": _prompted(prompt)})
    return f"LLM response: {_said(replies['answer'])}"


@tool(read_only=True)
async def test_missing_capability() -> str:
    """Needs the model of the client."""
    return _said((await ask_all({"answer": _prompted("Are you there?")}))["answer"])


@tool(read_only=True)
async def test_elicitation(message: str) -> str:
    """Asks the user for a name and an address."""
    reply = await ask(message, schema=CONTACT)
    return f"User response: action={reply.action}, content={reply.content}"


@tool(read_only=True)
async def test_elicitation_sep1034_defaults() -> str:
    """Asks with a value for each field."""
    reply = await ask("Please check these", schema=DEFAULTS)
    return f"Elicitation completed: action={reply.action}, content={reply.content}"


@tool(read_only=True)
async def test_elicitation_sep1330_enums() -> str:
    """Asks for one of several, and for several of several."""
    reply = await ask("Please choose", schema=ENUMS)
    return f"Elicitation completed: action={reply.action}, content={reply.content}"


@tool(read_only=True)
async def test_streaming_elicitation() -> str:
    """Asks the user whether to go on."""
    return (await ask("Go on?", schema=CONFIRM, key="confirm")).action


@tool(read_only=True)
async def test_input_required_result_elicitation() -> str:
    """Asks the user for a name."""
    reply = await ask("What is your name?", schema=NAME, key="user_name")
    return f"Hello, {_field(reply, 'name')}!"


@tool(read_only=True)
async def test_input_required_result_sampling() -> str:
    """Asks the model of the client."""
    replies = await ask_all({"capital_question": _prompted("What is the capital of France?")})
    return _said(replies["capital_question"])


@tool(read_only=True)
async def test_input_required_result_list_roots() -> str:
    """Asks the client which folders are open."""
    reply = (await ask_all({"client_roots": FOLDERS}))["client_roots"]
    return ", ".join(root["uri"] for root in reply.content["roots"])


@tool(read_only=True)
async def test_input_required_result_request_state() -> str:
    """Asks the user to confirm."""
    await ask("Please confirm", schema=CONFIRM, key="confirm")
    return "state-ok"


@tool(read_only=True)
async def test_input_required_result_tampered_state() -> str:
    """Asks the user to confirm, and goes on only with the state that it was asked with."""
    await ask("Please confirm", schema=CONFIRM, key="confirm")
    return "state-ok"


@tool(read_only=True)
async def test_input_required_result_multiple_inputs() -> str:
    """Asks the user, the model and the client at once."""
    replies = await ask_all(
        {
            "user_name": Question("What is your name?", schema=NAME),
            "greeting": _prompted("Generate a greeting", 50),
            "client_roots": FOLDERS,
        }
    )
    roots = replies["client_roots"].content["roots"]
    return (
        f"{_said(replies['greeting'])} {_field(replies['user_name'], 'name')}, {len(roots)} roots"
    )


@tool(read_only=True)
async def test_input_required_result_multi_round() -> str:
    """Asks the user one thing after the other."""
    name = await ask("Step 1: What is your name?", schema=NAME, key="step1")
    color = await ask("Step 2: What is your favorite color?", schema=COLOR, key="step2")
    return f"{_field(name, 'name')} likes {_field(color, 'color')}"


@tool(read_only=True)
async def test_input_required_result_capabilities() -> str:
    """Asks whoever can answer."""
    replies = await ask_all(
        {
            "user_name": Question("What is your name?", schema=NAME),
            "greeting": _prompted("Generate a greeting", 50),
        }
    )
    return f"{_said(replies['greeting'])} {_field(replies['user_name'], 'name')}"
