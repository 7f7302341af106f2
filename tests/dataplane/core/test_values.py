"""What a request makes: as `dataclass(frozen=True, slots=True)` has it, but for what mypy sees to."""

from dataclasses import field, replace

import pytest

from tollway_dataplane.core.values import value


@value
class Point:
    x: int
    y: int = 0
    names: tuple[str, ...] = field(default=(), repr=False)


def test_values_are_told_apart_by_what_they_hold() -> None:
    assert Point(1) == Point(1, 0)
    assert Point(1) != Point(2)
    assert {Point(1): "a"}[Point(1, 0)] == "a"
    assert replace(Point(1), y=3) == Point(1, 3)
    assert repr(Point(1, 2, ("secret",))) == "Point(x=1, y=2)"


def test_a_value_has_no_other_fields() -> None:
    with pytest.raises(AttributeError):
        Point(1).z = 3  # type: ignore[attr-defined]  # the point of it
