"""A thread that reads results, for tests of what must not keep a reader waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any


class Reader:
    """Reads in a thread of its own until the end or an error."""

    def __init__(self, items: Iterable[Any]) -> None:
        self.read: list[Any] = []
        self.error: BaseException | None = None
        self._items = items
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            for item in self._items:
                self.read.append(item)
        except BaseException as error:
            self.error = error
