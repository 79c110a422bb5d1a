"""SQL as people read it: each clause on a line of its own. Nothing but white space is changed."""

import re
from typing import Final

MOST_CHARACTERS: Final = 50_000

_PIECE: Final = re.compile(
    r"""
      (?P<quoted>'(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*` | \[[^\]]*\]
        | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ | --[^\n]* | /\*.*?\*/)
    | (?P<space>\s+)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_CLAUSES: Final = frozenset(
    [
        "SELECT",
        "FROM",
        "WHERE",
        "GROUP",
        "ORDER",
        "HAVING",
        "LIMIT",
        "OFFSET",
        "UNION",
        "EXCEPT",
        "INTERSECT",
        "VALUES",
        "SET",
        "RETURNING",
        "INSERT",
        "UPDATE",
        "DELETE",
        "WITH",
        "JOIN",
        "LEFT",
        "RIGHT",
        "INNER",
        "FULL",
        "CROSS",
        "ON",
        "AND",
        "OR",
    ]
)
_INDENTED: Final = frozenset(["AND", "OR", "ON"])
_JOINED: Final = {
    "LEFT": ("JOIN", "OUTER"),
    "RIGHT": ("JOIN", "OUTER"),
    "FULL": ("JOIN", "OUTER"),
    "INNER": ("JOIN",),
    "CROSS": ("JOIN",),
    "OUTER": ("JOIN",),
    "DELETE": ("FROM",),
    "INSERT": ("INTO",),
}
"""What stays on the line of the word before it."""


def formatted(sql: str) -> str:
    """The statement with a clause a line; unchanged where it is very long."""
    if len(sql) > MOST_CHARACTERS:
        return sql
    out, depth, last, is_between = "", 0, "", False
    for piece in _PIECE.finditer(sql.strip()):
        text = piece[0]
        if piece["space"]:
            out += "" if out.endswith((" ", "\n")) else " "
            continue
        word = text.upper() if piece["word"] else ""
        if word in _CLAUSES and not depth and out.strip() and not _stays(word, last, is_between):
            out = out.rstrip() + ("\n  " if word in _INDENTED else "\n")
        is_between = word == "BETWEEN" or (is_between and word != "AND")
        depth = max(depth + {"(": 1, ")": -1}.get(text, 0), 0)
        out += text + ("\n" if text.startswith("--") else "")
        last = word or text
    return out.rstrip()


def _stays(word: str, last: str, is_between: bool) -> bool:
    return word in _JOINED.get(last, ()) or (word == "AND" and is_between)
