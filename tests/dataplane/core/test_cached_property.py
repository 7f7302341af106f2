"""A property that is found once, and kept."""

from tollway_dataplane.core.cached_property import cached


class Prompt:
    def __init__(self) -> None:
        self.asked = 0

    @cached
    def length(self) -> int:
        """How long it is."""
        self.asked += 1
        return 7


def test_it_is_found_when_it_is_first_asked_for_and_once() -> None:
    one, other = Prompt(), Prompt()
    assert one.asked == 0
    assert (one.length, one.length, one.asked, other.asked) == (7, 7, 1, 0)


def test_it_says_what_it_is_for() -> None:
    assert Prompt.length.__doc__ == "How long it is."
