"""A property that is found when it is first asked for, and kept. What `functools.cached_property` is, without the lock
that it takes until Python 3.12: a prompt has some thirty of them, and two threads that find the same one at once find
the same. Pure.
"""

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

Found = TypeVar("Found")


class cached(Generic[Found]):  # noqa: N801 - a decorator, as `property` is
    def __init__(self, find: Callable[[Any], Found]) -> None:
        self._find = find
        self._name = find.__name__
        self.__doc__ = find.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> Found: ...

    def __get__(self, instance: object | None, owner: type) -> Self | Found:
        """Asked once: what is in the instance's own dictionary goes before what has no `__set__`."""
        if instance is None:
            return self
        found = instance.__dict__[self._name] = self._find(instance)
        return found
