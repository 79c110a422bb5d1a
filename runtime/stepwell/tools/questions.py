"""What a tool asks of the person behind its caller, or of that person's client; and what comes back."""

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec
from msgspec import Struct

Kind: TypeAlias = Literal["form", "url", "sampling", "roots"]
Action: TypeAlias = Literal["accept", "decline", "cancel"]

KINDS: Final = frozenset(get_args(Kind))
KEY_LENGTH: Final = 64
"""Characters that the name of a question may have."""
MOST_AT_ONCE: Final = 32
"""Questions that a call may ask at once."""


class Question(Struct, frozen=True):
    """One question. `kind` is who answers it, and how.

    `form`: the person fills in the fields of `schema`, a JSON Schema of an object whose properties
    are strings, numbers, booleans or enums. `url`: he visits a page, and says when he has.
    `sampling` and `roots` are answered by the client itself, with its model or with the folders that
    are open; `params` is what MCP has for them. Nobody can answer any more after `expires`.
    """

    message: str = ""
    kind: Kind = "form"
    schema: Mapping[str, Any] | None = None
    url: str = ""
    params: Mapping[str, Any] = {}
    expires: timedelta | None = None

    @property
    def is_for_client(self) -> bool:
        """Whether the client answers it, and no person can."""
        return self.kind in ("sampling", "roots")

    @property
    def digest(self) -> str:
        """Names what is asked."""
        said = (self.kind, self.message, self.schema, self.url, self.params)
        return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()[:12]


class Reply(Struct, frozen=True):
    """What was done with a question: `accept`, with what was asked for; `decline`; or `cancel`.

    It is cancelled where the person would not say either, and where nobody answered in time. The
    `content` of a form has its fields, of `sampling` and `roots` what MCP has for an answer.
    """

    action: Action
    content: Any = None

    @property
    def is_accepted(self) -> bool:
        """Whether there is an answer."""
        return self.action == "accept"


def check_question(key: str, question: Question) -> None:
    """Refuses what nobody could be asked.

    Raises:
        TypeError: the message says what to write instead.
    """
    if not isinstance(question, Question):
        raise TypeError(f"the question {key!r} is a {type(question).__name__}, not a Question")
    if not 0 < len(key) <= KEY_LENGTH or not key.isprintable():
        raise TypeError(f"the name of a question has 1 to {KEY_LENGTH} characters, {key!r} has not")
    if question.kind not in KINDS:
        raise TypeError(f"{question.kind!r} is no kind of question; there are {', '.join(KINDS)}")
    if question.kind in ("form", "url") and not question.message:
        raise TypeError(f"the question {key!r} has no message, so nobody would know what is asked")
    if question.kind == "url" and not question.url.startswith(("https://", "http://")):
        raise TypeError(f"the question {key!r} needs the url of a page, as https://example.com/")
    if question.schema is not None and question.schema.get("type") != "object":
        raise TypeError(f"the schema of the question {key!r} must be of an object, with properties")
    if question.expires is not None and question.expires <= timedelta(0):
        raise TypeError(f"the question {key!r} would expire before it is asked")
