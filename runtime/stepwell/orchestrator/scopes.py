"""Which scopes an access token needs: some for everything, and more for single tools and workflows.

Policy decides what a principal may do. Scopes are what its token was given of that: they take away,
and never permit anything by themselves.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from stepwell.errors import Code, Denied
from stepwell.principals import Caller


class InsufficientScope(Denied):
    """The access token lacks a scope; `scopes` are all that this takes, `granted` those it has."""

    code = Code.INSUFFICIENT_SCOPE

    def __init__(self, what: str, scopes: Iterable[str], granted: Iterable[str]) -> None:
        self.scopes = tuple(scopes)
        self.granted = tuple(granted)
        missing = ", ".join(scope for scope in self.scopes if scope not in self.granted)
        super().__init__(
            f"the access token may not be used for {what}: it lacks the scope {missing}; ask the "
            "authorization server for one with it",
            detail={"scope": " ".join(self.scopes)},
        )


class Scopes:
    """The scopes of this server. `tools` says what names that match a pattern take besides."""

    def __init__(self, every: Iterable[str] = (), tools: Mapping[str, str] | None = None) -> None:
        self.every = tuple(dict.fromkeys(every))
        self._tools = {pattern: text.split() for pattern, text in (tools or {}).items()}

    @property
    def supported(self) -> tuple[str, ...]:
        """All there are."""
        more = (scope for scopes in self._tools.values() for scope in scopes)
        return tuple(dict.fromkeys((*self.every, *more)))

    def needed(self, names: Iterable[str] = ()) -> tuple[str, ...]:
        """What a token needs to use tools and workflows of these names, all at once."""
        more = (
            scope
            for name in names
            for pattern, scopes in self._tools.items()
            if fnmatchcase(name, pattern)
            for scope in scopes
        )
        return tuple(dict.fromkeys((*self.every, *more)))

    def demand(self, caller: Caller, names: Iterable[str], what: str) -> None:
        """Whether a caller's credential covers the use of tools and workflows of these names.

        Raises:
            InsufficientScope: it is an access token, and lacks a scope.
        """
        if caller.scopes is None:
            return
        needed = self.needed(names)
        if not set(needed) <= set(caller.scopes):
            raise InsufficientScope(what, needed, caller.scopes)
