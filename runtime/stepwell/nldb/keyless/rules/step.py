"""What a rule is."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

from stepwell.nldb.keyless.frame import Frame
from stepwell.nldb.keyless.reader import Reader

Step: TypeAlias = tuple[int, Frame]
Rule: TypeAlias = Callable[[Reader, int, Frame], Iterator[Step]]
