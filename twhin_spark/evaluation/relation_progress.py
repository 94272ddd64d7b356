"""Progress lines about single relations, which stay readable if there are very many relations."""

from __future__ import annotations

import time
from collections.abc import Callable

MANY_RELATIONS = 20  # with more, not every relation has lines of its own
_SECONDS_BETWEEN_LINES = 10.0


class RelationProgress:
    """Printer of lines about single relations: all of them, or one now and then if there are many relations."""

    def __init__(
        self,
        print_line: Callable[[str], None],
        relations: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._print, self._clock = print_line, clock
        self._many = relations > MANY_RELATIONS
        self._last = clock()

    def __call__(self, line: str) -> None:
        """Print a line about a relation, or leave it out if there are many and the last line is not old."""
        if self._many:
            if self._clock() - self._last < _SECONDS_BETWEEN_LINES:
                return
            self._last = self._clock()
        self._print(line)
