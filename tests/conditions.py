"""Conditions of objects, however these are fetched."""

from collections.abc import Callable, Mapping
from typing import Any

from tests.processes import wait_for


def condition_in(found: Mapping[str, Any], type_: str) -> dict[str, Any]:
    """One that speaks of the newest generation; empty when there is none yet."""
    for condition in found.get("status", {}).get("conditions", []):
        if condition["type"] == type_ and condition["observedGeneration"] == found["metadata"]["generation"]:
            return dict(condition)
    return {}


def until_reason(
    look: Callable[[], Mapping[str, Any]], type_: str, reason: str, seconds: float
) -> dict[str, Any]:
    """Waits for a condition to have a reason."""
    found: list[Mapping[str, Any]] = []

    def met() -> bool:
        found[:] = [look()]
        return bool(condition_in(found[0], type_).get("reason") == reason)

    try:
        wait_for(met, f"{type_} is {reason}", seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}; it is {found[0].get('status')}") from None
    return condition_in(found[0], type_)
