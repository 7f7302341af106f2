"""Several checks ask the same of a prompt, or of two: it is found once, and kept with the first reading for as long as
that is. Pure, since a reading never changes; used by what compares prompts.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar
from weakref import ref

from tollway_dataplane.prompts.reading import Reading

Found = TypeVar("Found")
_BESIDE: Final = "beside"


def once(find: Callable[[Reading], Found]) -> Callable[[Reading], Found]:
    """For what is found in one prompt alone. Nobody may change what is returned."""
    name = f"{find.__module__}.{find.__qualname__}"

    @wraps(find)
    def found(reading: Reading) -> Found:
        kept: dict[str, Found] = reading.__dict__
        try:
            return kept[name]
        except KeyError:
            result = kept[name] = find(reading)
            return result

    return found


def once_of_two(find: Callable[[Reading, Reading], Found]) -> Callable[[Reading, Reading], Found]:
    """For what is found between two prompts. Only what was found beside the last one is kept: candidates are compared
    one after the other. Nobody may change what is returned.
    """

    @wraps(find)
    def found(one: Reading, other: Reading) -> Found:
        results = _beside(one, other)
        if find not in results:
            results[find] = find(one, other)
        result: Found = results[find]
        return result

    return found


def once_both_ways(
    find: Callable[[Reading, Reading], tuple[Found, Found]],
) -> Callable[[Reading, Reading], Found]:
    """The same for what is known of both ways round at once: `find` gives it as seen from the first, then from the
    second.
    """

    @wraps(find)
    def found(one: Reading, other: Reading) -> Found:
        results = _beside(one, other)
        if find not in results:
            results[find], _beside(other, one)[find] = find(one, other)
        result: Found = results[find]
        return result

    return found


def _beside(one: Reading, other: Reading) -> dict[Any, Any]:
    kept: tuple[ref[Reading], dict[Any, Any]] | None = one.__dict__.get(_BESIDE)
    if kept is None or kept[0]() is not other:
        # A weak reference, or the two would keep each other alive until the next full collection.
        kept = one.__dict__[_BESIDE] = (ref(other), {})
    return kept[1]
