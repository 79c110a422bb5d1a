"""A document under examination: what it says, and what is wrong with it."""

from stepwell.definitions.loader import Document
from stepwell.definitions.problems import START, Path, Place, Report


class Sheet:
    """A document under examination: what it says, and what is wrong with it."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.report = Report(document.problems)

    def wrong(self, path: Path, message: str, hint: str = "") -> None:
        """Notes a problem with the value at a path."""
        self.report.add(self.place(path), path, message, hint)

    def wrong_key(self, path: Path, message: str, hint: str = "") -> None:
        """Notes a problem with the key that ends a path."""
        self.report.add(self.document.keys.get(path, START), path, message, hint)

    def place(self, path: Path) -> Place:
        """Where a value stands."""
        return self.document.values.get(path, START)
