"""Sets of words that read as a text."""


def words(text: str) -> frozenset[str]:
    """The words of the text."""
    return frozenset(text.split())
