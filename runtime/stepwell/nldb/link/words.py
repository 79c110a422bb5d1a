"""Words: of questions, of names in a database, of values; and when two of them are the same."""

import re
import unicodedata
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_IRREGULAR = {
    "people": "person",
    "persons": "person",
    "children": "child",
    "men": "man",
    "women": "woman",
    "mice": "mouse",
    "feet": "foot",
    "indices": "index",
    "criteria": "criterion",
    "media": "medium",
    "data": "data",
    "series": "series",
    "status": "status",
    "address": "address",
    "news": "news",
    "bus": "bus",
    "gas": "gas",
    "sales": "sale",
    "movies": "movie",
    "cookies": "cookie",
    "bonus": "bonus",
    "campus": "campus",
    "was": "was",
    "is": "is",
    "has": "has",
    "this": "this",
    "does": "does",
    "less": "less",
    "always": "always",
    "lens": "lens",
    "analyses": "analysis",
    "leaves": "leave",
    "wages": "wage",
    "staves": "staff",
}


def folded(text: str) -> str:
    """Lower case, without accents."""
    if text.isascii():
        return text.lower()
    spread = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in spread if not unicodedata.combining(c))
    return plain.translate(_LETTERS)


_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "\u0131": "i"})


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text, folded: letters and digits only."""
    return tuple(_WORD.findall(folded(text)))


@lru_cache(maxsize=20_000)
def words_of_name(name: str) -> tuple[str, ...]:
    """The words of a name in a database: `InvoiceLine`, `invoice_line` and `INVOICE-LINE`."""
    found: list[str] = []
    for piece in _WORD.findall(name):
        parts = [piece] if piece.isupper() else _humps(piece)
        found += [folded(part) for part in parts]
    return tuple(found)


def _humps(piece: str) -> list[str]:
    """`HTTPStatus2` as HTTP, Status, 2."""
    found = [piece[0]]
    for at in range(1, len(piece)):
        before, here, after = piece[at - 1], piece[at], piece[at + 1 : at + 2]
        begins = here.isupper() and (not before.isupper() or after.islower())
        if begins or before.isdigit() != here.isdigit():
            found.append("")
        found[-1] += here
    return found


@lru_cache(maxsize=50_000)
def singular(word: str) -> str:
    """A noun without its plural ending; good enough for both sides of a comparison."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) <= 3 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses", "zes")):
        return word[:-2]
    return word[:-1]


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """A word without the endings of nouns and verbs: for finding, not for understanding."""
    base = singular(word)
    for ending in ("ings", "ing", "ed"):
        if base.endswith(ending) and len(base) - len(ending) >= 3:
            base = base[: -len(ending)]
            if len(base) > 3 and base[-1] == base[-2] and base[-1] not in "lsz":
                base = base[:-1]
            break
    return base.removesuffix("e") if len(base) > 3 else base


CARRIES_NOTHING = frozenset(
    singular(word)
    for word in words_of(
        "a an the of in on at to for from by with and or is are was were be been do does did have "
        "has had what which who whom whose how many much when where why there here this that these "
        "those it its their our your my me we us you i they he she please show give list tell find get "
        "all any each every per can could would should will let as than then s across "
        "over between within into about among only also some"
    )
)
"""Words that only make a question: they name nothing of a database, and ask for nothing of it."""
