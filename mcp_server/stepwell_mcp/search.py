"""Finds tools by words: BM25 over their names, titles, descriptions and the names of arguments."""

import difflib
import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from mcp_types import Tool

WEIGHTS: Final = {"name": 4.0, "title": 3.0, "description": 1.0, "arguments": 1.0}
"""What one word counts, by where it stands."""
READ: Final = 2000
"""Characters of a description that are looked at."""
SATURATION: Final = 1.2
LENGTH: Final = 0.75
"""The constants of BM25, `k1` and `b`, as they are most often set."""
LIKE: Final = 0.5
"""What a word counts that only begins as the one that is asked for, or the other way round."""
SHORTEST: Final = 3
"""Letters that two words must share at their beginning to be alike."""

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")
_MOST_WORDS: Final = 64
_LONGEST_NAME: Final = 128
_MOST_COMPARED: Final = 50
"""Names that are looked at letter by letter."""
_LONGEST: Final = 64
"""Letters of a word that are looked at."""


class Index:
    """Some tools, to be searched."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._tools = tuple(tools)
        self._found: dict[str, list[tuple[int, float]]] = {}
        lengths: list[float] = []
        for number, tool in enumerate(tools):
            counts = _counts(tool)
            lengths.append(sum(counts.values()))
            for word, count in counts.items():
                self._found.setdefault(word, []).append((number, count))
        average = sum(lengths) / len(lengths) if lengths else 1.0
        self._norms = [
            SATURATION * (1 - LENGTH + LENGTH * length / (average or 1.0)) for length in lengths
        ]
        self._words = sorted(self._found)

    def search(self, query: str) -> list[Tool]:
        """The tools that have any of the words, best first; all of them, by name, for no words.

        Where no tool has any, those whose names look alike.
        """
        words = list(dict.fromkeys(_words(query)))[:_MOST_WORDS]
        if not words:
            return sorted(self._tools, key=lambda tool: tool.name)
        scores: dict[int, float] = {}
        for word in words:
            for known, weight in self._alike(word):
                self._add(scores, known, weight)
        for number, tool in enumerate(self._tools):
            if tool.name == query.strip():
                scores[number] = math.inf  # whoever knows the name has found it
        if not scores:
            return self._named_like(query)
        ranked = sorted(scores, key=lambda number: (-scores[number], self._tools[number].name))
        return [self._tools[number] for number in ranked]

    def _add(self, scores: dict[int, float], word: str, weight: float) -> None:
        found = self._found[word]
        rarity = math.log(1 + (len(self._tools) - len(found) + 0.5) / (len(found) + 0.5))
        for number, count in found:
            score = weight * rarity * count * (SATURATION + 1) / (count + self._norms[number])
            scores[number] = scores.get(number, 0.0) + score

    def _alike(self, word: str) -> Iterator[tuple[str, float]]:
        """The words of the tools that a word asks for, with what each counts."""
        if word in self._found:
            yield word, 1.0
            return
        if len(word) < SHORTEST:
            return
        for known in self._words[bisect_left(self._words, word) :]:
            if not known.startswith(word):
                break
            yield known, LIKE
        for end in range(SHORTEST, len(word)):
            if word[:end] in self._found:
                yield word[:end], LIKE

    def _named_like(self, query: str) -> list[Tool]:
        names = {tool.name: tool for tool in self._tools}
        return [names[near] for near in Names(names).nearest(query.strip())]


class Names:
    """Names, of which those are found that look most like another.

    Which letters follow each other says which may be like it: comparing it with each of a thousand in turn
    would keep everybody waiting.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(names)
        self._having: dict[str, list[int]] = {}
        for number, name in enumerate(self._names):
            for letters in _following(name):
                self._having.setdefault(letters, []).append(number)

    def nearest(self, name: str) -> list[str]:
        """Those that look most like one, best first."""
        name = name[:_LONGEST_NAME]
        shared = Counter(
            number for letters in _following(name) for number in self._having.get(letters, ())
        )
        likely = [self._names[number] for number, _ in shared.most_common(_MOST_COMPARED)]
        return difflib.get_close_matches(name, likely, n=5, cutoff=0.5)


def _following(name: str) -> set[str]:
    """All that stands together in a name, by twos, with its beginning and its end."""
    padded = f" {name.lower()} "
    return {padded[start : start + 2] for start in range(len(padded) - 1)}


def _counts(tool: Tool) -> dict[str, float]:
    """The words of a tool, with what they count together."""
    counts: dict[str, float] = {}
    properties = tool.input_schema.get("properties")
    texts = {
        "name": tool.name,
        "title": tool.title or "",
        "description": (tool.description or "")[:READ],
        "arguments": " ".join(map(str, properties)) if isinstance(properties, dict) else "",
    }
    for place, text in texts.items():
        for word in _words(text):
            counts[word] = counts.get(word, 0.0) + WEIGHTS[place]
    return counts


def _words(text: str) -> Iterator[str]:
    """The words of a text, in lower case and without the ending of a plural; camelCase is two."""
    return (_singular(match[0][:_LONGEST].lower()) for match in _WORD.finditer(text))


def _singular(word: str) -> str:
    if len(word) <= SHORTEST or word[-1] != "s" or word[-2] == "s":
        return word
    return f"{word[:-3]}y" if word.endswith("ies") else word[:-1]
