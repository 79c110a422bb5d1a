"""A question as tokens."""

import re
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from stepwell.nldb.link.words import folded, singular

_TOKEN = re.compile(
    r"\"[^\"]+\"|“[^”]+”|«[^»]+»"
    r"|\d{4}-\d{2}-\d{2}|\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?(?![^\W_])|[^\W_]+"
    r"|[$€£%]|[,.?!:;()<>=]",
    re.UNICODE,
)
_JOINING = frozenset("-/&'_@.+#*\u2019\u2010\u2011\u2013")
"""Signs inside of a word or a name; values are found by their words, whatever stands in between."""
_BETWEEN = frozenset(("-", "/", "&", "\u2013", "\u2014"))
_QUOTES = frozenset("'`\u2018\u2019")
_NOT_SIGN = "\u00ac"
_CONTRACTIONS = (
    (re.compile(r"\b(what|who|where|when|how|that|there|it|here)['\u2019]s\b", re.IGNORECASE), r"\1 is"),
    (re.compile(r"\b(what|who|where|how|that)s\b", re.IGNORECASE), r"\1 is"),
    (re.compile(r"\b(let)['\u2019]s\b", re.IGNORECASE), r"\1 us"),
    (re.compile(r"\bI['\u2019]m\b"), "I am"),
    (re.compile(r"\b(we|they|you|who|what)['\u2019]re\b", re.IGNORECASE), r"\1 are"),
    (re.compile(r"\b(I|we|they|you)['\u2019]ve\b", re.IGNORECASE), r"\1 have"),
    (re.compile(r"\b(I|we|they|you|he|she)['\u2019]d\b", re.IGNORECASE), r"\1 would"),
    (re.compile(r"\b(do|does|did|have|has|had|is|are|was|were|would|could)n['\u2019]t\b", re.IGNORECASE), r"\1 not"),
    (re.compile(r"\bcan['\u2019]t\b", re.IGNORECASE), "can not"),
    (re.compile(r"\bwon['\u2019]t\b", re.IGNORECASE), "will not"),
    (re.compile(r"(?<=\w)['\u2019]s\b"), " 's"),
    (re.compile(r"(?<=s)['\u2019](?=\s)"), " 's"),
)  # fmt: skip


class Token(Struct, frozen=True):
    """`word` is folded, `base` is its singular; a quoted text is one token.

    `dropped` are the signs before it that have no token: inside of a name, or a quote.
    """

    text: str
    word: str
    base: str
    quoted: bool = False
    possessive: bool = False
    dropped: str = ""
    is_glued: bool = False
    """Whether only what was dropped stands between it and the token before."""

    @property
    def is_mark(self) -> bool:
        """Whether it is punctuation."""
        return not self.quoted and self.word in MARKS

    @property
    def is_sign(self) -> bool:
        """Whether it has neither a letter nor a digit."""
        return not any(char.isalnum() for char in self.text)

    @property
    def is_capital(self) -> bool:
        """Whether it is written with a capital letter, or a digit, as names are."""
        return self.quoted or self.text[:1].isupper() or self.text[:1].isdigit()


MARKS = frozenset(",.?!:;()")


def tokens_of(question: str) -> tuple[Token, ...]:
    """The tokens of a question; contractions are written out, a possessive is `'s`.

    Every sign has a token but those that join a name together and quotes: what a question says with
    one, `-5` or `\u2265 5`, is never passed over.
    """
    text = question
    for pattern, written in _CONTRACTIONS:
        text = pattern.sub(written, text)
    found: list[Token] = []
    for piece in re.split(r"( 's\b)", text):
        if piece == " 's":
            found.append(Token("'s", "'s", "'s", possessive=True))
        else:
            found += _pieces(piece)
    return tuple(found)


def _pieces(text: str) -> Iterator[Token]:
    end, before = 0, ""
    for match in _TOKEN.finditer(text):
        gap = text[end : match.start()]
        dropped = _dropped(gap, before, match.group())
        if not dropped:
            yield from _signs(gap)
        token = _token(match.group())
        if match.group() == "!" and text[match.end() : match.end() + 1].isalnum():
            token = Token("!", _NOT_SIGN, _NOT_SIGN)
        glued = bool(dropped) and gap == dropped
        yield msgspec.structs.replace(token, dropped=dropped, is_glued=glued) if dropped else token
        end, before = match.end(), match.group()
    if not set(text[end:].strip()) <= _QUOTES:
        yield from _signs(text[end:])


def _signs(gap: str) -> Iterator[Token]:
    for sign in gap.split():
        yield Token(sign, sign, sign)


def _dropped(gap: str, before: str, after: str) -> str:
    """The signs of a gap that need no token; "" where there are none, or one that says something."""
    signs = gap.strip()
    if not signs:
        return ""
    is_inside = gap == signs and before[-1:].isalnum() and after[:1].isalnum()
    if is_inside and set(signs) <= _JOINING:
        return signs
    if signs in _BETWEEN and gap != gap.lstrip() and gap != gap.rstrip():
        return signs if not after[:1].isdigit() else ""
    return signs if set(signs) <= _QUOTES else ""


def _token(text: str) -> Token:
    if len(text) > 2 and text[0] in '"“«':
        return Token(text[1:-1], folded(text[1:-1]), folded(text[1:-1]), quoted=True)
    word = folded(text)
    if word[:1].isdigit():
        word = word.replace(",", "")
    return Token(text, word, singular(word))
