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
