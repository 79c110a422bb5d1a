"""Words of others as an event can hold them: encodable, and not without end."""

MAX_WORDS = 4096
"""Characters that are kept of what a tool, a model or a database said."""

_CUT = "… ({} characters left out)"


def encodable(text: str) -> str:
    """The text, with a question mark for each lone surrogate: UTF-8 has no bytes for those."""
    return text.encode("utf-8", "replace").decode()


def bounded(text: str, limit: int = MAX_WORDS) -> str:
    """The text in at most `limit` characters, encodable; what is cut off is counted in its end."""
    if len(text) <= limit:
        return encodable(text)
    kept = limit - len(_CUT.format(len(text)))
    return encodable(text[:kept]) + _CUT.format(len(text) - kept)


def refusal(reason: str, remedy: str) -> str:
    """Why policy refused something, and what would change that."""
    return f"{reason}; what would change it: {remedy}" if reason and remedy else reason or remedy


def said_no(by: str, reason: str) -> str:
    """That a person has refused something, and why."""
    return f"{by} said no: {reason}" if reason else f"{by} said no"


NOBODY_ANSWERED = "nobody answered in time"
