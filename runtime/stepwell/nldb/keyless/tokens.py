"""A question as tokens."""

import re

from msgspec import Struct

from stepwell.nldb.link.words import folded, singular

_TOKEN = re.compile(
    r"\"[^\"]+\"|“[^”]+”|«[^»]+»"
    r"|\d{4}-\d{2}-\d{2}|\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?(?![^\W\d_])|[^\W_]+"
    r"|[$€£%]|[,.?!:;()<>=]",
    re.UNICODE,
)
_CONTRACTIONS = (
    (re.compile(r"\b(what|who|where|when|how|that|there|it|here)['\u2019]s\b", re.IGNORECASE), r"\1 is"),
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
    """`word` is folded, `base` is its singular; a quoted text is one token."""

    text: str
    word: str
    base: str
    quoted: bool = False
    possessive: bool = False

    @property
    def is_mark(self) -> bool:
        """Whether it is punctuation."""
        return not self.quoted and self.word in MARKS

    @property
    def is_capital(self) -> bool:
        """Whether it is written with a capital letter, or a digit, as names are."""
        return self.quoted or self.text[:1].isupper() or self.text[:1].isdigit()


MARKS = frozenset(",.?!:;()")


def tokens_of(question: str) -> tuple[Token, ...]:
    """The tokens of a question; contractions are written out, a possessive is `'s`."""
    text = question
    for pattern, written in _CONTRACTIONS:
        text = pattern.sub(written, text)
    found: list[Token] = []
    for piece in re.split(r"( 's\b)", text):
        if piece == " 's":
            found.append(Token("'s", "'s", "'s", possessive=True))
            continue
        found += [_token(match.group()) for match in _TOKEN.finditer(piece)]
    return tuple(found)


def _token(text: str) -> Token:
    if len(text) > 2 and text[0] in '"“«':
        return Token(text[1:-1], folded(text[1:-1]), folded(text[1:-1]), quoted=True)
    word = folded(text)
    if word[:1].isdigit():
        word = word.replace(",", "")
    return Token(text, word, singular(word))
