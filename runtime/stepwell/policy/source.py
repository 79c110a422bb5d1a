"""The text of Cedar policies, cut into tokens and rules: what Cedar does not tell is where.

Also what keeps Cedar's own parser from harm: text that lies too deep ends the process.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from stepwell.policy.problems import PolicyProblem

MAX_SOURCE: Final = 4 * 1024 * 1024
"""Bytes of all the files of a policy together."""

MAX_RULES: Final = 10_000
MAX_RULE: Final = 4000
"""Tokens of one rule."""

MAX_NESTING: Final = 32
"""Brackets inside one another."""

_TOKEN: Final = re.compile(
    r"""(?P<blank>[\s]+|//[^\n\r]*)
      | (?P<string>"(?:\\.|[^"\\])*")
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<number>[0-9]+)
      | (?P<sign>::|&&|\|\||==|!=|<=|>=|.)""",
    re.VERBOSE | re.DOTALL,
)
_OPENING: Final = "([{"
_CLOSING: Final = ")]}"


class Token(Struct, frozen=True):
    """A word of the text; `start` and `end` are places in the file."""

    kind: str
    text: str
    start: int
    end: int


class PolicyFile(Struct, frozen=True):
    """A file as it was given: what it is called, and what is in it."""

    name: str
    text: str

    def problem(
        self, start: int, message: str, hint: str = "", *, end: int = 0, rule: str = ""
    ) -> PolicyProblem:
        """A problem with what stands between two places."""
        begin = self.text.rfind("\n", 0, start) + 1
        stop = self.text.find("\n", start)
        line = self.text[begin : len(self.text) if stop < 0 else stop].rstrip("\r")
        return PolicyProblem(
            file=self.name,
            line=self.text.count("\n", 0, start) + 1,
            column=start - begin + 1,
            message=message,
            hint=hint,
            rule=rule,
            text=line,
            length=max(1, min(end, begin + len(line)) - start),
        )


class Statement(Struct, frozen=True):
    """One rule as it stands in a file, with its semicolon if it has one."""

    file: PolicyFile
    tokens: Sequence[Token]

    @property
    def text(self) -> str:
        """The text of the rule."""
        return self.file.text[self.tokens[0].start : self.tokens[-1].end]

    @property
    def head(self) -> Token:
        """`permit` or `forbid`; the first token where neither is there."""
        words = (token for token in self.tokens if token.text in ("permit", "forbid"))
        return next(words, self.tokens[0])

    def problem(
        self, token: Token, message: str, hint: str = "", *, last: Token | None = None
    ) -> PolicyProblem:
        """A problem with a token, or with all from it to another."""
        end = (last or token).end
        return self.file.problem(token.start, message, hint, end=end, rule=self.id)

    @property
    def id(self) -> str:
        """What the annotation @id says; "" when there is none."""
        for at, name, bracket, value in zip(
            self.tokens, self.tokens[1:], self.tokens[2:], self.tokens[3:], strict=False
        ):
            if (at.text, name.text, bracket.text) == ("@", "id", "("):
                return value.text.strip('"')
        return ""


def statements(file: PolicyFile) -> tuple[list[Statement], list[PolicyProblem]]:
    """The rules of a file, and what Cedar must not be given."""
    found: list[Statement] = []
    problems: list[PolicyProblem] = []
    for tokens in _split(file.text):
        if (trouble := _trouble(tokens)) is None:
            found.append(Statement(file, tokens))
        else:
            token, message, hint = trouble
            problems.append(file.problem(token.start, message, hint, end=token.end))
    return found, problems


def _split(text: str) -> Iterator[list[Token]]:
    tokens: list[Token] = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind == "blank":
            continue
        tokens.append(Token(kind, match[0], match.start(), match.end()))
        if match[0] == ";":
            yield tokens
            tokens = []
    if tokens:
        yield tokens


def _trouble(tokens: Sequence[Token]) -> tuple[Token, str, str] | None:
    if len(tokens) > MAX_RULE:
        hint = "compare with a set, or write more rules"
        return tokens[0], f"the rule has more than {MAX_RULE} words and signs", hint
    depth = 0
    for token in tokens:
        if token.kind == "string":
            continue
        if token.text in _OPENING:
            depth += 1
        elif token.text in _CLOSING:
            depth -= 1
        if depth > MAX_NESTING:
            hint = "write more rules instead"
            return token, f"there are more than {MAX_NESTING} brackets inside one another", hint
    return None
