"""What is wrong with a definition, and where."""

from msgspec import Struct


class Problem(Struct, frozen=True, kw_only=True):
    """One problem: where (1-based), what, and what would be right."""

    line: int
    column: int
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.line}:{self.column}: {self.path}: {self.message}"
        return f"{text}; {self.hint}" if self.hint else text
