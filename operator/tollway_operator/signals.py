"""How one loop wakes another without knowing it: `app` joins the ends."""

from collections.abc import Callable


class Signal:
    """Whoever listens is called at once, in the order in which they were joined."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []

    def to(self, *listeners: Callable[[], None]) -> None:
        self._listeners += listeners

    def __call__(self) -> None:
        for listener in self._listeners:
            listener()
